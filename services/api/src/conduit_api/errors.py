"""What the API answers when it cannot do what was asked: always `{error, code}`.

ApiError
├── BadRequest            400
├── Unauthorized          401
├── Forbidden             403
├── NotFound              404
├── MethodNotAllowed      405
├── RequestTimeout        408
├── Conflict              409
├── Gone                  410
├── BodyTooLarge          413
├── UnsupportedMediaType  415
├── Unprocessable         422
├── TooManyRequests       429
└── ServiceUnavailable    503
"""

from collections.abc import Iterable, Mapping
from math import ceil
from typing import ClassVar

from pydantic import BaseModel, Field

from conduit.errors import ConduitError

RETRY_AFTER = 5
"""Seconds after which a neighbour that is away may be back."""


class Error(BaseModel):
    """The body of every answer from 400 up."""

    error: str = Field(description="Human-readable message")
    code: str = Field(description="machine_readable_code")


class ApiError(ConduitError):
    """An answer from 400 up. `error` is for people, `code` for programs; neither has secrets."""

    status: ClassVar[int]

    def __init__(self, code: str, error: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(error)
        self.body = Error(error=error, code=code)
        self.headers = dict(headers or {})


class BadRequest(ApiError):
    """The body is not JSON, or lacks a field."""

    status = 400


class Unauthorized(ApiError):
    """Who asks did not show that they may."""

    status = 401

    def __init__(self, code: str, error: str) -> None:
        super().__init__(code, error, {"WWW-Authenticate": "Bearer"})


class Forbidden(ApiError):
    """Known, but not allowed this; another credential of the same account may be."""

    status = 403


class NotFound(ApiError):
    """It is not there, or not theirs; the answer does not tell which."""

    status = 404

    def __init__(self, what: str = "resource", code: str = "not_found") -> None:
        super().__init__(code, f"This {what} does not exist.")


class MethodNotAllowed(ApiError):
    """The resource is there, but not for this method."""

    status = 405

    def __init__(self, allowed: Iterable[str]) -> None:
        methods = ", ".join(sorted(allowed))
        super().__init__(
            "method_not_allowed", f"This resource answers {methods}.", {"Allow": methods}
        )


class RequestTimeout(ApiError):
    """The body did not arrive in time."""

    status = 408

    def __init__(self) -> None:
        super().__init__(
            "request_timeout", "The request's body did not arrive.", {"Connection": "close"}
        )


class Conflict(ApiError):
    """It would clash with something that is there."""

    status = 409


class Gone(ApiError):
    """It was there, and will not be again."""

    status = 410


class BodyTooLarge(ApiError):
    """The body is above the limit."""

    status = 413

    def __init__(self, limit: int) -> None:
        super().__init__("body_too_large", f"The request's body may have {limit} bytes at most.")


class UnsupportedMediaType(ApiError):
    """The body is not declared as JSON."""

    status = 415

    def __init__(self) -> None:
        super().__init__(
            "unsupported_media_type", "The request's Content-Type must be application/json."
        )


class Unprocessable(ApiError):
    """Understood, but a value will not do."""

    status = 422


class TooManyRequests(ApiError):
    """Slower. `wait` is in seconds."""

    status = 429

    def __init__(self, wait: float) -> None:
        seconds = max(1, ceil(wait))
        super().__init__(
            "too_many_requests",
            f"Too many attempts; try again in {seconds} seconds.",
            {"Retry-After": str(seconds)},
        )


class ServiceUnavailable(ApiError):
    """A part of Conduit that is needed for the answer is away."""

    status = 503

    def __init__(self) -> None:
        super().__init__(
            "unavailable",
            "Conduit cannot do this at the moment; try again soon.",
            {"Retry-After": str(RETRY_AFTER)},
        )
