"""The sender and connections that end unanswered: a kept one is replaced, a new one is not."""

import asyncio
from collections.abc import AsyncIterator
from ipaddress import ip_network

import pytest

from conduit.model.delivery import Result
from conduit.webhook.egress import Egress
from conduit_dispatcher.sender import Sender, open_sender

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


class Endpoint:
    """Answers so many requests on each connection, and closes it at the next one, unanswered."""

    def __init__(self) -> None:
        self.answered_on_each = 1
        self.requests = 0
        self.connections = 0
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        self.connections += 1
        answered = 0
        while await _read_request(reader):
            self.requests += 1
            if answered >= self.answered_on_each:
                break
            writer.write(_ANSWER)
            answered += 1
        writer.close()


async def _read_request(reader: asyncio.StreamReader) -> bool:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return False
    length = next(
        int(line.partition(b":")[2])
        for line in head.lower().split(b"\r\n")
        if line.startswith(b"content-length:")
    )
    await reader.readexactly(length)
    return True


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    """An endpoint on loopback."""
    endpoint = Endpoint()
    server = await asyncio.start_server(endpoint.serve, "127.0.0.1", 0)
    endpoint.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    async with server:
        yield endpoint


@pytest.fixture
async def sender() -> AsyncIterator[Sender]:
    """A sender that may call loopback."""
    egress = Egress(allow_http=True, allowed_networks=(ip_network("127.0.0.0/8"),))
    async with open_sender(egress, timeout=20, connect_timeout=10, resolver=None) as sender:
        yield sender


async def test_a_kept_connection_that_ends_is_replaced_at_once(
    sender: Sender, endpoint: Endpoint
) -> None:
    for _ in range(2):
        answer = await sender.post(endpoint.url, b"{}", {})
        assert answer.result is Result.DELIVERED
    assert (endpoint.connections, endpoint.requests) == (2, 3)


async def test_a_new_connection_that_ends_is_an_attempt_without_an_answer(
    sender: Sender, endpoint: Endpoint
) -> None:
    endpoint.answered_on_each = 0
    answer = await sender.post(endpoint.url, b"{}", {})
    assert answer.result is Result.TRANSIENT
    assert answer.error == "the endpoint closed the connection without an answer"
    assert (endpoint.connections, endpoint.requests) == (1, 1)


async def test_a_replaced_connection_that_ends_is_not_replaced_again(
    sender: Sender, endpoint: Endpoint
) -> None:
    await sender.post(endpoint.url, b"{}", {})
    endpoint.answered_on_each = 0
    answer = await sender.post(endpoint.url, b"{}", {})
    assert answer.result is Result.TRANSIENT
    assert (endpoint.connections, endpoint.requests) == (2, 3)


async def test_where_nobody_listens_no_second_connection_is_tried(sender: Sender) -> None:
    async with await asyncio.start_server(lambda *_: None, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
    answer = await sender.post(f"http://127.0.0.1:{port}/", b"{}", {})
    assert answer.result is Result.TRANSIENT
    assert answer.error is not None
    assert answer.error.startswith("cannot connect to 127.0.0.1:")
