"""The bounds of a session and of all sessions together."""

from dataclasses import dataclass

from conduit_smtp_ingest.settings import IngestSettings


@dataclass(frozen=True, slots=True)
class Limits:
    """What one session may do, and as whom it speaks.

    Sizes are in octets, times in seconds, `data_rate` in octets a second.
    """

    hostname: str
    size: int
    line: int
    command_line: int
    commands: int
    errors: int
    unknown: int
    auth_failures: int
    idle: float
    total: float
    data_rate: float
    greeting_delay: float

    @classmethod
    def of(cls, settings: IngestSettings) -> "Limits":
        """Return the limits that the settings give."""
        return cls(
            hostname=settings.smtp_hostname,
            size=settings.smtp_size_limit,
            line=settings.smtp_line_limit,
            command_line=settings.smtp_command_line_limit,
            commands=settings.smtp_command_limit,
            errors=settings.smtp_error_limit,
            unknown=settings.smtp_unknown_limit,
            auth_failures=settings.smtp_auth_failure_limit,
            idle=settings.smtp_idle_timeout,
            total=settings.smtp_session_timeout,
            data_rate=settings.smtp_data_rate,
            greeting_delay=settings.smtp_greeting_delay,
        )


_SMALL = 256 * 1024  # octets of a mail
_FOR_SMALL = 8  # the part of the memory that larger mails leave to others


class Budget:
    """Memory for unfinished mails, over all sessions of this process.

    Large mails leave some of it, or a few of them, never finished, would keep all others out.
    """

    def __init__(self, octets: int) -> None:
        self._left = octets
        self._for_small = octets // _FOR_SMALL

    def take(self, octets: int, held: int = 0) -> bool:
        """Take some for a mail that has `held` already; return whether there was enough."""
        spared = self._for_small if held > _SMALL else 0
        if octets > self._left - spared:
            return False
        self._left -= octets
        return True

    def give_back(self, octets: int) -> None:
        """Give back what was taken."""
        self._left += octets
