"""A mail as it was received."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Message:
    """The raw octets of one mail (RFC 5322), without dot-stuffing, under the id of its receipt."""

    id: str
    received_at: datetime
    raw: bytes

    @property
    def size(self) -> int:
        """Octets."""
        return len(self.raw)
