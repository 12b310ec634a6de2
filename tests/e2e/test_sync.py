"""Mail whose sender waits for the endpoint, from its SMTP dialogue to the log, whoever fails."""

import asyncio
import base64
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from conduit_local.receiver import Answer, Receiver
from conduit_local.stack import Stack
from tests.support.infrastructure import Broker
from tests.support.polling import eventually
from tests.support.smtp import Client, greeted
from tests.support.user import User

SYNC_SECONDS = 8.0
THEN_QUEUED_SECONDS = 4.0
SYNC_LIMIT = 2
MEBIBYTE = 1024 * 1024

SETTINGS = {
    "CONDUIT_SMTP_SYNC_TIMEOUT": str(SYNC_SECONDS),
    "CONDUIT_SMTP_SYNC_THEN_QUEUED_TIMEOUT": str(THEN_QUEUED_SECONDS),
    "CONDUIT_SMTP_SYNC_LIMIT": str(SYNC_LIMIT),
    "CONDUIT_SMTP_WEBHOOK_CACHE": "0.05",
    "CONDUIT_DISPATCHER_WEBHOOK_CACHE": "0.05",
    "CONDUIT_RETRY_DELAYS": "1,1,1",
    "CONDUIT_RETRY_JITTER": "0",
}

SYNC = {"delivery_mode": "sync"}
THEN_QUEUED = {"delivery_mode": "sync_then_queued"}

FAILED = "450 4.3.0 The receiving application does not answer, try again later"
REFUSED = "550 5.3.0 The receiving application refused the mail"
OVER_RATE = "450 4.7.1 Too much mail for this address, try again later"
AWAY = "451 4.3.0 Temporary failure, try again later"
SWITCHED_OFF = "550 5.2.1 This address takes no mail at present"
TOO_LARGE = "552 5.3.4 Message too large"
STOPPING = b"421 4.3.2 Service is going down, try again later\r\n"

MAIL = b"From: ann@example.com\r\nSubject: Hello\r\n\r\nIt works.\r\n"

Webhook = dict[str, Any]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack of these tests' own: its senders wait for seconds, and its parts are ended."""
    with Stack.isolated(tmp_path_factory.mktemp("sync"), settings=SETTINGS) as stack:
        yield stack


@pytest.fixture
def smtp(stack: Stack) -> int:
    """The port on which the stack takes mail."""
    port = urlsplit(stack.urls.smtp).port
    assert port is not None
    return port


async def send(smtp: int, webhook: Webhook, content: bytes = MAIL) -> str:
    """Send a mail; return the reply to it, for which its sender is patient."""
    async with greeted(smtp) as client:
        return await client.mail(content, webhook["address"], within=60)


def id_in(reply: str) -> str:
    """Return the delivery that a reply names."""
    return reply.rpartition(" ")[2]


async def history(smtp: int, user: User, webhook: Webhook) -> list[dict[str, Any]]:
    """Return the log, oldest first, when all is in it that was refused.

    Refusals are written a moment later, in their order, so that one more tells of the end.
    """
    await user.call("PUT", f"/webhooks/{webhook['id']}", {"active": False})

    async def is_switched_off() -> bool:
        async with greeted(smtp) as client:
            await client.expect("MAIL FROM:<ann@example.com>", "250")
            return await client.command(f"RCPT TO:<{webhook['address']}>") == SWITCHED_OFF

    async def last_is_refused() -> list[dict[str, Any]]:
        entries = await user.logs(webhook, 1)
        return entries if entries[-1].get("reason") == "inactive_webhook" else []

    await eventually(is_switched_off, what="the refusal")
    entries: list[dict[str, Any]] = await eventually(last_is_refused, what="its entry")
    return entries[:-1]


async def flows_again(smtp: int, user: User, receiver: Receiver) -> None:
    """Return when all have found back to the broker, each in its own time."""
    for mode in (SYNC, THEN_QUEUED):
        webhook = await user.webhook(f"{receiver.url}/again", **mode)

        async def is_delivered(webhook: Webhook = webhook) -> bool:
            return (await send(smtp, webhook)).startswith("250 2.0.0 delivered as ")

        await eventually(is_delivered, within=60, what=f"a mail in {mode['delivery_mode']}")


