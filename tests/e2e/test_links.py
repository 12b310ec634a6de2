"""Attachments by links: an endpoint fetches them while it handles the call."""

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from aiohttp import ClientSession, web

from conduit_local.ports import LOOPBACK
from conduit_local.stack import Stack
from tests.support.polling import eventually
from tests.support.swaks import Swaks
from tests.support.user import User

CONTENT = bytes(range(256)) * 100


class Endpoint:
    """Fetches the attachments of each call before it answers."""

    def __init__(self, http: ClientSession) -> None:
        self._http = http
        self.calls: list[dict[str, Any]] = []
        self.fetched: list[tuple[int, bytes]] = []

    async def take(self, request: web.Request) -> web.Response:
        """Answer a call."""
        call = await request.json()
        for attachment in call["attachments"]:
            self.fetched.append(await self.fetch(attachment["url"]))
        self.calls.append(call)
        return web.Response()

    async def fetch(self, url: str) -> tuple[int, bytes]:
        """Return what a link gives."""
        async with self._http.get(url) as response:
            return response.status, await response.read()


@pytest.fixture
async def endpoint() -> AsyncIterator[tuple[Endpoint, str]]:
    """Such an endpoint, and its URL."""
    async with ClientSession() as http:
        endpoint = Endpoint(http)
        app = web.Application()
        app.router.add_post("/", endpoint.take)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, LOOPBACK, 0).start()
        yield endpoint, f"http://{LOOPBACK}:{runner.addresses[0][1]}/"
        await runner.cleanup()


@pytest.mark.parametrize("octets", [1, 20])
async def test_an_endpoint_fetches_what_it_is_called_with(
    stack: Stack, user: User, endpoint: tuple[Endpoint, str], octets: int
) -> None:
    """A small mail, and one that is too large for the bus; then a replay of each."""
    content, (fetching, url) = CONTENT * octets, endpoint
    webhook = await user.webhook(url, payload={"attachments": "links", "headers": False})
    (stack.data_dir / "file.bin").write_bytes(content)
    attachment = "@" + str(stack.data_dir / "file.bin")
    code, dialogue = await Swaks(stack).send(webhook["address"], "--attach", attachment)
    assert code == 0, dialogue
    [entry] = await user.logs(webhook, 1)
    assert entry["status"] == "delivered"
    assert fetching.fetched == [(200, content)]
    await user.call("POST", f"/webhooks/{webhook['id']}/logs/{entry['id']}/replay")
    await eventually(lambda: len(fetching.calls) == 2, what="the replay")
    assert fetching.fetched == [(200, content)] * 2
    first, again = fetching.calls
    assert again["replay_of"] == first["id"]
    assert not {"headers"} & (first.keys() | again.keys())
    link = again["attachments"][0]["url"]
    assert urlsplit(link).netloc == urlsplit(stack.urls.api).netloc
    tampered = link[:-1] + ("0" if link[-1] != "0" else "1")
    assert (await fetching.fetch(tampered))[0] == 404
    await user.call("DELETE", f"/webhooks/{webhook['id']}")
    assert (await fetching.fetch(link))[0] == 404
