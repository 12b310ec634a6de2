"""AUTH (RFC 4954) inside STARTTLS and on the port where sessions begin with TLS."""

import asyncio
import signal
import unicodedata
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from conduit.model.policy import SmtpPolicy
from conduit.model.webhook import Webhook
from tests.integration.ingest.conftest import NewWebhook, Queued, Settings
from tests.integration.ingest.policies import (
    QUEUED,
    NewPolicy,
    attached,
    credential,
    secured,
)
from tests.integration.ingest.relay import Relay
from tests.support.polling import eventually
from tests.support.smtp import Client, Ingest, base64, connected, greeted, plain

SUCCEEDED = "235 2.7.0 Authentication succeeded"
INVALID = "535 5.7.8 Authentication credentials invalid"
BLOCKED = "454 4.7.0 Too many failed authentications, try again later"
ENDED = b"421 4.7.0 Too many failed authentications\r\n"
PASSWORD = "correct horse"


@pytest.fixture
async def policy(new_policy: NewPolicy, user: str) -> SmtpPolicy:
    """A policy with this user."""
    return await new_policy(require_smtp_auth=True, credentials=[credential(user, PASSWORD)])


@pytest.fixture
async def guarded(policy: SmtpPolicy, new_webhook: NewWebhook) -> Webhook:
    """A webhook for this user only."""
    return await attached(new_webhook, policy)


@asynccontextmanager
async def upgraded(ingest: Ingest) -> AsyncIterator[Client]:
    """Secure a session by STARTTLS."""
    async with greeted(ingest.port) as client:
        await client.start_tls()
        await client.expect("EHLO client.example", "250")
        yield client


@asynccontextmanager
async def from_the_start(ingest: Ingest) -> AsyncIterator[Client]:
    """Begin with TLS."""
    async with secured(ingest.tls_port) as client:
        yield client


Session = Callable[[Ingest], AbstractAsyncContextManager[Client]]
WAYS = pytest.mark.parametrize("session", [upgraded, from_the_start])


@WAYS
async def test_it_is_offered_inside_tls_only(policed: Ingest, session: Session) -> None:
    async with greeted(policed.port) as client:
        assert "AUTH" not in await client.command("EHLO client.example")
        assert await client.command("AUTH PLAIN") == (
            "538 5.7.11 Encryption required: send STARTTLS first"
        )
    async with session(policed) as client:
        lines = (await client.command("EHLO client.example")).splitlines()
        assert lines[-1] == "250 AUTH PLAIN LOGIN"
        assert "250-STARTTLS" not in lines


async def plain_at_once(client: Client, username: str, password: str) -> str:
    return await client.command(f"AUTH PLAIN {plain(username, password)}")


async def plain_when_asked(client: Client, username: str, password: str) -> str:
    assert await client.command("AUTH PLAIN") == "334 "
    return await client.command(plain(username, password))


async def plain_for_oneself(client: Client, username: str, password: str) -> str:
    response = base64(f"{username}\0{username}\0{password}")
    return await client.command(f"auth plain {response}")


async def login_when_asked(client: Client, username: str, password: str) -> str:
    assert await client.command("AUTH LOGIN") == "334 VXNlcm5hbWU6"
    assert await client.command(base64(username)) == "334 UGFzc3dvcmQ6"
    return await client.command(base64(password))


async def login_at_once(client: Client, username: str, password: str) -> str:
    assert await client.command(f"AUTH LOGIN {base64(username)}") == "334 UGFzc3dvcmQ6"
    return await client.command(base64(password))


Exchange = Callable[[Client, str, str], Awaitable[str]]
EXCHANGES = [
    plain_at_once,
    plain_when_asked,
    plain_for_oneself,
    login_when_asked,
    login_at_once,
]


@WAYS
@pytest.mark.parametrize("exchange", EXCHANGES)
async def test_a_user_delivers(
    policed: Ingest,
    guarded: Webhook,
    user: str,
    queued: Queued,
    session: Session,
    exchange: Exchange,
) -> None:
    async with session(policed) as client:
        assert await exchange(client, user, PASSWORD) == SUCCEEDED
        assert (await client.mail(b"\r\n", guarded.address)).startswith(QUEUED)
        assert (await client.mail(b"\r\n", guarded.address)).startswith(QUEUED)
    events = await queued.expect(guarded, 2)
    assert [event.envelope.authenticated_as for event in events] == [user] * 2
    assert {event.envelope.tls for event in events} == {"TLSv1.3"}


async def test_what_is_wrong_is_refused_however_it_is_said(
    policed: Ingest, policy: SmtpPolicy, user: str
) -> None:
    wrong = [
        (user, "wrong horse"),
        (user, PASSWORD.upper()),
        (user.upper(), PASSWORD),
        ("nobody", PASSWORD),
        (user, PASSWORD + "x" * 100),
        ("x" * 2000, PASSWORD),
    ]

    async def replies(exchange: Exchange, username: str, password: str) -> list[str]:
        async with secured(policed.tls_port) as client:
            return [
                await exchange(client, username, password),
                await client.command("NOOP"),
                await exchange(client, user, PASSWORD),
            ]

    tried = [(exchange, *each) for exchange in EXCHANGES[:4] for each in wrong]
    refused = await asyncio.gather(*(replies(*each) for each in tried))
    for each in refused:
        assert each == [INVALID, "250 2.0.0 OK", SUCCEEDED]


