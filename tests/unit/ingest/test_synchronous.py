"""The reply to a sender who waited for the endpoint."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit.bus.topology import DELIVERIES, DELIVERIES_BULK, DELIVERIES_SYNC
from conduit.errors import BrokerUnavailable, NoAnswer
from conduit.events import DeliveryAnswered, DeliveryAsked, DeliveryOutcome, Event, MailAccepted
from conduit.model.envelope import Envelope
from conduit.model.verdict import Accept, Defer, Reason, Reject
from conduit.model.webhook import DeliveryMode
from conduit_smtp_ingest.replies import Reply, as_endpoint_says
from conduit_smtp_ingest.synchronous import SyncDelivery, Times, concluded

SYNC, THEN_QUEUED = DeliveryMode.SYNC, DeliveryMode.SYNC_THEN_QUEUED
MAIL = MailAccepted(
    delivery_id="dlv_1",
    message_id="msg_1",
    webhook_id="wh_1",
    envelope=Envelope("a@example.com", ("b@example.com",), "mx.example.com", "192.0.2.1"),
    received_at=datetime(2026, 1, 1, tzinfo=UTC),
    size=1,
    raw=b"x",
)
FAILED = "450 4.3.0 The receiving application does not answer, try again later"
REFUSED = "550 5.3.0 The receiving application refused the mail"
AWAY = "451 4.3.0 Temporary failure, try again later"
OVER_RATE = "450 4.7.1 Too much mail for this address, try again later"
DELIVERED = "250 2.0.0 delivered as dlv_1"
QUEUED = "250 2.0.0 queued as dlv_1"


def said(outcome: str, code: int | None = None, message: str | None = None) -> DeliveryAnswered:
    return DeliveryAnswered("dlv_1", DeliveryOutcome(outcome), code, message)


@pytest.mark.parametrize(
    ("mode", "answered", "line"),
    [
        (SYNC, said("delivered"), DELIVERED),
        (SYNC, said("transient"), FAILED),
        (SYNC, said("permanent"), REFUSED),
        (SYNC, said("over_rate"), OVER_RATE),
        (SYNC, said("unavailable"), AWAY),
        (SYNC, said("queued"), AWAY),
        (SYNC, None, FAILED),
        (SYNC, said("delivered", 251, "Thanks"), "251 2.0.0 Thanks"),
        (SYNC, said("transient", 452, "Full"), "452 4.3.0 Full"),
        (SYNC, said("permanent", 554, "Never"), "554 5.3.0 Never"),
        (SYNC, said("permanent", 554), "554 5.3.0 The receiving application refused the mail"),
        (SYNC, said("permanent", None, "Never"), "550 5.3.0 Never"),
        (SYNC, said("over_rate", 250, "Thanks"), OVER_RATE),
        (THEN_QUEUED, said("delivered"), DELIVERED),
        (THEN_QUEUED, said("delivered", 250, "Thanks"), "250 2.0.0 Thanks"),
        (THEN_QUEUED, said("permanent", 554, "Never"), "554 5.3.0 Never"),
        (THEN_QUEUED, said("transient"), QUEUED),
        (THEN_QUEUED, said("transient", 452, "Full"), QUEUED),
        (THEN_QUEUED, said("over_rate"), QUEUED),
        (THEN_QUEUED, said("queued"), QUEUED),
        (THEN_QUEUED, said("unavailable"), QUEUED),
        (THEN_QUEUED, None, QUEUED),
    ],
)
def test_what_the_sender_is_told(
    mode: DeliveryMode, answered: DeliveryAnswered | None, line: str
) -> None:
    conclusion = concluded("dlv_1", mode, answered)
    assert str(conclusion.reply) == line
    verdict = {2: Accept, 4: Defer, 5: Reject}[conclusion.reply.code // 100]
    assert isinstance(conclusion.verdict, verdict)


@pytest.mark.parametrize(
    ("answered", "on_record"),
    [
        (said("delivered"), True),
        (said("transient"), True),
        (said("permanent"), True),
        (said("over_rate"), False),
        (said("unavailable"), False),
        (None, False),
    ],
)
def test_a_refusal_that_is_no_attempt_is_not_on_record(
    answered: DeliveryAnswered | None, on_record: bool
) -> None:
    assert concluded("dlv_1", SYNC, answered).on_record is on_record


REFUSAL, THANKS = Reply(550, "5.3.0", "No"), Reply(250, "2.0.0", "delivered as dlv_1")
LATER = Reply(450, "4.3.0", "Later")


@pytest.mark.parametrize(
    ("usual", "code", "message", "line"),
    [
        (REFUSAL, 599, None, "599 5.3.0 No"),
        (REFUSAL, 552, "5.2.2 Mailbox full", "552 5.2.2 Mailbox full"),
        (REFUSAL, None, "5.1.1  Who?", "550 5.1.1 Who?"),
        (REFUSAL, 550, "5.1.1", "550 5.1.1 No"),
        (REFUSAL, 550, "4.1.1 Later", "550 5.3.0 4.1.1 Later"),
        (REFUSAL, 550, "5.1 apples", "550 5.3.0 5.1 apples"),
        (REFUSAL, 550, "5.1.1234 x", "550 5.3.0 5.1.1234 x"),
        (REFUSAL, 250, None, "550 5.3.0 No"),
        (REFUSAL, 450, None, "550 5.3.0 No"),
        (REFUSAL, 99_550, None, "550 5.3.0 No"),
        (REFUSAL, 550, "a\r\n250 2.0.0 b", "550 5.3.0 No"),
        (REFUSAL, 550, "Grüße", "550 5.3.0 No"),
        (REFUSAL, 550, "", "550 5.3.0 No"),
        (LATER, 421, "4.3.2 Going down", "450 4.3.2 Going down"),
        (LATER, 421, None, "450 4.3.0 Later"),
        (THANKS, 221, "Bye", "250 2.0.0 Bye"),
        (THANKS, 221, None, "250 2.0.0 delivered as dlv_1"),
        (THANKS, 250, "2.6.0 id 7", "250 2.6.0 id 7"),
    ],
)
def test_the_endpoints_words_fit_their_class(
    usual: Reply, code: int | None, message: str | None, line: str
) -> None:
    assert str(as_endpoint_says(usual, code, message)) == line


@given(st.none() | st.integers(), st.none() | st.text() | st.text("5.1 x", max_size=700))
def test_whatever_is_said_is_a_reply_of_one_line(code: int | None, message: str | None) -> None:
    for usual in (THANKS, LATER, REFUSAL):
        reply = as_endpoint_says(usual, code, message)
        line = f"{reply}\r\n"
        assert len(line.encode()) <= 512
        assert line[:-2].isprintable()
        assert reply.code // 100 == usual.code // 100
        assert (reply.enhanced or "")[0] == str(reply.code)[0]


def test_a_message_of_full_length_is_cut_to_the_line() -> None:
    reply = as_endpoint_says(REFUSAL, 550, "x" * 512)
    assert len(f"{reply}\r\n") == 512


@given(st.floats(0.001, 3600))
def test_the_times_end_before_the_sender_stops_waiting(timeout: float) -> None:
    times = Times.of(timeout)
    assert min(times.taken_within, times.call) > 0
    assert times.taken_within + times.call < timeout


class Dispatcher:
    """The bus in memory: keeps what it was asked, and answers as the test says."""

    def __init__(self, *answers: Event | Exception | None) -> None:
        self.asked: list[tuple[str, Event]] = []
        self.times: list[Sequence[float | None]] = []
        self._answers = list(answers)

    async def call(
        self, queue: str, request: Event, *, deadline: float, taken_within: float | None = None
    ) -> Event:
        self.times.append((deadline, taken_within))
        answer = self._answer(queue, request)
        assert answer is not None
        return answer

    async def publish(self, queue: str, event: Event, *, wait: float) -> Event | None:
        self.times.append((wait,))
        return self._answer(queue, event)

    def _answer(self, queue: str, event: Event) -> Event | None:
        self.asked.append((queue, event))
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def delivery(dispatcher: Dispatcher, lane: str = DELIVERIES) -> SyncDelivery:
    return SyncDelivery(dispatcher, lambda _webhook_id: lane, sync_timeout=25, queued_timeout=5)


async def test_sync_is_a_question_with_times() -> None:
    dispatcher = Dispatcher(said("delivered"))
    conclusion = await delivery(dispatcher).deliver(MAIL, SYNC)
    assert str(conclusion.reply) == DELIVERED
    [(queue, request)] = dispatcher.asked
    assert isinstance(request, DeliveryAsked)
    assert (queue, request.mail) == (DELIVERIES_SYNC, MAIL)
    assert request.within == pytest.approx(19)
    assert dispatcher.times == [(25, pytest.approx(5))]


@pytest.mark.parametrize("lane", [DELIVERIES, DELIVERIES_BULK])
async def test_sync_then_queued_is_a_mail_in_its_lane(lane: str) -> None:
    dispatcher = Dispatcher(said("permanent"))
    conclusion = await delivery(dispatcher, lane).deliver(MAIL, THEN_QUEUED)
    assert str(conclusion.reply) == REFUSED
    assert dispatcher.asked == [(lane, MAIL)]
    assert dispatcher.times == [(5,)]


async def test_without_an_answer_the_sender_tries_again_or_the_queue_goes_on() -> None:
    dispatcher = Dispatcher(NoAnswer("late"), None)
    assert str((await delivery(dispatcher).deliver(MAIL, SYNC)).reply) == FAILED
    assert str((await delivery(dispatcher).deliver(MAIL, THEN_QUEUED)).reply) == QUEUED


@pytest.mark.parametrize("mode", [SYNC, THEN_QUEUED])
async def test_a_broker_that_is_away_is_told(mode: DeliveryMode) -> None:
    dispatcher = Dispatcher(BrokerUnavailable("away"))
    with pytest.raises(BrokerUnavailable):
        await delivery(dispatcher).deliver(MAIL, mode)


@pytest.mark.parametrize("answer", [replace(said("delivered"), delivery_id="dlv_2"), MAIL])
async def test_an_answer_to_another_question_is_none(answer: Event) -> None:
    assert str((await delivery(Dispatcher(answer)).deliver(MAIL, SYNC)).reply) == FAILED


def test_every_refusal_has_its_reason() -> None:
    reasons = {
        "transient": Defer(Reason.ENDPOINT_FAILED),
        "permanent": Reject(Reason.ENDPOINT_REFUSED),
        "over_rate": Defer(Reason.OVER_RATE),
        "unavailable": Defer(Reason.UNAVAILABLE),
    }
    for outcome, verdict in reasons.items():
        assert concluded("dlv_1", SYNC, said(outcome)).verdict == verdict
