"""Identifiers: a prefix that says what is named, and a lower-case ULID, which sorts by time."""

import re
from datetime import datetime
from enum import StrEnum

from ulid import ULID

_ULID = re.compile(r"[0-7][0-9a-hjkmnp-tv-z]{25}")


class Prefix(StrEnum):
    """What an id names."""

    ACCOUNT = "acc"
    SESSION = "ses"
    WEBHOOK = "wh"
    POLICY = "pol"
    DOMAIN = "dom"
    MESSAGE = "msg"
    DELIVERY = "dlv"
    LOG = "log"
    AUDIT = "al"
    TOKEN = "tok"  # noqa: S105 (a kind of id)


def new_id(prefix: Prefix) -> str:
    """Return a new id such as `wh_01jd…`."""
    return f"{prefix}_{str(ULID()).lower()}"


def is_id(prefix: Prefix, text: str) -> bool:
    """Whether `text` has the form of an id with this prefix."""
    head, _, tail = text.partition("_")
    return head == prefix and _ULID.fullmatch(tail) is not None


def made_at(identifier: str) -> datetime:
    """Return when an id was made."""
    return ULID.from_str(ulid_of(identifier)).datetime


def ulid_of(identifier: str) -> str:
    """Return the ULID of an id, without its prefix."""
    return identifier.partition("_")[2]
