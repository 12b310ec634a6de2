"""What became of a webhook call: told apart once, here, and put into words for its owner."""

import re
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import aiohttp

from conduit.events import DeliveryAnswered, DeliveryOutcome
from conduit.model.delivery import Result
from conduit_dispatcher.connections import TooManyInterim
from conduit_dispatcher.overrides import CODE, NOTHING_SAID, SmtpReply, smtp_reply

_TRANSIENT = frozenset({408, 425, 429})
_GONE = 410
_LONGEST_TEXT = 500
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class EgressDenied(OSError):
    """The endpoint's address is on a network that may not be called."""


class ProxyFailed(OSError):
    """The egress proxy made no connection to the endpoint; the text is for the webhook's owner."""


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


def answer(response: aiohttp.ClientResponse, head: bytes, started: float) -> Answer:
    """Return what the endpoint said. `head` is the beginning of its answer's body."""
    result = _result_of(response.status)
    return Answer(
        result=result,
        http_status=response.status,
        error=None if result is Result.DELIVERED else _refusal(response),
        duration_ms=_since(started),
        response=head.decode(errors="replace").replace("\0", "\ufffd") or None,
        retry_after=_retry_after(response.headers.get("Retry-After")),
        smtp=smtp_reply(response.headers),
    )


def broken_answer(response: aiohttp.ClientResponse, why: str, started: float) -> Answer:
    """Return what the endpoint said, whose answer did not come whole.

    Where it began to say that it took the mail, it may have failed in the middle: it is asked
    again, under the same id. Any other status stands.
    """
    said = answer(response, b"", started)
    if said.result is not Result.DELIVERED:
        return said
    error = f"the endpoint answered {response.status}, but its answer did not end: {why}"
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


def _refusal(response: aiohttp.ClientResponse) -> str:
    text = f"the endpoint answered {response.status} {_shown(response.reason)}".rstrip()
    if 300 <= response.status < 400:
        location = _shown(response.headers.get("Location")) or "nowhere"
        text += f", a redirect to {location}, which is not followed"
    return text


def _shown(text: str | None) -> str:
    """Return the head of an endpoint's text as one line that can be kept.

    aiohttp keeps octets that are no UTF-8 as lone surrogates, which the store refuses.
    """
    head = (text or "")[:_LONGEST_TEXT].encode(errors="surrogateescape")
    return _UNPRINTABLE.sub("\ufffd", head.decode(errors="replace"))


def explained(error: Exception) -> str:
    """Say why no answer came."""
    for cause in _causes(error):
        match cause:
            case EgressDenied() | ProxyFailed():
                return str(cause)
            case ssl.SSLError() if not isinstance(cause, aiohttp.ClientError):
                return f"TLS failed: {cause.reason or cause}"
    return _explained(error)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _explained(error: Exception) -> str:
    match error:
        case aiohttp.ClientConnectorDNSError():
            text = f"the name {error.host} cannot be resolved"
        case aiohttp.ClientConnectorError():
            why = error.strerror or str(error.os_error) or "the connection was closed"
            text = f"cannot connect to {error.host}:{error.port}: {why}"
        case aiohttp.ServerTimeoutError():
            text = "connecting took too long"
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientOSError():
            text = "the endpoint closed the connection without an answer"
        case aiohttp.ClientPayloadError():
            text = "the endpoint's answer broke off"
        case TooManyInterim():
            text = "the endpoint sent too many interim answers (1xx)"
        case aiohttp.ClientResponseError():
            # What aiohttp says, without what it cites of the answer.
            text = f"the endpoint's answer is not valid HTTP: {re.split('[:(]', error.message)[0]}"
        case _:
            text = f"the endpoint's answer is not valid HTTP ({type(error).__name__})"
    return text


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
