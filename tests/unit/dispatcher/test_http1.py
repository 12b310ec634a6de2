"""Answers as octets make them up: framing, bounds, and that packets change nothing (RFC 9112)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit_dispatcher.failures import NotHttp
from conduit_dispatcher.http1 import KEPT, READ, AnswerReader, Reply

OK = b"HTTP/1.1 200 OK\r\n"
OLD = b"HTTP/1.0 200 OK\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
EMPTY = b"Content-Length: 0\r\n\r\n"


@dataclass(frozen=True)
class Found:
    """What a reader made of some octets. `open`: it waits for more."""

    reply: Reply
    open: bool
    is_deaf: bool = False


def read(pieces: Sequence[bytes], *, closed: bool = False) -> Found:
    """Feed a reader with what came in these packets, until it wants no more."""
    reader = AnswerReader()
    try:
        for piece in pieces:
            if not reader.whole:
                reader.feed(piece)
    except NotHttp as failure:
        return Found(Reply(failure=str(failure)), open=False)
    if closed and not reader.whole:
        reader.end()
    return Found(reader.reply(), not reader.whole, reader.is_deaf)


def keeps(octets: bytes) -> bool:
    """Whether the connection may be used again after these octets, in one packet."""
    reader = AnswerReader()
    reader.feed(octets)
    assert reader.whole
    return reader.keeps


def octet_by_octet(octets: bytes) -> list[bytes]:
    """Return a packet for each octet."""
    return [octets[n : n + 1] for n in range(len(octets))]


def chunk(octets: bytes) -> bytes:
    """Return a chunk with this content."""
    return b"%x\r\n%s\r\n" % (len(octets), octets)


# What comes, and the body that ends the answer without the connection's end.
FRAMED = {
    "no body": (OK + EMPTY, b""),
    "a length": (OK + b"Content-Length: 2\r\n\r\nok", b"ok"),
    "a length with zeros": (OK + b"Content-Length: 002\r\n\r\nok", b"ok"),
    "chunks": (OK + CHUNKED + b"\r\n" + chunk(b"o") + chunk(b"k") + b"0\r\n\r\n", b"ok"),
    "chunks with extensions": (OK + CHUNKED + b'\r\n2;a=b;c="d"\r\nok\r\n0;e\r\n\r\n', b"ok"),
    "a trailer": (OK + CHUNKED + b"\r\n2\r\nok\r\n0\r\nX: y\r\nLocation: z\r\n\r\n", b"ok"),
    "chunks in capitals": (OK + b"TRANSFER-ENCODING: CHUNKED\r\n\r\n0\r\n\r\n", b""),
    "chunks of something": (OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", b""),
    "codings in two lines": (OK + b"Transfer-Encoding: gzip\r\n" + CHUNKED + b"\r\n0\r\n\r\n", b""),
    "204": (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
    "204 with a length": (b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", b""),
    "204 with chunks": (b"HTTP/1.1 204 No Content\r\n" + CHUNKED + b"\r\n", b""),
    "304": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", b""),
    "HTTP/1.0 with a length": (OLD + b"Content-Length: 2\r\n\r\nok", b"ok"),
    "HTTP/1.0 with chunks": (OLD + CHUNKED + b"\r\n2\r\nok\r\n0\r\n\r\n", b"ok"),
    "no reason": (b"HTTP/1.1 200\r\n" + EMPTY, b""),
    "an empty reason": (b"HTTP/1.1 200 \r\n" + EMPTY, b""),
    "line feeds only": (b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", b"ok"),
    "a folded line": (OK + b"X: a\r\n b\r\nContent-Length: 2\r\n\r\nok", b"ok"),
    "space before a colon": (OK + b"X: y\r\nContent-Length : 2\r\n\r\nok", b"ok"),
    "an interim answer": (b"HTTP/1.1 100 Continue\r\n\r\n" + OK + EMPTY, b""),
    "an interim answer with a length": (b"HTTP/1.1 103 E\r\n" + EMPTY + OK + EMPTY, b""),
    "a hundred interim answers": (b"HTTP/1.1 199 x\r\n\r\n" * 100 + OK + EMPTY, b""),
}


@pytest.mark.parametrize(("octets", "body"), FRAMED.values(), ids=FRAMED)
def test_an_answer_ends_where_its_framing_says(octets: bytes, body: bytes) -> None:
    for pieces in ([octets], octet_by_octet(octets)):
        found = read(pieces)
        assert not found.open
        assert found.reply.failure is None
        assert found.reply.body == body
    assert read([octets[:-1]]).open


# What comes, and what of it is the body once the connection is closed.
UNTIL_CLOSED = {
    "no framing": (OK + b"\r\nbye", b"bye"),
    "nothing at all": (OK + b"\r\n", b""),
    "HTTP/1.0": (OLD + b"\r\nbye", b"bye"),
    "HTTP/1.0, kept": (OLD + b"Connection: keep-alive\r\n\r\nbye", b"bye"),
    "another coding": (OK + b"Transfer-Encoding: gzip\r\n\r\nbye", b"bye"),
    "chunks within another coding": (OK + CHUNKED + b"Transfer-Encoding: x\r\n\r\nbye", b"bye"),
    "chunks in name only": (OK + b"Transfer-Encoding: xchunked\r\n\r\nbye", b"bye"),
}


@pytest.mark.parametrize(("octets", "body"), UNTIL_CLOSED.values(), ids=UNTIL_CLOSED)
def test_an_answer_without_a_length_ends_with_its_connection(octets: bytes, body: bytes) -> None:
    for pieces in ([octets], octet_by_octet(octets)):
        assert read(pieces).open
        found = read(pieces, closed=True)
        assert not found.open
        assert (found.reply.status, found.reply.body) == (200, body)


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"HTTP/1.1 200",
        OK,
        OK + b"X: y\r\n",
        OK + b"Content-Length: 5\r\n\r\nhell",
        OK + b"X: y\r\nContent-Length : 5\r\n\r\nhell",
        OK + CHUNKED + b"\r\n",
        OK + CHUNKED + b"\r\n5\r\nhello\r\n",
        OK + CHUNKED + b"\r\n5\r\nhello\r\n0\r\n",
        OK + b"Transfer-Encoding: gzip\r\n" + CHUNKED + b"\r\n5\r\nhello\r\n",
        b"HTTP/1.1 103 Early Hints\r\n\r\n",
    ],
)
def test_any_other_one_does_not(octets: bytes) -> None:
    for pieces in ([octets], octet_by_octet(octets)):
        assert read(pieces, closed=True).open


INVALID = {
    "HTTP/0.9": (b"<html>hello</html>", "Bad status line"),
    "SSH": (b"SSH-2.0-OpenSSH_9.6\r\n", "Bad status line"),
    "a version": (b"HTTP/3.7 200 OK\r\n\r\n", "Bad status line"),
    "two digits": (b"HTTP/1.1 99 OK\r\n\r\n", "Bad status line"),
    "four digits": (b"HTTP/1.1 2000 OK\r\n\r\n", "Bad status line"),
    "a status of nought": (b"HTTP/1.1 000 OK\r\n\r\n", "Bad status line"),
    "a sign": (b"HTTP/1.1 -200 OK\r\n\r\n", "Bad status line"),
    "no colon": (OK + b"X\r\n\r\n", "Invalid header token"),
    "two lengths": (OK + b"Content-Length: 0\r\nContent-Length: 5\r\n", "Duplicate Content-Length"),
    "a list of lengths": (OK + b"Content-Length: 5, 5\r\n", "Invalid character in Content-Length"),
    "a length with a sign": (OK + b"Content-Length: +5\r\n", "Invalid character in Content-Length"),
    "no number": (OK + b"Content-Length: five\r\n", "Invalid character in Content-Length"),
    "an empty length": (OK + b"Content-Length:\r\n\r\n", "Empty Content-Length"),
    "a length of 2^80": (OK + b"Content-Length: %d\r\n" % 2**80, "Content-Length overflow"),
    "a length and chunks": (
        OK + b"Content-Length: 5\r\n" + CHUNKED + b"\r\n",
        "Transfer-Encoding can't be present with Content-Length",
    ),
    "chunks and a length": (
        OK + CHUNKED + b"Content-Length: 5\r\n\r\n",
        "Content-Length can't be present with Transfer-Encoding",
    ),
    "a length in the trailer": (
        OK + CHUNKED + b"\r\n0\r\nContent-Length: 5\r\n\r\n",
        "Content-Length can't be present with Transfer-Encoding",
    ),
    "no size": (OK + CHUNKED + b"\r\nzz\r\n", "Invalid character in chunk size"),
    "a size with a sign": (OK + CHUNKED + b"\r\n-5\r\n", "Invalid character in chunk size"),
    "a size of 2^68": (OK + CHUNKED + b"\r\n" + b"f" * 17 + b"\r\n", "Chunk size overflow"),
    "an interim answer with a body": (
        b"HTTP/1.1 104 x\r\nContent-Length: 5\r\n\r\nhello" + OK + EMPTY,
        "an interim answer (1xx) has a body",
    ),
    "an interim answer in chunks": (
        b"HTTP/1.1 104 x\r\n" + CHUNKED + b"\r\n0\r\n\r\n" + OK + EMPTY,
        "an interim answer (1xx) has a body",
    ),
    "many fields": (OK + b"X: y\r\n" * 129 + b"\r\n", "Too many headers received"),
    "a long trailer": (
        OK + CHUNKED + b"\r\n0\r\n" + b"X: y\r\n" * 128 + b"\r\n",
        "Too many headers received",
    ),
    "a long reason": (b"HTTP/1.1 200 " + b"x" * 32768, "its head takes more than 32 KiB"),
    "a long field": (OK + b"X: " + b"y" * 32768, "its head takes more than 32 KiB"),
    "a field of spaces": (
        OK + b"X:" + b" " * 32768 + b"\r\n\r\n",
        "its head takes more than 32 KiB",
    ),
    "long interim answers": (
        b"HTTP/1.1 103 x\r\nLink: %s\r\n\r\n" % (b"y" * 16384) * 2,
        "its head takes more than 32 KiB",
    ),
}


@pytest.mark.parametrize(("octets", "why"), INVALID.values(), ids=INVALID)
def test_what_is_no_answer_is_none(octets: bytes, why: str) -> None:
    for pieces in ([octets], octet_by_octet(octets)):
        reply = read(pieces).reply
        assert reply.status is None
        assert reply.failure == f"the endpoint's answer is not valid HTTP: {why}"


def test_interim_answers_are_not_read_for_ever() -> None:
    reply = read([b"HTTP/1.1 100 Continue\r\n\r\n" * 101 + OK + EMPTY]).reply
    assert reply.failure == "the endpoint sent too many interim answers (1xx)"


def test_nothing_of_an_interim_answer_is_taken_for_the_answer() -> None:
    octets = b"HTTP/1.1 103 Early\r\nLocation: a\r\nRetry-After: 5\r\n\r\nHTTP/1.1 302 Found\r\n"
    reply = read([octets + EMPTY]).reply
    assert (reply.status, reply.reason, reply.fields) == (302, "Found", {})


def test_fields_that_are_wanted_are_kept_by_their_usual_names() -> None:
    fields = (
        b"LOCATION: /a\r\nretry-after: 5\r\nX-CONDUIT-smtp-code: 550\r\nX-Other: no\r\n"
        b"X-Conduit-SMTP-Message:  not \xff here \r\nLocation: /b\r\n"
    )
    reply = read([b"HTTP/1.1 302 \xc3\xa9t\xe9\r\n" + fields + EMPTY]).reply
    assert reply.reason == "ét\udce9"
    assert {name: value.strip() for name, value in reply.fields.items()} == {
        "Location": "/a",
        "Retry-After": "5",
        "X-Conduit-SMTP-Code": "550",
        "X-Conduit-SMTP-Message": "not \udcff here",
    }


def test_a_field_of_the_trailer_is_none_of_the_head() -> None:
    octets = OK + CHUNKED + b"\r\n0\r\nX-Conduit-SMTP-Code: 550\r\n\r\n"
    assert read([octets]).reply.fields == {}


def test_101_is_an_answer_and_what_follows_is_nobodys() -> None:
    head = b"HTTP/1.1 101 S\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"
    for octets in (head, head + b"\x00\x01", b"HTTP/1.1 101 S\r\n\r\nabc"):
        assert read([octets]).reply.status == 101
        assert not keeps(octets)


def test_the_head_of_a_body_is_kept_and_so_much_of_it_read() -> None:
    body = bytes(range(256)) * 300
    for octets in (
        OK + b"\r\n" + body,
        OK + b"Content-Length: 9999999999\r\n\r\n" + body,
        OK + CHUNKED + b"\r\n" + chunk(body),
        OK + CHUNKED + b"\r\n" + b"".join(map(chunk, octet_by_octet(body))),
    ):
        found = read([octets])
        assert not found.open
        assert found.reply.body == body[:KEPT]
        assert not keeps(octets)
    assert read([OK + b"\r\n" + body[:READ]]).open
    assert not read([OK + b"\r\n" + body[: READ + 1]]).open


@pytest.mark.parametrize("begin", [b"1;" + b"x" * 99, b"5\r\nhello\r\n0\r\nX: ", b"0" * 99])
def test_of_what_is_around_a_body_no_more_is_read(begin: bytes) -> None:
    octets = OK + CHUNKED + b"\r\n" + begin
    filler = begin[-1:] if begin[-1:] != b" " else b"y"
    whole = octets + filler * 600_000
    for pieces in ([whole], [octets, *([filler * 1000] * 600)]):
        found = read(pieces)
        assert found.is_deaf
        assert found.open
        assert found.reply.status == 200
    assert not read([octets + filler * 400_000]).is_deaf


@pytest.mark.parametrize(
    ("octets", "kept"),
    [
        (OK + EMPTY, True),
        (OK + b"Connection: close\r\n" + EMPTY, False),
        (OK + b"Connection: x, Close\r\n" + EMPTY, False),
        (OK + b"Connection: keep-alive\r\n" + EMPTY, True),
        (OLD + EMPTY, False),
        (OLD + b"Connection: keep-alive\r\n" + EMPTY, True),
        (b"HTTP/2.0 200 OK\r\n" + EMPTY, False),
        (b"HTTP/1.1 204 No Content\r\n\r\n", True),
        (OK + CHUNKED + b"\r\n0\r\n\r\n", True),
        (OLD + CHUNKED + b"Connection: keep-alive\r\n\r\n0\r\n\r\n", False),
        (b"HTTP/1.1 500 Oh\r\n" + EMPTY, True),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK + EMPTY, True),
        pytest.param(OK + EMPTY + OK + EMPTY, False, id="a second answer"),
        pytest.param(OK + EMPTY + b"x", False, id="an octet more"),
        pytest.param(OK + b"Content-Length: 2\r\n\r\nokay", False, id="longer than its length"),
        pytest.param(
            b"HTTP/1.1 204 N\r\nContent-Length: 5\r\n\r\nhello", False, id="204 with a body"
        ),
        pytest.param(
            OK + CHUNKED + b"\r\n0\r\n\r\n" + chunk(b"a"), False, id="a chunk after the last"
        ),
    ],
)
def test_when_a_connection_is_kept(octets: bytes, kept: bool) -> None:
    assert keeps(octets) is kept


def test_a_second_answer_is_not_read_for_the_first() -> None:
    found = read([OK + EMPTY + b"HTTP/1.1 410 Gone\r\nLocation: x\r\n" + EMPTY])
    assert (found.reply.status, found.reply.fields) == (200, {})


SOME = [octets for octets, _ in (FRAMED | UNTIL_CLOSED).values()]
SOME += [octets for octets, _ in INVALID.values() if len(octets) < 1000]
PIECES = (
    *(OK, OLD, CHUNKED, EMPTY, b"\r\n", b"\n", b"\r", b"0\r\n", b"5\r\n", b"ok", b"\0", b"\xff"),
    *(b"HTTP/1.1 103 E\r\n", b"HTTP/1.1 204 N\r\n", b"Content-Length: 5\r\n", b"X: y\r\n", b" "),
    *(b"Location: z\r\n", b"Connection: close\r\n", b"Transfer-Encoding: gzip\r\n", b"hello", b";"),
)


def texts() -> st.SearchStrategy[bytes]:
    """Return answers, and what has some likeness to them."""
    made = st.lists(st.sampled_from(PIECES), max_size=12).map(b"".join)
    return st.one_of(st.sampled_from(SOME), made, st.binary(max_size=60).map(lambda end: OK + end))


def split(octets: bytes, cuts: Sequence[int]) -> Iterator[bytes]:
    """Yield the octets in pieces that end at these places."""
    start = 0
    for end in (*sorted(cut % (len(octets) + 1) for cut in cuts), len(octets)):
        yield octets[start:end]
        start = end


@given(texts(), st.lists(st.integers(0, 5000), max_size=8), st.booleans())
def test_packets_change_nothing(octets: bytes, cuts: list[int], closed: bool) -> None:
    whole = read([octets], closed=closed)
    assert read(list(split(octets, cuts)), closed=closed) == whole
    assert read(octet_by_octet(octets), closed=closed) == whole