@pytest.mark.parametrize(
    ("answer", "reply", "status"),
    [
        (Answer(204), "250 2.0.0 delivered as", "delivered"),
        (Answer(404), REFUSED, "permanent"),
        (Answer(302), REFUSED, "permanent"),
        (Answer(429), FAILED, "transient"),
        (Answer(503), FAILED, "transient"),
        (
            Answer(200, {"X-Conduit-SMTP-Code": "550"}),
            REFUSED,
            "permanent",
        ),
        (
            Answer(
                200,
                {
                    "X-Conduit-SMTP-Code": "551",
                    "X-Conduit-SMTP-Message": "5.1.6 Moved to bob@example.com",
                },
            ),
            "551 5.1.6 Moved to bob@example.com",
            "permanent",
        ),
        (
            Answer(404, {"X-Conduit-SMTP-Message": "No such customer"}),
            "550 5.3.0 No such customer",
            "permanent",
        ),
        (
            Answer(200, {"X-Conduit-SMTP-Code": "452", "X-Conduit-SMTP-Message": "4.2.2 Full"}),
            "452 4.2.2 Full",
            "transient",
        ),
        (
            Answer(500, {"X-Conduit-SMTP-Code": "250", "X-Conduit-SMTP-Message": "Filed as 7"}),
            "250 2.0.0 Filed as 7",
            "delivered",
        ),
        (Answer(200, {"X-Conduit-SMTP-Code": "354"}), "250 2.0.0 delivered as", "delivered"),
        (Answer(404, {"X-Conduit-SMTP-Code": "421"}), FAILED, "transient"),
    ],
)
async def test_the_sender_is_told_what_the_endpoint_says_and_the_log_has_it_once(
    smtp: int, user: User, receiver: Receiver, answer: Answer, reply: str, status: str
) -> None:
    receiver.always_answer(answer)
    webhook = await user.webhook(receiver.url, **SYNC)
    assert (await send(smtp, webhook)).startswith(reply)
    [call] = receiver.requests
    [entry] = await history(smtp, user, webhook)
    assert (entry["status"], entry["http_status"]) == (status, answer.status)
    assert entry["delivery_id"] == call.webhook_id
    assert len(receiver.requests) == 1


async def test_the_id_in_the_reply_is_the_calls(smtp: int, user: User, receiver: Receiver) -> None:
    for mode in (SYNC, THEN_QUEUED):
        webhook = await user.webhook(receiver.url, **mode)
        reply = await send(smtp, webhook)
        assert reply == f"250 2.0.0 delivered as {receiver.requests[-1].webhook_id}"


async def test_an_endpoint_that_is_away_is_a_450_or_the_queues_business(
    smtp: int, user: User, receiver: Receiver
) -> None:
    sync = await user.webhook(receiver.url, **SYNC)
    then_queued = await user.webhook(receiver.url, **THEN_QUEUED)
    await receiver.close()
    assert await send(smtp, sync) == FAILED
    reply = await send(smtp, then_queued)
    assert reply.startswith("250 2.0.0 queued as dlv_")
    await receiver.open()
    [call] = await receiver.wait_for(1, timeout=30)
    assert call.webhook_id == id_in(reply)
    [entry] = await history(smtp, user, sync)
    assert entry["status"] == "transient"


async def test_what_is_over_the_rate_is_deferred_and_logged_as_refused(
    smtp: int, user: User, receiver: Receiver
) -> None:
    webhook = await user.webhook(receiver.url, rate_limit=1, **SYNC)
    assert (await send(smtp, webhook)).startswith("250 ")
    assert await send(smtp, webhook) == OVER_RATE
    delivered, refused = await history(smtp, user, webhook)
    assert delivered["status"] == "delivered"
    assert (refused["status"], refused["reason"]) == ("refused", "over_rate")
    assert refused["smtp_reply"] == OVER_RATE
    assert len(receiver.requests) == 1


