"""What became of a webhook call: told apart once, here, and put into words for its owner."""

import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import aiohttp

from conduit.model.delivery import Result

_TRANSIENT = frozenset({408, 425, 429})
_GONE = 410
_LONGEST_LOCATION = 500


class EgressDenied(OSError):
    """The endpoint's address is on a network that may not be called."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a call. `error` is for the owner of the webhook, None when it was taken."""

    result: Result
    http_status: int | None
    error: str | None
    duration_ms: int
    response: str | None = None
    retry_after: timedelta | None = None


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
    )


def no_answer(error: str, started: float, result: Result = Result.TRANSIENT) -> Answer:
    """Return that no answer came, and why."""
    return Answer(result, None, error, _since(started))


def not_called(error: str) -> Answer:
    """Return that there was no call, and why there never will be."""
    return Answer(Result.PERMANENT, None, error, 0)


def _result_of(status: int) -> Result:
    if 200 <= status < 300:
        return Result.DELIVERED
    if status == _GONE:
        return Result.GONE
    return Result.TRANSIENT if status in _TRANSIENT or status >= 500 else Result.PERMANENT


def _refusal(response: aiohttp.ClientResponse) -> str:
    text = f"the endpoint answered {response.status} {response.reason or ''}".rstrip()
    if 300 <= response.status < 400:
        location = response.headers.get("Location", "nowhere")[:_LONGEST_LOCATION]
        text += f", a redirect to {location}, which is not followed"
    return text


def explained(error: Exception) -> str:
    """Say why no answer came."""
    for cause in _causes(error):
        match cause:
            case EgressDenied():
                return str(cause)
            case ssl.SSLError():
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
            text = f"cannot connect to {error.host}:{error.port}: {error.strerror or error}"
        case aiohttp.ServerTimeoutError():
            text = "connecting took too long"
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientOSError():
            text = "the endpoint closed the connection without an answer"
        case aiohttp.ClientPayloadError():
            text = "the endpoint's answer broke off"
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
    except ValueError:
        return None
    return max(moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC), timedelta(0))
