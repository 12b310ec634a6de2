"""What the open internet does to an SMTP server, and what it is answered.

`ATTACKS` names every attack that is over at once, with the replies that are promised; those that
take their time are in test_attacks_slow.py (each state that a client can be slow in), those of
large mails in test_attacks_memory.py (200 connections with 20 MB each, in the clear and inside
TLS, and headers that take long to read). All the while somebody else is greeted and delivers, and
memory keeps within its bound: see bystander.py.
"""

import asyncio
import re
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest

from conduit.model.webhook import Webhook
from tests.integration.ingest.bystander import MIB, bystander
from tests.integration.ingest.conftest import NewWebhook, Settings
from tests.support.smtp import Client, Ingest, any_certificate, connected, greeted, plain

OK = "250 2.0.0 OK"
QUEUED = "250 2.0.0 queued"
CUT_OFF = "(cut off)"
_delivery = re.compile(r" as dlv_\w+$")

Replies = Counter[str]


@pytest.fixture(scope="session")
def attacked(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ingest]:
    """An ingest with the bounds that it has by itself, but for those of an address: all of us here
    have the same one."""
    own = {
        "CONDUIT_SMTP_CONNECTION_LIMIT_PER_IP": "1000",
        "CONDUIT_SMTP_PROXY_NETWORKS": "192.0.2.0/24",
        "CONDUIT_SMTP_RECIPIENT_LIMIT": "100",
    }
    with Ingest(tmp_path_factory.mktemp("attacked"), settings | own) as ingest:
        yield ingest


async def smuggling(ingest: Ingest, webhook: Webhook) -> Replies:
    """Ends that are none (and one reply too many if one of them was), one in each mail."""
    replies = Replies()
    endings = (
        b"\n.\n",
        b"\n.\r",
        b"\n.\r\n",
        b"\r.\n",
        b"\r.\r",
        b"\r.\r\n",
        b"\r\n.\n",
        b"\r\n.\r",
    )
    for ending in (*endings, b"\r\n\0.\r\n"):
        smuggled = b"MAIL FROM:<evil@example.com>\r\nRCPT TO:<nobody@example.com>\r\nDATA\r\n"
        async with greeted(ingest.port) as client:
            reply = await client.mail(b"first" + ending + smuggled + b"second\r\n", webhook.address)
            replies[said(reply)] += 1
            replies[await client.command("NOOP")] += 1
    return replies


async def starttls_injection(ingest: Ingest, _webhook: Webhook) -> Replies:
    """A whole mail behind STARTTLS, in the same packet."""
    injected = b"EHLO a\r\nMAIL FROM:<evil@example.com>\r\n"
    async with greeted(ingest.port) as client:
        await client.send(b"STARTTLS\r\n" + injected)
        replies = Replies([await client.reply()])
        await client.writer.start_tls(any_certificate(), ssl_handshake_timeout=10)
        replies[await client.command("MAIL FROM:<>")] += 1
        return replies


async def endless_command(ingest: Ingest, _webhook: Webhook) -> Replies:
    """A command line of 100 MB."""
    async with greeted(ingest.port) as client:
        return Replies([await flooded(client, b"x" * MIB, 100)])


async def endless_commands_in_tls(ingest: Ingest, _webhook: Webhook) -> Replies:
    """The same, where a line may be as long as AUTH needs it."""
    async with greeted(ingest.port) as client:
        await client.start_tls()
        return Replies([await flooded(client, b"AUTH " + b"x" * MIB, 100)])


async def endless_data_line(ingest: Ingest, webhook: Webhook) -> Replies:
    """A line of a mail of 300 MB."""
    async with greeted(ingest.port) as client:
        await client.begin(webhook.address)
        return Replies([await flooded(client, b"x" * MIB, 300, b"\r\n.\r\n")])


async def empty_lines(ingest: Ingest, webhook: Webhook) -> Replies:
    """A mail of 15 million empty lines."""
    async with greeted(ingest.port) as client:
        await client.begin(webhook.address)
        return Replies([await flooded(client, b"\r\n" * 500_000, 30, b".\r\n")])


