"""MAIL's parameters: SIZE (RFC 1870), BODY (RFC 6152), SMTPUTF8 (RFC 6531), AUTH (RFC 4954)."""

import re
from dataclasses import dataclass

from conduit_smtp_ingest.replies import BAD_PARAMETER, UNKNOWN_PARAMETER, Reply

_size = re.compile("[0-9]{1,20}")  # RFC 1870 §4


class ParameterError(ValueError):
    """A parameter that is malformed or unknown; `reply` says so."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(str(reply))
        self.reply = reply


@dataclass(frozen=True, slots=True)
class MailParameters:
    """What a client announces of its mail. `size` is in octets, 0 when it says nothing."""

    size: int = 0
    utf8: bool = False

    @classmethod
    def parse(cls, text: str) -> "MailParameters":
        """Read the parameters, or raise ParameterError."""
        size, utf8 = 0, False
        for parameter in filter(None, text.split(" ")):
            keyword, equals, value = parameter.partition("=")
            match keyword.upper(), equals, value.upper():
                case "SIZE", "=", digits if _size.fullmatch(digits):
                    size = int(digits)
                case "BODY", "=", "7BIT" | "8BITMIME":
                    pass  # we take 8 bits either way
                case "AUTH", "=", str() if value:
                    pass  # on whose behalf (RFC 4954 §5): we take nobody's word for it
                case "SMTPUTF8", "", _:
                    utf8 = True
                case "SIZE" | "BODY" | "AUTH" | "SMTPUTF8", _, _:
                    raise ParameterError(BAD_PARAMETER)
                case _:
                    raise ParameterError(UNKNOWN_PARAMETER)
        return cls(size, utf8)
