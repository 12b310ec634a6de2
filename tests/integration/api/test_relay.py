"""Mails through an SMTP relay, and sign-ups that must be confirmed: an API with both set."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import quote

import pytest
from aiohttp import ClientSession, TCPConnector

from conduit_local.stack import Stack
from tests.integration.api.client import PASSWORD, Client, new_address, new_email
from tests.integration.api.conftest import NewClient
from tests.integration.api.mailbox import token_in
from tests.integration.api.relay import PASSWORD as RELAY_PASSWORD
from tests.integration.api.relay import USERNAME, Relay
from tests.support.polling import eventually

NOT_CONFIRMED = (403, "email_not_confirmed")
REFUSED = (401, "invalid_token")


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Relay]:
    relay = Relay(tmp_path_factory.mktemp("relay"))
    relay.start()
    yield relay
    relay.stop()


@pytest.fixture(scope="module")
def confirming(
    stack: Stack, relay: Relay, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """An API beside the other one, with a database of its own."""
    credentials = f"{quote(USERNAME, safe='')}:{quote(RELAY_PASSWORD, safe='')}"
    settings = {
        "CONDUIT_AMQP_URL": stack.urls.amqp,
        "CONDUIT_MONGODB_URL": stack.urls.mongodb,
        "CONDUIT_MONGODB_DATABASE": "confirming",
        "CONDUIT_EMAIL_CONFIRMATION": "true",
        "CONDUIT_MAIL_RELAY_URL": f"smtp://{credentials}@localhost:{relay.port}",
        "CONDUIT_MAIL_FROM": "Conduit <conduit@example.com>",
        "CONDUIT_PUBLIC_URL": "https://conduit.example.com",
        "SSL_CERT_FILE": str(relay.certificate),
    }
    with Stack.isolated(tmp_path_factory.mktemp("confirming"), ("api",), settings) as confirming:
        yield confirming


@pytest.fixture
async def new_client(confirming: Stack) -> AsyncIterator[NewClient]:
    async with AsyncExitStack() as opened:

        def make() -> Client:
            http = ClientSession(connector=TCPConnector(local_addr=(new_address(), 0)))
            opened.push_async_callback(http.close)
            return Client(http, confirming.urls.api)

        yield make


async def confirmed(client: Client, token: str) -> Any:
    return await client.put("/accounts/email-confirmation", {"token": token})


def told(stack: Stack, event: str, email: str) -> list[Any]:
    lines = map(json.loads, stack.log("api").read_text().splitlines())
    return [line for line in lines if line.get("event") == event and line.get("to") == email]


async def test_who_signs_up_gets_in_after_the_confirmation(client: Client, relay: Relay) -> None:
    email = new_email()
    await client.sign_up(email)
    assert (await client.sign_in(email)).failure == NOT_CONFIRMED
    [mail] = await relay.mails(email)
    assert "https://conduit.example.com/app/confirm-email#token=" in mail.get_content()
    assert mail["From"] == "Conduit <conduit@example.com>"
    token = token_in(mail)
    reply = await confirmed(client, token)
    assert (reply.status, reply.octets) == (204, b"")
    (await client.sign_in(email)).expect(200)
    assert (await confirmed(client, token)).failure == REFUSED


async def test_a_wrong_password_does_not_tell_that_the_address_waits(client: Client) -> None:
    email = new_email()
    await client.sign_up(email)
    reply = await client.sign_in(email, "wrong password")
    assert reply.failure == (401, "invalid_credentials")


async def test_a_password_reset_confirms_the_address_too(client: Client, relay: Relay) -> None:
    email = new_email()
    await client.sign_up(email)
    (await client.post("/accounts/password-reset", {"email": email})).expect(202)
    mails = await relay.mails(email, 2)
    link = next(mail for mail in mails if "/app/reset-password/" in mail.get_content())
    body = {"token": token_in(link), "new_password": PASSWORD}
    (await client.put("/accounts/password-reset", body)).expect(204)
    (await client.sign_in(email)).expect(200)


@pytest.mark.parametrize(
    ("body", "failure"),
    [
        ({}, (400, "missing_field")),
        ({"token": 1}, (422, "validation_error")),
        ({"token": "unknown"}, REFUSED),
        ({"token": ""}, REFUSED),
    ],
)
async def test_wrong_confirmations_are_refused(
    client: Client, body: object, failure: tuple[int, str]
) -> None:
    assert (await client.put("/accounts/email-confirmation", body)).failure == failure


async def test_confirmations_from_one_address_are_throttled(client: Client) -> None:
    statuses = [(await confirmed(client, f"t{number}")).status for number in range(11)]
    assert statuses == [401] * 10 + [429]


async def test_a_mail_that_is_put_off_is_sent_again(client: Client, relay: Relay) -> None:
    relay.refusals.append("451 4.7.1 try again later")
    email = new_email()
    await client.sign_up(email)
    assert len(await relay.mails(email)) == 1


async def test_a_mail_that_is_refused_is_told_and_not_sent_again(
    client: Client, relay: Relay, confirming: Stack
) -> None:
    relay.refusals.append("554 5.7.1 no")
    email = new_email()
    await client.sign_up(email)
    [line] = await eventually(lambda: told(confirming, "mail.refused", email))
    assert "554" in line["error"]


async def test_a_relay_that_is_away_holds_nothing_up(
    client: Client, relay: Relay, confirming: Stack
) -> None:
    await asyncio.to_thread(relay.stop)
    try:
        email, begun = new_email(), time.monotonic()
        await client.sign_up(email)
        (await client.post("/accounts/password-reset", {"email": email})).expect(202)
        assert time.monotonic() - begun < 5
        await eventually(lambda: "background.postponed" in confirming.log("api").read_text())
    finally:
        await asyncio.to_thread(relay.start)
    assert len(await relay.mails(email, 2)) == 2


async def test_neither_token_nor_password_is_logged(
    client: Client, relay: Relay, confirming: Stack
) -> None:
    email = new_email()
    await client.sign_up(email)
    [mail] = await relay.mails(email)
    await eventually(lambda: told(confirming, "mail.handed_over", email))
    log = confirming.log("api").read_text()
    assert token_in(mail) not in log
    assert quote(RELAY_PASSWORD, safe="") not in log