async def test_a_slow_endpoint_holds_senders_no_longer_than_they_wait(
    smtp: int, user: User, receiver: Receiver
) -> None:
    receiver.answer(Answer(delay=60), path="/sync")
    receiver.answer(Answer(delay=THEN_QUEUED_SECONDS + 2), path="/then-queued")
    sync = await user.webhook(f"{receiver.url}/sync", **SYNC)
    then_queued = await user.webhook(f"{receiver.url}/then-queued", **THEN_QUEUED)
    async with asyncio.timeout(SYNC_SECONDS + 20):
        reply, queued = await asyncio.gather(send(smtp, sync), send(smtp, then_queued))
    assert reply == FAILED
    assert queued.startswith("250 2.0.0 queued as dlv_")
    [entry] = await user.logs(then_queued, 1)
    assert (entry["status"], entry["delivery_id"]) == ("delivered", id_in(queued))
    assert [call.webhook_id for call in receiver.at("/then-queued")] == [id_in(queued)]
    [entry] = await history(smtp, user, sync)
    assert entry["status"] == "transient"
    assert len(receiver.at("/sync")) == 1


async def test_then_queued_refuses_what_the_endpoint_refuses_in_time(
    smtp: int, user: User, receiver: Receiver
) -> None:
    receiver.always_answer(
        Answer(422, {"X-Conduit-SMTP-Message": "5.7.1 We do not take orders by mail"})
    )
    webhook = await user.webhook(receiver.url, **THEN_QUEUED)
    assert await send(smtp, webhook) == "550 5.7.1 We do not take orders by mail"
    [entry] = await history(smtp, user, webhook)
    assert (entry["status"], entry["http_status"]) == ("permanent", 422)
    assert len(receiver.requests) == 1


async def test_then_queued_tries_again_under_the_same_id(
    smtp: int, user: User, receiver: Receiver
) -> None:
    receiver.answer(503, Answer(200, {"X-Conduit-SMTP-Code": "450"}))
    webhook = await user.webhook(receiver.url, **THEN_QUEUED)
    reply = await send(smtp, webhook)
    assert reply.startswith("250 2.0.0 queued as dlv_")
    entries = await user.logs(webhook, 3, within=30)
    assert [entry["status"] for entry in entries] == ["transient", "transient", "delivered"]
    assert [call.webhook_id for call in receiver.requests] == [id_in(reply)] * 3


async def test_of_one_webhook_only_some_senders_may_wait(
    smtp: int, user: User, receiver: Receiver
) -> None:
    receiver.always_answer(Answer(delay=SYNC_SECONDS / 2), path="/slow")
    slow = await user.webhook(f"{receiver.url}/slow", **SYNC)
    quick = await user.webhook(f"{receiver.url}/quick", **SYNC)
    waiting = [asyncio.create_task(send(smtp, slow)) for _ in range(SYNC_LIMIT)]
    await receiver.wait_for(SYNC_LIMIT, path="/slow")
    assert await send(smtp, slow) == OVER_RATE
    assert (await send(smtp, quick)).startswith("250 ")
    assert all(reply.startswith("250 ") for reply in await asyncio.gather(*waiting))
    assert (await send(smtp, slow)).startswith("250 ")
    entries = await history(smtp, user, slow)
    assert sorted(entry["status"] for entry in entries) == ["delivered"] * 3 + ["refused"]


async def test_a_sender_that_closes_its_side_is_still_told(
    smtp: int, user: User, receiver: Receiver
) -> None:
    receiver.always_answer(Answer(delay=1))
    webhook = await user.webhook(receiver.url, **SYNC)
    async with greeted(smtp) as client:
        await client.begin(webhook["address"])
        await client.send(MAIL + b".\r\n")
        client.writer.write_eof()
        assert (await client.reply(30)).startswith("250 2.0.0 delivered as ")


