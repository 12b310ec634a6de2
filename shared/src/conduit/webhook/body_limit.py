"""A call's body that would be too large, made to fit: parts give way in a stated order.

1. contents of attachments, the last one first, each with the reason in its place
2. `html`, 3. `headers`: left out whole
4. `text`, 5. `stripped_text`: cut after the last character that fits
6. `attachments`, `reply_to`, `cc`, `header_to`: cut after the last entry that fits
7. `header_from`, `authentication`: left out
8. `subject`, 9. the notes on the mail, 10. `to`: cut

What is cut to nothing is left out. Each one that gave way is told in `notes`. What is left then
takes less than SMALLEST_BODY.
"""

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

_Json = dict[str, Any]
_Size = Callable[[int], int]


def encoded(fields: Mapping[str, Any]) -> bytes:
    """Return a payload as the JSON that is sent."""
    return orjson.dumps(fields, option=orjson.OPT_UTC_Z)


def fitted(fields: Mapping[str, Any], limit: int) -> bytes:
    """Return the JSON of a payload that takes more than `limit` octets, in no more than these."""
    payload = _Payload(fields, limit)
    steps = (
        payload.leave_contents_out,
        *(_step(payload.leave_out, name) for name in ("html", "headers")),
        *(_step(payload.cut, name) for name in ("text", "stripped_text")),
        *(_step(payload.cut, name) for name in ("attachments", "reply_to", "cc", "header_to")),
        *(_step(payload.leave_out, name) for name in ("header_from", "authentication")),
        *(_step(payload.cut, name) for name in ("subject", "notes", "to")),
    )
    for step in steps:
        if payload.size() <= limit:
            break
        step()
    return payload.octets()


def _step(action: Callable[[str], None], name: str) -> Callable[[], None]:
    return lambda: action(name)


class _Payload:
    """A payload while it gets smaller."""

    def __init__(self, fields: Mapping[str, Any], limit: int) -> None:
        self._fields = dict(fields)
        self._fields["notes"] = list(fields.get("notes", ()))
        self._told: list[str] = []
        self._limit = limit

    def octets(self) -> bytes:
        """Return it as JSON, with what gave way among its notes."""
        return encoded({**self._fields, "notes": [*self._fields["notes"], *self._told]})

    def size(self) -> int:
        """Octets."""
        return len(self.octets())

    def leave_contents_out(self) -> None:
        """Leave out contents, the last one first, until the rest fits or none are left."""
        attachments = list(self._fields.get("attachments", ()))
        reason = f"the body of a call is limited to {self._limit} octets"
        if not any("content" in attachment for attachment in attachments):
            return
        self._tell("contents of attachments were left out")
        excess = self.size() - self._limit
        for index in reversed(range(len(attachments))):
            if excess <= 0:
                break
            before = attachments[index]
            after = {name: value for name, value in before.items() if name != "content"}
            after["reason"] = before.get("reason", reason)
            saved = len(encoded(before)) - len(encoded(after))
            if saved > 0:
                attachments[index] = after
                excess -= saved
        self._fields["attachments"] = attachments

    def leave_out(self, name: str) -> None:
        """Leave a field out."""
        if self._fields.pop(name, None) is not None:
            self._tell(f"{name} was left out")

    def cut(self, name: str) -> None:
        """Keep so much of the beginning of a text or list as fits; of `to` an empty list at least.

        No longer beginning ever takes fewer octets, so that the longest is found by halving.
        """
        value = self._fields.get(name)
        if not value:
            return
        self._tell(f"{name} was cut")
        self._fields[name] = value[:0]
        room = self._limit - self.size()
        longest = min(len(value), max(room, 0))  # each character and entry takes one octet or more
        count = bisect_right(range(longest + 1), room, key=_size_of(value)) - 1
        if count > 0:
            self._fields[name] = value[:count]
        elif name not in {"to", "notes"}:
            del self._fields[name]
            self._told.pop()
            self._tell(f"{name} was left out")

    def _tell(self, what: str) -> None:
        self._told.append(f"{what}: the body of a call is limited to {self._limit} octets")


def _size_of(value: str | Sequence[Any]) -> _Size:
    """Return what tells the octets that so much of the beginning takes beyond an empty one."""

    def size(count: int) -> int:
        return len(orjson.dumps(value[:count], option=orjson.OPT_UTC_Z)) - 2

    return size
