"""What became of a webhook call: told apart once, here, and put into words for its owner."""

import re
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from conduit.events import DeliveryAnswered, DeliveryOutcome
from conduit.model.delivery import Result
from conduit_dispatcher.http1 import Reply
from conduit_dispatcher.overrides import CODE, NOTHING_SAID, SmtpReply, smtp_reply

_TRANSIENT = frozenset({408, 425, 429})
_GONE = 410
_LONGEST_TEXT = 500
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a call. `error` is for the owner of the webhook, None when it was taken.

    `called` is false where there was no call after all, or not now: it tells nothing new of the
    endpoint.
    `smtp` is what the endpoint wants the mail's sender to be told, which counts where that one
    waits for it: see `as_it_says`.
    """

    result: Result
    http_status: int | None
    error: str | None
    duration_ms: int
    response: str | None = None
    retry_after: timedelta | None = None
    smtp: SmtpReply = NOTHING_SAID
    called: bool = True

    def as_it_says(self) -> "Answer":
        """The answer by the endpoint's own SMTP code, if it has one. Who is gone stays gone."""
        result = self.smtp.result
        if result is None:
            return self
        if result is Result.DELIVERED:
            return replace(self, result=result, error=None)
        if result is Result.PERMANENT and self.result is Result.GONE:
            result = self.result
        said = f"the endpoint answered {self.http_status} with {CODE} {self.smtp}"
        return replace(self, result=result, error=said)


def told(delivery_id: str, answer: Answer) -> DeliveryAnswered:
    """Return what the sender of the mail is told of an answer."""
    outcome = _OUTCOMES[answer.result]
    return DeliveryAnswered(delivery_id, outcome, answer.smtp.code, answer.smtp.message)


_OUTCOMES = {
    Result.DELIVERED: DeliveryOutcome.DELIVERED,
    Result.TRANSIENT: DeliveryOutcome.TRANSIENT,
    Result.PERMANENT: DeliveryOutcome.PERMANENT,
    Result.GONE: DeliveryOutcome.PERMANENT,
}


def answer_of(reply: Reply, started: float) -> Answer:
    """Return what became of a call that got this reply, or a part of it, or none."""
    if reply.status is None:
        return no_answer(reply.failure or "", started)
    said = _answer(reply, reply.status, started)
    if reply.failure is None:
        return said
    return _broken_answer(said, reply.failure)


def _answer(reply: Reply, status: int, started: float) -> Answer:
    result = _result_of(status)
    return Answer(
        result=result,
        http_status=status,
        error=None if result is Result.DELIVERED else _refusal(reply, status),
        duration_ms=_since(started),
        response=reply.body.decode(errors="replace").replace("\0", "\ufffd") or None,
        retry_after=_retry_after(reply.fields.get("Retry-After")),
        smtp=smtp_reply(reply.fields),
    )


def _broken_answer(said: Answer, why: str) -> Answer:
    """Return what the endpoint said, whose answer did not come whole.

    Where it began to say that it took the mail, it may have failed in the middle: it is asked
    again, under the same id. Any other status stands.
    """
    said = replace(said, response=None)
    if said.result is not Result.DELIVERED:
        return said
    error = f"the endpoint answered {said.http_status}, but its answer did not end: {why}"
    return replace(said, result=Result.TRANSIENT, error=error, smtp=NOTHING_SAID)


def no_answer(error: str, started: float, result: Result = Result.TRANSIENT) -> Answer:
    """Return that no answer came, and why."""
    return Answer(result, None, error, _since(started))


def not_called(
    error: str, result: Result = Result.PERMANENT, smtp: SmtpReply = NOTHING_SAID
) -> Answer:
    """Return that there was no call, and why; by default, why there never will be."""
    return Answer(result, None, error, 0, smtp=smtp, called=False)


def _result_of(status: int) -> Result:
    if 200 <= status < 300:
        return Result.DELIVERED
    if status == _GONE:
        return Result.GONE
    return Result.TRANSIENT if status in _TRANSIENT or status >= 500 else Result.PERMANENT


def _refusal(reply: Reply, status: int) -> str:
    text = f"the endpoint answered {status} {_shown(reply.reason)}".rstrip()
    if 300 <= status < 400:
        location = _shown(reply.fields.get("Location")) or "nowhere"
        text += f", a redirect to {location}, which is not followed"
    return text


def _shown(text: str | None) -> str:
    """Return the head of an endpoint's text as one line that can be kept.

    Octets that are no UTF-8 are lone surrogates in it, which the store refuses.
    """
    head = (text or "")[:_LONGEST_TEXT].encode(errors="surrogateescape")
    return _UNPRINTABLE.sub("\ufffd", head.decode(errors="replace"))


def _since(started: float) -> int:
    return round((time.monotonic() - started) * 1000)


def _retry_after(value: str | None) -> timedelta | None:
    """Read Retry-After (RFC 9110 §10.2.3): seconds or a date; None when it is neither."""
    if value is None:
        return None
    if value.isascii() and value.isdecimal():
        return timedelta(seconds=int(value[:9]))
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, OverflowError):  # of numbers that no date has
        return None
    return max(moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC), timedelta(0))