async def test_what_a_sender_does_not_wait_for_is_on_record(
    smtp: int, user: User, receiver: Receiver
) -> None:
    receiver.always_answer(Answer(delay=1))
    for mode in (SYNC, THEN_QUEUED):
        webhook = await user.webhook(receiver.url, **mode)
        seen = len(receiver.requests)
        async with greeted(smtp) as client:
            await client.begin(webhook["address"])
            await client.send(MAIL + b".\r\n")
            await receiver.wait_for(seen + 1)
        [entry] = await user.logs(webhook, 1)
        assert entry["status"] == "delivered"
        assert entry["delivery_id"] == receiver.requests[seen].webhook_id


async def test_a_mail_of_20_megabytes_is_delivered_while_its_sender_waits(
    smtp: int, user: User, receiver: Receiver
) -> None:
    webhook = await user.webhook(receiver.url, **SYNC)
    attached = bytes(range(256)) * (15 * MEBIBYTE // 256)
    content = (
        b"Subject: large\r\nMIME-Version: 1.0\r\nContent-Type: application/octet-stream\r\n"
        b"Content-Disposition: attachment; filename=large.bin\r\n"
        b"Content-Transfer-Encoding: base64\r\n\r\n"
    ) + base64.encodebytes(attached).replace(b"\n", b"\r\n")
    assert len(content) > 20 * MEBIBYTE
    assert (await send(smtp, webhook, content)).startswith("250 2.0.0 delivered as ")
    [call] = receiver.requests
    [attachment] = call.json()["attachments"]
    assert (attachment["filename"], attachment["size"]) == ("large.bin", len(attached))


async def test_mail_that_is_refused_by_the_rules_is_in_the_log(
    smtp: int, user: User, receiver: Receiver
) -> None:
    webhook = await user.webhook(receiver.url)
    large = b"Subject: large\r\n\r\n" + b"x" * 998 + b"\r\n"
    assert await send(smtp, webhook, large + large[18:] * 27_000) == TOO_LARGE
    await history(smtp, user, webhook)
    too_large, switched_off = await user.logs(webhook, 2)
    expected = {
        "status": "refused",
        "sender": "ann@example.com",
        "recipients": [webhook["address"]],
        "remote_ip": "127.0.0.1",
        "helo": "client.example",
    }
    assert expected.items() <= too_large.items()
    assert (too_large["reason"], too_large["smtp_reply"]) == ("too_large", TOO_LARGE)
    assert expected.items() <= switched_off.items()
    assert switched_off["smtp_reply"] == SWITCHED_OFF
    refused = await user.call("GET", f"/webhooks/{webhook['id']}/logs?status=refused")
    assert refused == [switched_off, too_large]
    assert receiver.requests == []


async def test_a_stop_of_the_ingest_gives_the_reply_first(
    stack: Stack, smtp: int, user: User, receiver: Receiver
) -> None:
    receiver.always_answer(Answer(delay=2))
    webhook = await user.webhook(receiver.url, **SYNC)
    async with greeted(smtp) as client:
        await client.begin(webhook["address"])
        await client.send(MAIL + b".\r\n")
        await receiver.wait_for(1)
        stopping = asyncio.create_task(asyncio.to_thread(stack.stop_program, "smtp-ingest"))
        assert (await client.reply(30)).startswith("250 2.0.0 delivered as ")
        assert await client.rest() == STOPPING
    await stopping
    stack.start_program("smtp-ingest")
    await asyncio.to_thread(stack.wait_ready)


async def test_without_a_dispatcher_senders_are_deferred_in_time_and_none_is_called_for_later(
    stack: Stack, smtp: int, user: User, receiver: Receiver
) -> None:
    sync = await user.webhook(f"{receiver.url}/sync", **SYNC)
    then_queued = await user.webhook(f"{receiver.url}/then-queued", **THEN_QUEUED)
    await asyncio.to_thread(stack.stop_program, "dispatcher")
    async with asyncio.timeout(SYNC_SECONDS + 20):
        reply, queued = await asyncio.gather(send(smtp, sync), send(smtp, then_queued))
    assert reply == FAILED
    assert queued.startswith("250 2.0.0 queued as dlv_")
    stack.start_program("dispatcher")
    await asyncio.to_thread(stack.wait_ready)
    [call] = await receiver.wait_for(1, path="/then-queued", timeout=30)
    assert call.webhook_id == id_in(queued)
    later = await send(smtp, sync)
    assert later == f"250 2.0.0 delivered as {id_in(later)}"
    assert [call.webhook_id for call in receiver.at("/sync")] == [id_in(later)]
    refused, delivered = await history(smtp, user, sync)
    assert (refused["reason"], refused["smtp_reply"]) == ("endpoint_failed", FAILED)
    assert delivered["status"] == "delivered"


async def test_a_dispatcher_that_is_killed_during_a_call_repeats_it_under_the_same_id(
    stack: Stack, smtp: int, user: User, receiver: Receiver
) -> None:
    receiver.answer(Answer(delay=60), path="/sync")
    receiver.answer(Answer(delay=60), path="/then-queued")
    sync = await user.webhook(f"{receiver.url}/sync", **SYNC)
    then_queued = await user.webhook(f"{receiver.url}/then-queued", **THEN_QUEUED)
    waiting = [asyncio.create_task(send(smtp, webhook)) for webhook in (sync, then_queued)]
    await receiver.wait_for(2)
    stack.kill("dispatcher")
    reply, queued = await asyncio.gather(*waiting)
    # Whether it is back before the question expires is the supervisor's business.
    assert reply == FAILED or reply.startswith("250 2.0.0 delivered as ")
    assert queued.startswith("250 2.0.0 ")
    calls = await receiver.wait_for(2, path="/then-queued", timeout=30)
    assert {call.webhook_id for call in calls} == {id_in(queued)}
    await asyncio.to_thread(stack.wait_ready)
    assert len({call.webhook_id for call in receiver.at("/sync")}) == 1
    assert len(receiver.at("/sync")) == (1 if reply == FAILED else 2)
    [entry] = await user.logs(then_queued, 1, within=30)
    assert (entry["status"], entry["attempt"]) == ("delivered", 1)


async def test_without_a_broker_senders_are_deferred_at_once(
    stack: Stack, smtp: int, user: User, receiver: Receiver
) -> None:
    webhooks = [await user.webhook(receiver.url, **mode) for mode in (SYNC, THEN_QUEUED)]
    broker = Broker(stack)
    await asyncio.to_thread(broker.stop)
    for webhook in webhooks:
        assert await send(smtp, webhook) == AWAY
    await asyncio.to_thread(broker.start)
    await flows_again(smtp, user, receiver)
    for webhook in webhooks:
        assert (await send(smtp, webhook)).startswith("250 2.0.0 delivered as ")
        refused, delivered = await history(smtp, user, webhook)
        assert (refused["reason"], refused["smtp_reply"]) == ("unavailable", AWAY)
        assert delivered["status"] == "delivered"


async def test_a_broker_that_is_killed_lets_nobody_wait_for_an_answer_that_cannot_come(
    stack: Stack, smtp: int, user: User, receiver: Receiver
) -> None:
    receiver.always_answer(Answer(delay=60), path="/sync")
    receiver.answer(Answer(delay=1), path="/then-queued")
    sync = await user.webhook(f"{receiver.url}/sync", **SYNC)
    then_queued = await user.webhook(f"{receiver.url}/then-queued", **THEN_QUEUED)

    async def waiting(client: Client, webhook: Webhook) -> None:
        await client.begin(webhook["address"])
        await client.send(MAIL + b".\r\n")

    async with greeted(smtp) as one, greeted(smtp) as other:
        await waiting(one, sync)
        await waiting(other, then_queued)
        await receiver.wait_for(2)
        await asyncio.to_thread(Broker(stack).kill)
        # The one at its deadline would be told 450.
        assert await one.reply(30) == AWAY
        queued = await other.reply(30)
    assert queued.startswith("250 2.0.0 ")
    await flows_again(smtp, user, receiver)
    [entry] = await user.logs(then_queued, 1, within=30)
    assert (entry["status"], entry["delivery_id"]) == ("delivered", id_in(queued))
    assert {call.webhook_id for call in receiver.at("/then-queued")} == {id_in(queued)}