async def recipients(ingest: Ingest, webhook: Webhook) -> Replies:
    """5,000 recipients of one mail."""
    async with greeted(ingest.port) as client:
        await client.expect("MAIL FROM:<>", "250")
        return await repeated(client, f"RCPT TO:<{webhook.address}>", 5_000)


async def unknown_recipients(ingest: Ingest, _webhook: Webhook) -> Replies:
    """Guesses at addresses."""
    async with greeted(ingest.port) as client:
        await client.expect("MAIL FROM:<>", "250")
        return await repeated(client, "RCPT TO:<nobody@example.com>", 5_000)


async def bad_commands(ingest: Ingest, _webhook: Webhook) -> Replies:
    """2,000 commands that there are not."""
    async with greeted(ingest.port) as client:
        return await repeated(client, "XYZZY", 2_000)


async def idle_talk(ingest: Ingest, _webhook: Webhook) -> Replies:
    """2,000 commands that are right and lead to nothing."""
    async with greeted(ingest.port) as client:
        return await repeated(client, "NOOP", 2_000)


async def bad_auth(ingest: Ingest, _webhook: Webhook) -> Replies:
    """1,000 guesses at passwords over sessions of three, 20 at a time."""
    replies, sessions, certificate = Replies(), iter(range(334)), any_certificate()

    async def guess() -> None:
        for _ in sessions:
            async with greeted(ingest.port) as client:
                await client.expect("STARTTLS", "220")
                await client.writer.start_tls(certificate, ssl_handshake_timeout=30)
                await client.expect("EHLO a", "250")
                for attempt in range(3):
                    command = f"AUTH PLAIN {plain('ann', f'guess {attempt}')}"
                    replies[await client.command(command, 60)] += 1
                replies[await client.reply()] += 1

    await asyncio.gather(*(guess() for _ in range(20)))
    # An address that has guessed 30 times is not listened to any more, but for what is under way.
    looked_at = replies.pop("535 5.7.8 Authentication credentials invalid")
    assert 30 <= looked_at <= 50
    replies["454 4.7.0 Too many failed authentications, try again later"] += looked_at
    return replies


async def idle_connections(ingest: Ingest, _webhook: Webhook) -> Replies:
    """500 connections that say nothing."""
    async with AsyncExitStack() as stack:
        idle = [await stack.enter_async_context(connected(ingest.port)) for _ in range(500)]
        replies = Replies([await client.reply() for client in idle])
        async with greeted(ingest.port):
            return replies


async def strange_paths(ingest: Ingest, _webhook: Webhook) -> Replies:
    """NUL, encoded words and line ends where an address should be; none is read as another."""
    replies = Replies()
    for path in (
        b"a\0@example.com",
        b"a@example.com\0",
        b"a@=?utf-8?q?evil.com?=",
        b"=?utf-8?q?a=40evil.com=0d=0a?=@example.com ",
        b"a\r@example.com",
        b"a@exa mple.com",
        b"<a@example.com",
        b"a@example.com, b@example.com",
    ):
        async with greeted(ingest.port) as client:
            replies[code(await client.command(b"MAIL FROM:<" + path + b">"))] += 1
            await client.expect("MAIL FROM:<>", "250")
            replies[code(await client.command(b"RCPT TO:<" + path + b">"))] += 1
    return replies


async def loop(ingest: Ingest, webhook: Webhook) -> Replies:
    """A mail that has been everywhere a hundred times."""
    async with greeted(ingest.port) as client:
        return Replies([await client.mail(b"Received: x\r\n" * 100 + b"\r\n", webhook.address)])


