"""Values of header fields as text: unfolded (RFC 5322 §2.2.3), encoded words decoded (RFC 2047)."""

import re
from binascii import Error as Base64Error
from binascii import a2b_base64, a2b_qp
from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import itemgetter

from conduit.mail.charset import decode, guess, without_nul
from conduit.mail.notes import Notes

Value = bytes | str
"""A field's value: octets, still folded, or a line of printable ASCII that has been unfolded."""

# Laxer than RFC 2047: spaces within a word and words that touch other text occur in real mails.
_WORD = re.compile(rb"=\?([^?\s*]{1,60})(?:\*[^?\s]{0,20})?\?([bBqQ])\?([^?]*+)\?=")
_CONTROLS = re.compile(r"[\x01-\x08\x0a-\x1f\x7f]")


def unfold(value: bytes) -> bytes:
    """Return a value in one line, with one space for each fold."""
    if b"\n" not in value:
        return value.strip()
    return b" ".join([line.strip() for line in value.split(b"\n")]).strip()


def line_of(value: Value, notes: Notes) -> str:
    """Return a field's value in one line, its encoded words as they are."""
    return value if isinstance(value, str) else guess(unfold(value), notes)


def text_of(value: Value, notes: Notes) -> str:
    """Return a field's value as text in one line."""
    if isinstance(value, str):
        if "=?" not in value:
            return value
        value = value.encode()
    value = unfold(value)
    if b"=?" in value:
        text = decode_words(value, notes)
    else:
        text = value.decode("ascii") if value.isascii() else guess(value, notes)
    return text if text.isprintable() else _in_one_line(text, notes)


def subject_of(value: Value, notes: Notes) -> str:
    """Return a subject's text, which some Japanese programs write without naming its charset.

    Fields with a structure are not read so: what they say would be another address than DMARC and
    other programs see there.
    """
    if isinstance(value, bytes) and b"\x1b" in value and b"=?" not in value:
        value = decode(unfold(value), None, notes).encode()
    return text_of(value, notes)


def _in_one_line(text: str, notes: Notes) -> str:
    """Put spaces in place of control characters, carriage returns without a newline among them."""
    text, replaced = _CONTROLS.subn(" ", without_nul(text, notes).replace("\t", " "))
    if replaced:
        notes.add("control characters in a header field were replaced by spaces")
    return text


def decode_words(value: bytes, notes: Notes) -> str:
    """Decode the encoded words of an unfolded value, and guess the charset of all else.

    Adjacent words of one charset are decoded as one, since many senders spread the octets of one
    character over two words, against RFC 2047 §5.
    """
    runs = groupby(_split(value, notes), key=itemgetter(0))
    return "".join([_decode_run(charset, run, notes) for charset, run in runs])


def _split(value: bytes, notes: Notes) -> Iterator[tuple[bytes, bytes]]:
    """Yield charset and octets of each word, and of the text between words under no charset."""
    position = 0
    for match in _WORD.finditer(value):
        between = value[position : match.start()]
        if between.strip():  # white space between two words is dropped (§6.2)
            yield b"", between
        yield match[1].lower(), _word_octets(match, notes)
        position = match.end()
    if position < len(value):
        yield b"", value[position:]


def _decode_run(charset: bytes, run: Iterable[tuple[bytes, bytes]], notes: Notes) -> str:
    octets = b"".join([octets for _, octets in run])
    return decode(octets, charset.decode("latin-1"), notes) if charset else guess(octets, notes)


def _word_octets(match: re.Match[bytes], notes: Notes) -> bytes:
    if match[2] in b"qQ":
        return a2b_qp(match[3], header=True)
    try:
        return a2b_base64(match[3] + b"==")
    except Base64Error:
        notes.add("an encoded word with broken base64 was left as it is")
        return match[0]
