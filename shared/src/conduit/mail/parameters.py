"""Values with parameters, as in Content-Type and Content-Disposition (RFC 2045 §5.1, RFC 2231)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

from conduit.mail.charset import decode
from conduit.mail.notes import Notes
from conduit.mail.words import Value, line_of

MAX_VALUE = 16_384  # octets; a file name of 255 characters takes 2,300 when each is %-encoded

_PARAMETER = re.compile(
    r';\s*+([^\s=;"]++)\s*+=\s*+(?:"((?:[^"\\]++|\\.)*+)"?+|([^;]*+))', re.DOTALL
)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_EXTENDED = re.compile(r"([^*]+)\*(?:([0-9]{1,3})(\*?))?")


@dataclass(frozen=True, slots=True)
class Parametrised:
    """A value in lower case, and its parameters under names in lower case."""

    value: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)

    def token(self, name: str) -> str:
        """A parameter without what follows the first white space, such as a comment."""
        words = self.parameters.get(name, "").split(None, 1)
        return words[0] if words else ""


def read_parametrised(value: Value, notes: Notes) -> Parametrised:
    """Read a field's value."""
    if len(value) > MAX_VALUE:
        notes.add(f"a content field of more than {MAX_VALUE} octets was cut")
    text = line_of(value[:MAX_VALUE], notes)
    head, semicolon, _ = text.partition(";")
    if not semicolon:
        return Parametrised(head.partition("(")[0].strip().lower())
    parameters: dict[str, str] = {}
    extended: dict[str, dict[int, tuple[str, bool]]] = {}
    for match in _PARAMETER.finditer(text, len(head)):
        name, quoted, bare = match.groups()
        plain = bare.strip() if quoted is None else _ESCAPED.sub(r"\1", quoted)
        _collect(name.lower(), plain, parameters, extended)
    for name, segments in extended.items():
        parameters[name] = _joined(segments, notes)
    return Parametrised(head.partition("(")[0].strip().lower(), parameters)


def _collect(
    name: str,
    value: str,
    parameters: dict[str, str],
    extended: dict[str, dict[int, tuple[str, bool]]],
) -> None:
    """Keep a parameter: `name*=` and `name*0*=` are encoded, `name*0=` is only continued."""
    match = _EXTENDED.fullmatch(name)
    if match is None:
        parameters.setdefault(name, value)
        return
    encoded = match[2] is None or match[3] == "*"
    extended.setdefault(match[1], {}).setdefault(int(match[2] or 0), (value, encoded))


def _joined(segments: Mapping[int, tuple[str, bool]], notes: Notes) -> str:
    """Join the segments 0, 1, 2…; the first one names the charset (RFC 2231 §4.1)."""
    charset = None
    octets: list[bytes] = []
    for number in range(len(segments)):
        if number not in segments:
            notes.add("a continued parameter lacks a segment")
            break
        value, encoded = segments[number]
        if encoded and number == 0 and value.count("'") >= 2:
            charset, _, value = value.split("'", 2)
        octets.append(unquote_to_bytes(value) if encoded else value.encode())
    return decode(b"".join(octets), charset, notes)
