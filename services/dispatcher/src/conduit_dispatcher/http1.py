"""Answers in HTTP/1.1, as octets make them up (RFC 9112), with bounds for all that can go on."""

from dataclasses import dataclass, field

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from conduit_dispatcher.failures import NotHttp
from conduit_dispatcher.overrides import CODE, MESSAGE

KEPT = 2 * 1024
"""Octets of an answer's body that are kept for the log."""
READ = 64 * 1024
"""Octets of an answer's body that are read at all."""

_HEADS = 32 * 1024
"""Octets of an answer's head and of all interim ones before it; few have more than one."""
_FIELDS = 128
"""Lines of a head, and of the trailer that may come with it."""
_INTERIM = 100
"""Interim answers (1xx, RFC 9110 §15.2) before the one that counts; few send more than one."""
_FRAMED = 8 * READ
"""Octets that a body takes at most with what is around its chunks. The smallest ones take six for
one of the body. Of an answer that takes more, no more is read."""

_SWITCHING = 101  # which is an answer
_LENGTH, _CODING = b"content-length", b"transfer-encoding"
_WANTED = {name.lower().encode(): name for name in ("Location", "Retry-After", CODE, MESSAGE)}

_INVALID = "the endpoint's answer is not valid HTTP"

_BAD_STATUS_LINE = (
    "Expected HTTP/",
    "Invalid HTTP version",
    "Invalid major version",
    "Invalid minor version",
    "Expected dot",
    "Expected space after version",
    "Invalid status code",
    "Invalid response status",
)
"""How the parser's reasons begin that are about the first line."""


@dataclass(slots=True)
class Reply:
    """What came of an answer. `status` is None where its head did not come whole.

    `fields` are those of the head that Conduit wants, by their usual names; of several with one
    name, the first. Octets that are no UTF-8 are lone surrogates. `body` is its beginning.
    """

    status: int | None = None
    reason: str = ""
    fields: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    failure: str | None = None
    """Why it did not come whole, for the webhook's owner."""
    again: bool = False
    """Whether the connection had been closed when it was used: nothing of an answer came."""


class AnswerReader:
    """Reads the answer to one request: any split of the same octets gives the same.

    `status` is None until the head is whole. `whole` says that the answer's end has come, or that
    no more of it is wanted; `keeps` that its connection may be used again; `is_deaf` that more of
    it has come than is read, and there is nothing to be waited for.
    """

    def __init__(self) -> None:
        self.status: int | None = None
        self.whole = False
        self.keeps = False
        self.is_deaf = False
        self._reason = b""
        self._fields: dict[str, str] = {}
        self._lines = 0
        self._length: bytes | None = None
        self._coding: bytes | None = None
        self._interim = 0
        self._body = bytearray()
        self._body_octets = 0
        self._left = _HEADS
        self._is_in_body = False
        self._failure: NotHttp | None = None
        self._parser = HttpResponseParser(self)
        # As browsers and curl have it; what comes is shown or dropped, and passed on to nobody.
        self._parser.set_dangerous_leniencies(
            lenient_headers=True,
            lenient_optional_cr_before_lf=True,
            lenient_spaces_after_chunk_size=True,
        )

    def feed(self, data: bytes) -> None:
        """Read on, or raise NotHttp."""
        while data and not self.whole and not self.is_deaf:
            piece, data = data[: self._left], data[self._left :]
            self._parse(piece)
            self._left -= len(piece)
            if self.status is not None and not self._is_in_body:
                self._is_in_body = True
                self._left += _FRAMED
            if self._left == 0:
                self._end_of_patience()
        if data:
            self.keeps = False

    def end(self) -> None:
        """The connection was closed in order, which ends an answer without a length."""
        if self.status is not None and self._length is None and not self._is_chunked():
            self.whole = True

    def reply(self, failure: str | None = None, *, again: bool = False) -> Reply:
        """Return what has come, and why no more came if there should have."""
        if self.status is None:
            return Reply(failure=failure, again=again)
        reason = self._reason.decode(errors="surrogateescape")
        return Reply(self.status, reason, self._fields, bytes(self._body), failure)

    def close(self) -> None:
        """Let go of the parser, which knows its reader: of each call, the two would be garbage that
        only the collector finds, and costs some microseconds.
        """
        del self._parser

    def _parse(self, piece: bytes) -> None:
        try:
            self._parser.feed_data(piece)
        except (HttpParserError, HttpParserUpgrade) as error:
            self.keeps = False
            if not self.whole:
                raise self._failure or NotHttp(_told(error)) from error

    def _end_of_patience(self) -> None:
        if self.status is None:
            raise NotHttp(f"{_INVALID}: its head takes more than {_HEADS // 1024} KiB")
        self.is_deaf = not self.whole

    def _is_chunked(self) -> bool:
        """Whether chunks are the last transfer coding, and so the framing (RFC 9112 §6.3)."""
        coding = self._coding or b""
        return coding.rpartition(b",")[2].strip().lower() == b"chunked"

    # What follows is called by the parser.

    def on_message_begin(self) -> None:
        """An answer begins, or what comes after ours."""
        if self.whole:
            raise _NotWanted
        self._reason, self._fields, self._lines = b"", {}, 0
        self._length = self._coding = None

    def on_status(self, reason: bytes) -> None:
        """Take some more of the reason."""
        self._reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a line of the head or of the trailer."""
        self._lines += 1
        if self._lines > _FIELDS:
            raise self._fail("Too many headers received")
        lowered = name.lower().rstrip()
        if self.status is not None:
            return
        if lowered in _WANTED:
            self._fields.setdefault(_WANTED[lowered], value.decode(errors="surrogateescape"))
        elif lowered == _LENGTH:
            self._length = value
        elif lowered == _CODING:
            self._coding = value

    def on_headers_complete(self) -> None:
        """The head is whole: an interim one, or that which counts."""
        status = self._parser.get_status_code()
        if status < 100:
            raise self._fail("Bad status line")
        if status < 200 and status != _SWITCHING:
            self._pass_over()
            return
        self.status = status
        self.whole = status == _SWITCHING

    def _pass_over(self) -> None:
        self._interim += 1
        if self._interim > _INTERIM:
            self._failure = NotHttp("the endpoint sent too many interim answers (1xx)")
            raise self._failure
        if self._coding is not None or self._length not in {None, b"0"}:
            raise self._fail("an interim answer (1xx) has a body")

    def on_body(self, body: bytes) -> None:
        """Take some more of the body."""
        self._body_octets += len(body)
        if len(self._body) < KEPT:
            self._body += body[: KEPT - len(self._body)]
        if self._body_octets > READ:
            self.whole = True
            raise _NotWanted

    def on_message_complete(self) -> None:
        """The answer's end has come, or that of an interim one."""
        if self.status is None or self.whole:
            return
        self.whole = True
        self.keeps = self._parser.should_keep_alive() and not self._has_faulty_framing()

    def _has_faulty_framing(self) -> bool:
        """Whether chunks come in HTTP/1.0, which has none (RFC 9112 §6.1)."""
        return self._coding is not None and self._parser.get_http_version() != "1.1"

    def _fail(self, why: str) -> NotHttp:
        self._failure = NotHttp(f"{_INVALID}: {why}")
        return self._failure


class _NotWanted(Exception):
    """Has the parser stop."""


def _told(error: Exception) -> str:
    """Say what the parser found. Its reasons are fixed texts, and cite nothing of the answer."""
    reason = str(error)
    if reason.startswith(_BAD_STATUS_LINE):
        reason = "Bad status line"
    return f"{_INVALID}: {reason}"
