"""From octets to text: the charsets that mails may name, and what to do about all others.

Names are looked up in a table of our own. Python's codecs would honour encodings that have no
place in mail (`unicode_escape`, `punycode`) or that hide what a filter should see (`utf-7`), and
remember every unknown name for good.

As browsers do (encoding.spec.whatwg.org), some names stand for the superset that senders mean:
ISO-8859-1 for windows-1252, GB2312 for GB18030.
"""

from codecs import charmap_decode
from functools import cache

from conduit.mail.notes import Notes

_CODECS = {
    "utf-8": "utf-8 utf8 unicode-1-1-utf-8 cp65001",
    "utf-16": "utf-16 utf16",
    "utf-16-le": "utf-16le",
    "utf-16-be": "utf-16be",
    "cp1252": "windows-1252 cp1252 iso-8859-1 iso8859-1 latin1 latin-1 l1 ibm819 cp819",
    "iso8859-2": "iso-8859-2 iso8859-2 latin2 latin-2 l2",
    "iso8859-3": "iso-8859-3 iso8859-3 latin3 latin-3 l3",
    "iso8859-4": "iso-8859-4 iso8859-4 latin4 latin-4 l4",
    "iso8859-5": "iso-8859-5 iso8859-5 cyrillic",
    "iso8859-6": "iso-8859-6 iso8859-6 iso-8859-6-i iso-8859-6-e arabic",
    "iso8859-7": "iso-8859-7 iso8859-7 greek",
    "iso8859-8": "iso-8859-8 iso8859-8 iso-8859-8-i iso-8859-8-e hebrew",
    "cp1254": "windows-1254 cp1254 iso-8859-9 iso8859-9 latin5 latin-5 l5",
    "iso8859-10": "iso-8859-10 iso8859-10 latin6 latin-6 l6",
    "cp874": "windows-874 cp874 tis-620 tis620 iso-8859-11 iso8859-11",
    "iso8859-13": "iso-8859-13 iso8859-13 latin7 latin-7 l7",
    "iso8859-14": "iso-8859-14 iso8859-14 latin8 latin-8 l8",
    "iso8859-15": "iso-8859-15 iso8859-15 latin9 latin-9 l9",
    "iso8859-16": "iso-8859-16 iso8859-16 latin10 latin-10 l10",
    "cp1250": "windows-1250 cp1250",
    "cp1251": "windows-1251 cp1251",
    "cp1253": "windows-1253 cp1253",
    "cp1255": "windows-1255 cp1255",
    "cp1256": "windows-1256 cp1256",
    "cp1257": "windows-1257 cp1257",
    "cp1258": "windows-1258 cp1258",
    "koi8-r": "koi8-r koi8r",
    "koi8-u": "koi8-u koi8u",
    "cp437": "ibm437 cp437",
    "cp850": "ibm850 cp850",
    "cp852": "ibm852 cp852",
    "cp855": "ibm855 cp855",
    "cp858": "ibm00858 cp858",
    "cp866": "ibm866 cp866",
    "mac-roman": "macintosh mac-roman x-mac-roman",
    "mac-cyrillic": "x-mac-cyrillic mac-cyrillic",
    "gb18030": "gb18030 gbk gb2312 gb-2312-80 cp936 windows-936 euc-cn x-gbk",
    "hz": "hz-gb-2312 hz",
    "big5hkscs": "big5 big5-hkscs x-x-big5 cn-big5",
    "cp950": "cp950 windows-950",
    "cp932": "shift-jis sjis x-sjis windows-31j cp932 ms-kanji shift-jisx0213",
    "euc-jp": "euc-jp eucjp x-euc-jp",
    "iso2022-jp": "iso-2022-jp",
    "iso2022-jp-1": "iso-2022-jp-1",
    "iso2022-jp-2": "iso-2022-jp-2",
    "iso2022-jp-3": "iso-2022-jp-3",
    "iso2022-jp-2004": "iso-2022-jp-2004",
    "iso2022-jp-ext": "iso-2022-jp-ms cp50220 cp50221",
    "iso2022-kr": "iso-2022-kr",
    "cp949": "euc-kr euckr ks-c-5601-1987 ksc5601 ks-c-5601 cp949 uhc windows-949",
    "johab": "johab",
}
CHARSETS = {name: codec for codec, names in _CODECS.items() for name in names.split()}
"""The codec for each charset's name in lower case, with hyphens for underscores."""

_UNSPECIFIC = {"us-ascii", "ascii", "ansi-x3.4-1968", "unknown-8bit", "x-unknown", "unknown"}

_JIS = "iso-2022-jp"
_JIS_ESCAPES = (b"\x1b$B", b"\x1b$@")  # to the Japanese characters (RFC 1468)

_SINGLE_OCTET = ("cp125", "cp4", "cp8", "iso8859", "koi8", "mac")


def decode(octets: bytes, charset: str | None, notes: Notes) -> str:
    """Return the text of octets in a charset; None: none is named."""
    name = (charset or "us-ascii").strip().lower().replace("_", "-")
    if name in _UNSPECIFIC:
        if not _is_jis(octets):
            return guess(octets, notes)
        notes.add(f"text without a valid charset was read as {_JIS}")
        name = _JIS
    codec = CHARSETS.get(name)
    if codec is None:
        notes.add(f"charset {name[:40]!a} is not supported, another one was guessed")
        return guess(octets, notes)
    text, valid = _decode(octets, codec)
    if not valid:
        notes.add(f"not all of the text is valid {name}, the rest was replaced by U+FFFD")
    return _clean(text, notes)


def _is_jis(octets: bytes) -> bool:
    """Tell Japanese text that names no charset by its escapes; its octets are those of ASCII."""
    if b"\x1b" not in octets or not octets.isascii():
        return False
    return any(escape in octets for escape in _JIS_ESCAPES)


def guess(octets: bytes, notes: Notes) -> str:
    """Return the text of octets in UTF-8, or else, with a note, in windows-1252."""
    try:
        return _clean(octets.decode(), notes)
    except UnicodeDecodeError:
        notes.add("text without a valid charset was read as windows-1252")
        return _clean(_decode(octets, "cp1252")[0], notes)


def _decode(octets: bytes, codec: str) -> tuple[str, bool]:
    """Return the text, with U+FFFD where octets are not valid, and whether all of them are."""
    if codec.startswith(_SINGLE_OCTET):
        text, _ = charmap_decode(octets, "strict", _table(codec))
        return text, "\ufffd" not in text
    try:
        return octets.decode(codec), True
    except (UnicodeDecodeError, RuntimeError):
        return _replaced(octets, codec), False


def _replaced(octets: bytes, codec: str) -> str:
    try:
        return octets.decode(codec, "replace")
    except RuntimeError:  # Python's iso2022_jp_2, when ESC . J has been followed by ESC N
        return octets.decode("ascii", "replace")


@cache
def _table(codec: str) -> str:
    """Return the characters of all 256 octets.

    With it, five megabytes of invalid octets take some milliseconds; the codec itself takes two
    seconds, without letting go of the interpreter.
    """
    return bytes(range(256)).decode(codec, "replace")


def without_nul(text: str, notes: Notes) -> str:
    """Replace what is text to Python and JSON, and trouble to many a reader of them."""
    if "\0" in text:
        notes.add("NUL characters were replaced by U+FFFD")
        return text.replace("\0", "\ufffd")
    return text


def _clean(text: str, notes: Notes) -> str:
    """Remove NUL, and a BOM, which is a mark of the encoding and no part of the text."""
    return without_nul(text, notes).removeprefix("\ufeff")
