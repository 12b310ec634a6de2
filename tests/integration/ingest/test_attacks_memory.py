"""Large mails from everybody at once, on processes of their own, whose memory nobody else took."""

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack

import pytest

from conduit.model.webhook import Webhook
from tests.integration.ingest.bystander import MIB, bystander
from tests.integration.ingest.conftest import NewWebhook
from tests.support.dns import DnsServer
from tests.support.smtp import Client, Ingest, any_certificate, greeted

LINES = (b"x" * 98 + b"\r\n") * 2_500
QUEUED = "250 2.0.0 queued"
NO_MEMORY = "452 4.3.1 Too much mail at the moment, try again later"
_FINISHED = 60.0  # seconds


@pytest.mark.parametrize(
    ("clients", "each", "tls"),
    [
        pytest.param(200, 20_000_000, False, id="200 of 20 MB"),
        pytest.param(200, 4_000_000, True, id="200 of 4 MB inside TLS"),
        pytest.param(10, 25_000_000, True, id="10 of 25 MB inside TLS"),
    ],
)
async def test_unfinished_mails_which_are_finished_at_once(
    new_ingest: Callable[..., Ingest],
    webhook: Webhook,
    new_webhook: NewWebhook,
    clients: int,
    each: int,
    tls: bool,
) -> None:
    other = await new_webhook()
    with new_ingest(smtp_connection_limit_per_ip="500") as ingest:
        async with AsyncExitStack() as stack:
            with bystander(ingest, other.address):
                attackers = [
                    await stack.enter_async_context(greeted(ingest.port)) for _ in range(clients)
                ]
                if tls:
                    await secure(attackers)
                await asyncio.gather(
                    *(unfinished(client, webhook.address, each) for client in attackers)
                )
                print(f"unfinished: peak {ingest.peak_memory() / MIB:.0f} MiB")
                replies = Counter(await asyncio.gather(*map(finish, attackers)))
    assert replies[QUEUED] >= 1
    assert replies[NO_MEMORY] >= 1
    assert replies.total() == replies[QUEUED] + replies[NO_MEMORY]


HEADERS = {
    "results that claim to be ours": b"Authentication-Results: localhost; spf=pass",
    "results without anything": b"Authentication-Results:",
    "one folded field": b" ",
    "fields without anything": b"a:",
    "signatures": b"DKIM-Signature: v=1; a=rsa-sha256; d=a.example; s=x; bh=AA==; b=AA==; h=to",
    "authors": b"From: a@a.example, b@b.example",
}


async def test_headers_that_take_long_to_read(
    new_ingest: Callable[..., Ingest],
    webhook: Webhook,
    new_webhook: NewWebhook,
    dns_server: DnsServer,
) -> None:
    other = await new_webhook()
    settings = {"smtp_authentication": "always", "dns_servers": dns_server.address}
    with new_ingest(**settings, smtp_line_limit="30000000") as ingest:
        async with greeted(ingest.port) as first, greeted(ingest.port) as second:
            for name, field in HEADERS.items():
                print(name, end=": ")
                content = b"X-A: b" + (b"\r\n" + field) * (24_000_000 // (len(field) + 2))
                with bystander(ingest, other.address):
                    sending = [
                        deliver(client, webhook.address, content) for client in (first, second)
                    ]
                    assert await asyncio.gather(*sending) == [QUEUED, QUEUED]


async def secure(clients: list[Client]) -> None:
    """Go on inside TLS, one after the other: handshakes are not what this is about."""
    certificate = any_certificate()
    for client in clients:
        await client.expect("STARTTLS", "220")
        await client.writer.start_tls(certificate, ssl_handshake_timeout=30)
        await client.expect("EHLO client.example", "250")


async def unfinished(client: Client, address: str, octets: int) -> None:
    await client.begin(address)
    for _ in range(octets // len(LINES)):
        await client.send(LINES)


async def finish(client: Client) -> str:
    await client.send(b".\r\n")
    return (await client.reply(_FINISHED)).partition(" as dlv_")[0]


async def deliver(client: Client, address: str, content: bytes) -> str:
    await client.begin(address)
    await client.send(content + b"\r\n")
    return await finish(client)