async def test_nobody_may_act_for_somebody_else(
    policed: Ingest, policy: SmtpPolicy, user: str
) -> None:
    async with secured(policed.tls_port) as client:
        other = base64(f"other\0{user}\0{PASSWORD}")
        assert await client.command(f"AUTH PLAIN {other}") == INVALID


@pytest.mark.parametrize(
    ("command", "lines", "reply"),
    [
        ("AUTH", [], "501 5.5.4 Syntax: AUTH mechanism [initial-response]"),
        ("AUTH CRAM-MD5", [], "504 5.5.4 Unknown authentication mechanism"),
        ("AUTH XOAUTH2 dXNlcg==", [], "504 5.5.4 Unknown authentication mechanism"),
        ("AUTH PLAIN", ["*"], "501 5.7.0 Authentication cancelled"),
        ("AUTH LOGIN", ["*"], "501 5.7.0 Authentication cancelled"),
        ("AUTH LOGIN", ["dXNlcg==", "*"], "501 5.7.0 Authentication cancelled"),
        ("AUTH PLAIN !", [], "501 5.5.2 Cannot decode the response: it is not base64"),
        ("AUTH LOGIN", ["dXNlcg"], "501 5.5.2 Cannot decode the response: it is not base64"),
        (
            "AUTH PLAIN dXNlcg==",
            [],
            "501 5.5.2 Cannot read a user name and a password in the response",
        ),
        (
            "AUTH PLAIN =",
            [],
            "501 5.5.2 Cannot read a user name and a password in the response",
        ),
        (
            "AUTH LOGIN dXNlcg==",
            [""],
            "501 5.5.2 Cannot read a user name and a password in the response",
        ),
        ("AUTH PLAIN", ["A" * 13_000], "500 5.5.6 Authentication exchange line is too long"),
        ("AUTH PLAIN " + "A" * 13_000, [], "500 5.5."),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else None,
)
async def test_exchanges_that_end_otherwise(
    policed: Ingest, policy: SmtpPolicy, user: str, command: str, lines: list[str], reply: str
) -> None:
    async with secured(policed.tls_port) as client:
        got = await client.command(command)
        for line in lines:
            assert got.startswith("334 ")
            got = await client.command(line)
        assert got.startswith(reply)
        assert await client.auth(user, PASSWORD) == SUCCEEDED


async def test_when_it_has_no_place(
    policed: Ingest, policy: SmtpPolicy, guarded: Webhook, user: str
) -> None:
    async with connected(policed.tls_port, tls=True) as client:
        assert (await client.reply()).startswith("220 ")
        assert await client.auth(user, PASSWORD) == "503 5.5.1 Send EHLO or HELO first"
        await client.expect("EHLO client.example", "250")
        await client.expect("MAIL FROM:<ann@example.com>", "250")
        assert await client.auth(user, PASSWORD) == (
            "503 5.5.1 A mail has begun already; authenticate before MAIL"
        )
        await client.expect(f"RCPT TO:<{guarded.address}>", "530 5.7.0 ")
        await client.expect("RSET", "250")
        assert await client.auth(user, PASSWORD) == SUCCEEDED
        for _ in range(2):
            assert await client.auth(user, PASSWORD) == "503 5.5.1 Authenticated already"
        await client.begin(guarded.address)


async def test_three_failures_end_the_session(
    policed: Ingest, policy: SmtpPolicy, user: str
) -> None:
    async with secured(policed.tls_port) as client:
        assert await client.auth(user, "a") == INVALID
        assert await client.auth(user, "b", "LOGIN") == INVALID
        assert await client.auth("nobody", PASSWORD) == INVALID
        assert await client.rest() == ENDED


async def test_guesses_sent_ahead_are_not_looked_at_after_the_third(
    policed: Ingest, policy: SmtpPolicy, user: str
) -> None:
    guesses = [f"AUTH PLAIN {plain(user, str(number))}\r\n".encode() for number in range(50)]
    guesses.append(f"AUTH PLAIN {plain(user, PASSWORD)}\r\n".encode())
    async with secured(policed.tls_port) as client:
        await client.send(b"".join(guesses))
        assert await client.rest() == f"{INVALID}\r\n".encode() * 3 + ENDED


async def test_an_address_that_fails_too_often_is_refused_unseen(
    new_ingest: Callable[..., Ingest], guarded: Webhook, user: str
) -> None:
    ingest = new_ingest(smtp_auth_failure_limit_per_ip="2")
    ingest.start()
    await asyncio.to_thread(ingest.wait_ready)
    compared = 'conduit_ingest_authentications_total{result="%s"}'

    async def failed(number: int) -> None:
        async with secured(ingest.tls_port) as client:
            assert await client.auth(user, str(number)) == INVALID

    async with secured(ingest.tls_port) as known:
        assert await known.auth(user, PASSWORD) == SUCCEEDED
        await asyncio.gather(failed(1), failed(2))
        async with secured(ingest.tls_port) as client:
            assert await client.auth(user, "wrong") == BLOCKED
            assert await client.auth(user, PASSWORD) == BLOCKED
            assert await client.auth(user, PASSWORD, "LOGIN") == BLOCKED
            assert await client.rest() == ENDED
        assert (await known.mail(b"\r\n", guarded.address)).startswith(QUEUED)
    assert ingest.metric(compared % "failed") == 2
    assert ingest.metric(compared % "succeeded") == 1
    async with greeted(ingest.tls_port, source="127.0.0.9", tls=True) as other:
        assert await other.auth(user, PASSWORD) == SUCCEEDED


async def test_however_a_keyboard_composes_a_password(
    policed: Ingest, new_policy: NewPolicy, user: str
) -> None:
    password = "Zwölf Boxkämpfer und ein Kaffee ☕"
    username = f"{user}-ü"
    await new_policy(credentials=[credential(username, password)])
    for form in ("NFC", "NFD"):
        for mechanism in ("PLAIN", "LOGIN"):
            async with secured(policed.tls_port) as client:
                typed = unicodedata.normalize(form, password)
                assert await client.auth(username, typed, mechanism) == SUCCEEDED


async def test_only_webhooks_of_the_users_policy_hear_who_it_was(
    policed: Ingest,
    guarded: Webhook,
    new_webhook: NewWebhook,
    under_policy: NewWebhook,
    user: str,
    queued: Queued,
) -> None:
    others = [await new_webhook(), await under_policy(credentials=[credential(user, "another")])]
    async with secured(policed.tls_port) as client:
        assert await client.auth(user, PASSWORD) == SUCCEEDED
        await client.mail(b"\r\n", guarded.address, *(each.address for each in others))
    [event] = await queued.expect(guarded)
    assert event.envelope.authenticated_as == user
    for other in others:
        [event] = await queued.expect(other)
        assert event.envelope.authenticated_as is None
        assert event.raw is not None
        assert user.encode() not in event.raw


async def test_a_name_in_two_policies_satisfies_those_with_this_password(
    policed: Ingest, under_policy: NewWebhook, user: str, queued: Queued
) -> None:
    rules = {"require_smtp_auth": True}
    same = [await under_policy(**rules, credentials=[credential(user, "same")]) for _ in range(2)]
    other = await under_policy(**rules, credentials=[credential(user, "other")])
    async with secured(policed.tls_port) as client:
        assert await client.auth(user, "same") == SUCCEEDED
        reply = await client.mail(b"\r\n", *(each.address for each in same))
        assert reply.count("queued as ") == 2
        await client.expect("MAIL FROM:<ann@example.com>", "250")
        await client.expect(f"RCPT TO:<{other.address}>", "550 5.7.1 ")
    for webhook in same:
        [event] = await queued.expect(webhook)
        assert event.envelope.authenticated_as == user


async def test_what_starttls_forgets_and_ehlo_does_not(
    policed: Ingest, guarded: Webhook, user: str
) -> None:
    async with upgraded(policed) as client:
        assert await client.auth(user, PASSWORD) == SUCCEEDED
        await client.expect("EHLO again.example", "250")
        assert (await client.mail(b"\r\n", guarded.address)).startswith(QUEUED)


async def test_while_the_store_is_away_nobody_is_refused_for_good(
    new_ingest: Callable[..., Ingest], settings: Settings, policy: SmtpPolicy, user: str
) -> None:
    way = Relay(settings["CONDUIT_MONGODB_URL"])
    await way.unblock()
    ingest = new_ingest(mongodb_url=way.url, store_timeout="0.5", smtp_webhook_cache="0.05")
    ingest.start()
    await asyncio.to_thread(ingest.wait_ready)
    async with secured(ingest.tls_port) as client:
        await way.block()
        assert await client.auth(user, PASSWORD) == (
            "454 4.7.0 Temporary authentication failure, try again later"
        )
        await way.unblock()

        async def is_in() -> bool:
            return await client.auth(user, PASSWORD) == SUCCEEDED

        await eventually(is_in, what="a 235 with the store back")
    await way.block()


async def test_a_handshake_that_is_there_before_the_session_begins(policed: Ingest) -> None:
    """A busy server finds the client's first octets with the connection."""
    policed.signal(signal.SIGSTOP)
    async with connected(policed.port):
        session = asyncio.ensure_future(_capabilities(policed))
        await asyncio.wait([session], timeout=0.3)
        policed.signal(signal.SIGCONT)
        assert "AUTH PLAIN LOGIN" in await session


async def _capabilities(ingest: Ingest) -> str:
    async with secured(ingest.tls_port) as client:
        return await client.command("EHLO client.example")
