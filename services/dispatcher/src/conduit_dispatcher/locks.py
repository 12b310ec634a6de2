"""Locks by webhook: one at a time in this process, so that only replicas contend for a document."""

import asyncio
from weakref import WeakValueDictionary


class Locks:
    """Locks that are there as long as somebody has or awaits them."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def of(self, webhook_id: str) -> asyncio.Lock:
        """Return the lock of a webhook."""
        return self._locks.setdefault(webhook_id, asyncio.Lock())
