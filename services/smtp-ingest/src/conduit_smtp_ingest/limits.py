"""The bounds of a session and of all sessions together."""

from dataclasses import dataclass

from conduit_smtp_ingest.settings import IngestSettings

COMMAND = 2048
"""Octets of a command line with its end: RFC 5321's 512, and what extensions add."""

READ_AHEAD = 64 * 1024
"""Octets that are read before somebody asks for them, per connection."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one session may do; sizes in octets, times in seconds."""

    size: int
    line: int
    recipients: int
    errors: int
    unknown: int
    idle: float
    total: float

    @classmethod
    def of(cls, settings: IngestSettings) -> "Limits":
        """Return the limits that the settings give."""
        return cls(
            size=settings.smtp_size_limit,
            line=settings.smtp_line_limit,
            recipients=settings.smtp_recipient_limit,
            errors=settings.smtp_error_limit,
            unknown=settings.smtp_unknown_limit,
            idle=settings.smtp_idle_timeout,
            total=settings.smtp_session_timeout,
        )


class Budget:
    """Memory for unfinished mails, over all sessions of this process."""

    def __init__(self, octets: int) -> None:
        self._left = octets

    def take(self, octets: int) -> bool:
        """Take some; return whether there was enough."""
        if octets > self._left:
            return False
        self._left -= octets
        return True

    def give_back(self, octets: int) -> None:
        """Give back what was taken."""
        self._left += octets
