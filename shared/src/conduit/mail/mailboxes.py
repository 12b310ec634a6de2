"""Address lists of header fields (RFC 5322 §3.4), read leniently and in one pass.

The `email` package's reader recurses with nested comments and groups, and is quadratic in groups.
What stands here needs not be deliverable: it is shown, while mail goes by the envelope.
"""

import re
from collections.abc import Iterator

from conduit.mail.notes import Notes
from conduit.mail.parsed import Mailbox
from conduit.mail.words import Value, line_of, text_of

MAX_FIELD = 65_536  # octets; 1,000 recipients with names are about that
MAX_MAILBOXES = 1_000

_ATOM = r"[^\s\"(),:;<>@\\\[\]]"
_PLAIN = re.compile(rf"(?:\"([^\"\\]*+)\"\s*+|([^\"(),:;<>@\\\[\]]*+))<({_ATOM}++@{_ATOM}++)>")
_BARE = re.compile(rf"{_ATOM}++@{_ATOM}++")
_TOKEN = re.compile(
    r"""
      (?P<space>\s++)
    | "(?P<quoted>(?:[^"\\]++|\\.)*+)"?+
    | <(?P<angle>(?:[^<>"]++|"(?:[^"\\]++|\\.)*+")*+)>?+
    | (?P<comment>\()
    | (?P<mark>[,;:])
    | (?P<atom>(?:[^\s"(),:;<\[]|\[[^\]\s]*+\]?+)++)
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENT = re.compile(r"[^()\\]++|\\.?|[()]", re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


def read_mailboxes(value: Value, notes: Notes) -> tuple[Mailbox, ...]:
    """Return the mailboxes of a field's value, those of groups among them."""
    if len(value) > MAX_FIELD:
        notes.add(f"an address field of more than {MAX_FIELD} octets was cut")
    text = line_of(value[:MAX_FIELD], notes)
    plain = _plain_mailbox(text, notes)
    if plain is not None:
        return (plain,)
    mailboxes: list[Mailbox] = []
    for mailbox in _List(text, notes).mailboxes():
        if len(mailboxes) == MAX_MAILBOXES:
            notes.add(f"an address field has more than {MAX_MAILBOXES} mailboxes")
            break
        mailboxes.append(mailbox)
    return tuple(mailboxes)


def _plain_mailbox(text: str, notes: Notes) -> Mailbox | None:
    """Read one mailbox without specialities, which is what most fields hold."""
    if not text.endswith(">"):
        return Mailbox("", text) if _BARE.fullmatch(text) else None
    match = _PLAIN.fullmatch(text)
    if match is None:
        return None
    quoted, bare, address = match.groups()
    return Mailbox(_decoded((quoted or bare or "").strip(), notes), address)


def _decoded(name: str, notes: Notes) -> str:
    """Decode a name that has no blanks around it."""
    if "=?" not in name and name.isprintable():
        return name
    return text_of(name.encode(), notes)


class _List:
    """One pass over an address list; what was read of the present mailbox, until it ends."""

    def __init__(self, text: str, notes: Notes) -> None:
        self._text = text
        self._notes = notes
        self._start_mailbox()

    def _start_mailbox(self) -> None:
        self._words: list[str] = []
        self._comments: list[str] = []
        self._address: str | None = None
        self._named = 0  # how many of the words stand before the address

    def mailboxes(self) -> Iterator[Mailbox]:
        """Yield what stands between commas, semicolons and the names of groups."""
        position = 0
        while match := _TOKEN.match(self._text, position):
            position = match.end()
            match match.lastgroup:
                case "comment":
                    position = self._read_comment(position)
                case "mark":
                    # What stands before a colon is the name of a group.
                    if match["mark"] != ":" and (mailbox := self._mailbox()):
                        yield mailbox
                    self._start_mailbox()
                case "angle":
                    if self._address is not None and (mailbox := self._mailbox_before_another()):
                        yield mailbox
                    self._address, self._named = match["angle"], len(self._words)
                case "quoted":
                    self._words.append(match[0] if self._in_address(match) else _quoted(match))
                case _:
                    self._words.append(match[0])
        if mailbox := self._mailbox():
            yield mailbox

    def _in_address(self, match: re.Match[str]) -> bool:
        """Whether a quoted string is the local part of an address without angle brackets."""
        return self._text.startswith("@", match.end())

    def _read_comment(self, start: int) -> int:
        """Keep the text of a comment and return where it ends; nesting is counted."""
        depth, end = 1, start
        while depth and (match := _COMMENT.match(self._text, end)):
            depth += (match[0] == "(") - (match[0] == ")")
            end = match.end()
        if depth:
            self._notes.add("an address field has a comment without end")
        else:
            self._comments.append(_unescaped(self._text[start : end - 1]))
        return end

    def _mailbox_before_another(self) -> Mailbox | None:
        """End a mailbox that no comma ends; the words after its address name the next one."""
        words, self._words = self._words[self._named :], self._words[: self._named]
        mailbox = self._mailbox()
        self._start_mailbox()
        self._words = words
        return mailbox

    def _mailbox(self) -> Mailbox | None:
        words = "".join(self._words).strip()
        comment = " ".join(self._comments)
        address = self._address
        if address is None:
            if not words:
                return None
            if "@" not in words and " " in words:  # `Undisclosed recipients`, without colon
                return Mailbox(self._name(words), "")
            return Mailbox(self._name(comment), _in_one_line(words))
        name, address = self._name(words or comment), _without_route(address.strip())
        return Mailbox(name, _in_one_line(address)) if name or address else None

    def _name(self, text: str) -> str:
        return _decoded(text.strip(), self._notes)


def _quoted(match: re.Match[str]) -> str:
    return _unescaped(match["quoted"])


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(r"\1", text) if "\\" in text else text


def _without_route(address: str) -> str:
    """Drop the obsolete source route of `@a,@b:user@c` (RFC 5322 §4.4)."""
    return address.rpartition(":")[2] if address.startswith("@") else address


def _in_one_line(address: str) -> str:
    return " ".join(address.split())
