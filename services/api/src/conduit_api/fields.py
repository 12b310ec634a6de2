"""Field types and base models of the API's requests and responses."""

import re
from datetime import UTC, datetime
from typing import Annotated, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
)
from pydantic_core import CoreSchema

T = TypeVar("T")


class Request(BaseModel):
    """What a client sends: exact types, and no field that would be overlooked."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class Query(BaseModel):
    """Parameters of a query string, where others may stand too, such as those of a tracker."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")


class NoInput(Query):
    """For operations that read nothing."""


class Response(BaseModel):
    """What a client gets. Fields that are None are left out; later versions may add some."""

    model_config = ConfigDict(frozen=True)


class _NeverNull:
    """Takes `null` out of the values of an optional field."""

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        schema = handler(source)
        return schema["schema"] if schema["type"] == "nullable" else schema


Omittable = Annotated[T | None, _NeverNull()]
"""A field that may be left out, and then is None here; `null` is a wrong type on the wire."""


# Dot-atoms (RFC 5322 §3.2.3) at a host name with at least one dot: what sign-up forms take.
_ATOM = r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_EMAIL = re.compile(rf"(?=.{{1,64}}@){_ATOM}(?:\.{_ATOM})*@(?:{_LABEL}\.)+(?=[a-z]){_LABEL}")


def _email(text: str) -> str:
    lowered = text.lower()
    if len(lowered) > 254 or not _EMAIL.fullmatch(lowered):
        raise ValueError("This is not an e-mail address.")
    return lowered


Email = Annotated[str, AfterValidator(_email), Field(json_schema_extra={"format": "email"})]
"""An e-mail address, lower-cased."""


_MOMENT = re.compile(
    r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d)", re.ASCII
)


def _moment(value: object) -> object:
    """Read a moment; a value of another type is left for the field to refuse."""
    if not isinstance(value, str):
        return value
    moment = _parsed(value)
    if moment is None:
        raise ValueError(
            "This is not a moment of RFC 3339 with its offset, such as 2026-04-02T12:00:00Z; "
            "in a URL, + is written %2B."
        )
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def _parsed(text: str) -> datetime | None:
    if not _MOMENT.fullmatch(text):
        return None
    try:
        return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError):  # there is no such day, or it is before the year 1
        return None


Moment = Annotated[datetime, BeforeValidator(_moment)]
"""A moment as RFC 3339 writes it, its offset included; in UTC here, to the store's millisecond."""