async def proxy_spoofing(ingest: Ingest, _webhook: Webhook) -> Replies:
    """An address of one's own choice, in each way that there is to say so."""
    replies = Replies()
    version_2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\2\1\xc0\0\2\2\xdc\4\0\x19\r\n"
    for header in (b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 25\r\n", version_2):
        async with connected(ingest.port) as client:
            await client.send(header + b"EHLO a\r\nXCLIENT ADDR=192.0.2.1\r\nQUIT\r\n")
            lines = (await client.rest()).decode().splitlines()
            replies.update(line for line in lines if line.startswith(("5", "221 ")))
    return replies


@dataclass(frozen=True)
class Attack:
    """What is done, and how often each reply is given to it."""

    run: Callable[[Ingest, Webhook], Awaitable[Replies]]
    promised: dict[str, int]


ATTACKS = {
    "smuggling with nine endings": Attack(smuggling, {QUEUED: 9, OK: 9}),
    "STARTTLS injection": Attack(
        starttls_injection,
        {"220 2.0.0 Ready to start TLS": 1, "503 5.5.1 Send EHLO or HELO first": 1},
    ),
    "an endless command": Attack(endless_command, {CUT_OFF: 1}),
    "an endless AUTH": Attack(endless_commands_in_tls, {CUT_OFF: 1}),
    "an endless line of data": Attack(
        endless_data_line, {"554 5.6.0 A line of the message is too long": 1}
    ),
    "empty lines": Attack(empty_lines, {"552 5.3.4 Message too large": 1}),
    "5,000 recipients": Attack(
        recipients,
        {
            "250 2.1.5 OK": 100,
            "452 4.5.3 Too many recipients": 898,
            "421 4.7.0 Too many commands without a mail": 1,
        },
    ),
    "5,000 unknown recipients": Attack(
        unknown_recipients,
        {"550 5.1.1 No such address here": 5, "421 4.7.0 Too many unknown recipients": 1},
    ),
    "2,000 bad commands": Attack(
        bad_commands, {"500 5.5.1 Unknown command": 10, "421 4.7.0 Too many errors": 1}
    ),
    "2,000 commands to no end": Attack(
        idle_talk, {OK: 999, "421 4.7.0 Too many commands without a mail": 1}
    ),
    "1,000 bad AUTH": Attack(
        bad_auth,
        {
            "454 4.7.0 Too many failed authentications, try again later": 1_002,
            "421 4.7.0 Too many failed authentications": 334,
        },
    ),
    "500 idle connections": Attack(idle_connections, {"220 localhost ESMTP": 500}),
    "NUL and encoded words in paths": Attack(strange_paths, {"501 5.1.7": 8, "501 5.1.3": 8}),
    "a loop": Attack(loop, {"554 5.4.6 Mail loop: too many Received header fields": 1}),
    "PROXY spoofing": Attack(
        proxy_spoofing,
        {
            "500 5.5.1 Unknown command": 4,
            "502 5.5.1 Not implemented": 1,
            "221 2.0.0 Bye": 2,  # the second is for the QUIT in the header
        },
    ),
}


@pytest.mark.parametrize("name", ATTACKS)
async def test_attack(
    name: str, attacked: Ingest, webhook: Webhook, new_webhook: NewWebhook
) -> None:
    other = await new_webhook()
    with bystander(attacked, other.address):
        replies = await ATTACKS[name].run(attacked, webhook)
    assert replies == ATTACKS[name].promised


def said(reply: str) -> str:
    """Return a reply without the id of a delivery."""
    return _delivery.sub("", reply)


def code(reply: str) -> str:
    """Return a reply without its text."""
    return reply[:9]


async def repeated(client: Client, command: str, times: int) -> Replies:
    """Give a command many times; return the replies to the end of the session."""
    replies = Replies()
    for _ in range(times):
        reply = await client.command(command)
        replies[reply] += 1
        if reply.startswith("421 "):
            break
    return replies


async def flooded(client: Client, octets: bytes, times: int, end: bytes = b"") -> str:
    """Send octets many times and then their end; return the reply, or that there is none."""
    try:
        for _ in range(times):
            await client.send(octets)
        await client.send(end)
        return await client.reply()
    except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
        return CUT_OFF
