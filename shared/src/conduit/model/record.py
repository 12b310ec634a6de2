"""The base of everything that is kept under an id and changed with optimistic locking."""

from datetime import UTC, datetime
from time import time_ns

from pydantic import BaseModel, ConfigDict


def utc_now() -> datetime:
    """Return the present moment to the millisecond, which is what the store keeps."""
    return datetime.fromtimestamp(time_ns() // 1_000_000 / 1000, UTC)


class Frozen(BaseModel):
    """An immutable value that refuses fields it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Record(BaseModel):
    """A kept document. `version` counts its changes; a replace with a stale one is refused.

    Unknown fields are ignored, because during a rollout a newer Conduit may have written them.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    version: int = 0
    created_at: datetime
    updated_at: datetime
