"""Names of attached files: RFC 2231, RFC 2047 where it does not belong, and names that harm."""

from collections.abc import Iterator

from tests.support.made_mails.writing import Made, lines, mail_of

# Parameters of Content-Disposition, and the name that is to come of them. `None`: none;
# `...`: any, so long as it is harmless.
NAMES: list[tuple[str, bytes, object]] = [
    ("plain", b"filename=a.txt", "a.txt"),
    ("quoted", b'filename="a b.txt"', "a b.txt"),
    ("single-quotes", b"filename='a.txt'", ...),
    ("escaped", rb'filename="a\"b.txt"', 'a"b.txt'),
    ("spaces-unquoted", b"filename=a b.txt", "a b.txt"),
    ("unclosed", b'filename="a b.txt', "a b.txt"),
    ("semicolon-quoted", b'filename="a;b.txt"', "a;b.txt"),
    ("empty", b'filename=""', None),
    ("blank", b'filename="  "', None),
    ("extended", b"filename*=utf-8''%C3%A4.txt", "ä.txt"),
    ("extended-language", b"filename*=utf-8'de'%C3%A4.txt", "ä.txt"),
    ("extended-quoted", b"filename*=\"utf-8''%C3%A4.txt\"", "ä.txt"),
    ("extended-no-charset", b"filename*=''%C3%A4.txt", "ä.txt"),
    ("extended-no-quotes", b"filename*=%C3%A4.txt", "ä.txt"),
    ("extended-unknown-charset", b"filename*=x-klingon''%61.txt", "a.txt"),
    ("extended-lying-charset", b"filename*=utf-8''%E4.txt", "\ufffd.txt"),
    ("extended-latin-1", b"filename*=iso-8859-1''%E4.txt", "ä.txt"),
    ("extended-broken", b"filename*=utf-8''%C3%Ax%.txt", ...),
    ("extended-nul", b"filename*=utf-8''a%00b.txt", "a\ufffdb.txt"),
    ("extended-line-end", b"filename*=utf-8''a%0D%0Ab.txt", "a b.txt"),
    ("extended-directory", b"filename*=utf-8''..%2F..%2Fetc%2Fpasswd", "passwd"),
    ("extended-and-plain", b"filename=a.txt; filename*=utf-8''%C3%A4.txt", "ä.txt"),
    ("extended-before-plain", b"filename*=utf-8''%C3%A4.txt; filename=a.txt", "ä.txt"),
    ("continued", b"filename*0=a; filename*1=b; filename*2=.txt", "ab.txt"),
    ("continued-reversed", b"filename*2=.txt; filename*1=b; filename*0=a", "ab.txt"),
    ("continued-encoded", b"filename*0*=utf-8''%C3; filename*1*=%A4.txt", "ä.txt"),
    ("continued-mixed", b"filename*0*=utf-8''%C3%A4; filename*1=%41.txt", "ä%41.txt"),
    ("continued-gap", b"filename*0=a; filename*2=.txt", "a"),
    ("continued-without-first", b"filename*1=a; filename*2=.txt", None),
    ("continued-twice", b"filename*0=a; filename*0=b; filename*1=.txt", "a.txt"),
    ("continued-leading-zeros", b"filename*00=a; filename*01=.txt", ...),
    ("continued-999", b"; ".join(b"filename*%d=a" % n for n in range(999)), "a" * 255),
    ("word", b'filename="=?utf-8?b?w6QudHh0?="', "ä.txt"),
    ("word-unquoted", b"filename==?utf-8?b?w6QudHh0?=", "ä.txt"),
    ("words", b'filename="=?utf-8?q?a?=\r\n =?utf-8?q?b=2Etxt?="', "ab.txt"),
    ("word-with-directory", b'filename="=?utf-8?q?..=2F..=2Fa.txt?="', "a.txt"),
    ("word-in-extended", b"filename*=utf-8''%3D%3Futf-8%3Fq%3Fa%3F%3D", ...),
    ("utf-8", 'filename="ä.txt"'.encode(), "ä.txt"),
    ("latin-1", b'filename="\xe4.txt"', "ä.txt"),
    ("jis", 'filename="日本.txt"'.encode("iso2022-jp"), ...),
    ("directory", b'filename="/etc/passwd"', "passwd"),
    ("parents", b'filename="../../a.txt"', "a.txt"),
    ("windows-directory", b'filename="C:\\\\Users\\\\a.txt"', "a.txt"),
    ("windows-directory-unescaped", rb"filename=C:\Users\a.txt", "a.txt"),
    ("parent-only", b'filename=".."', None),
    ("here-only", b'filename="."', None),
    ("directory-only", b'filename="a/"', None),
    ("ends-with-parent", b'filename="a/.."', None),
    ("controls", b'filename="a\x01\x1b.txt"', "a  .txt"),
    ("nul", b'filename="a\x00.txt"', "a\ufffd.txt"),
    ("carriage-return", b'filename="a\rb.txt"', "a b.txt"),
    ("folded", b'filename="a\r\n b.txt"', "a b.txt"),
    ("right-to-left", 'filename="a\u202etxt.exe"'.encode(), "a\u202etxt.exe"),
    ("hidden", b"filename=.profile", ".profile"),
    ("dash", b"filename=--help", "--help"),
    ("device", b"filename=CON", "CON"),
    ("shell", b'filename="$(id);`id`.txt"', "$(id);`id`.txt"),
    ("html", b'filename="<img src=x>.txt"', "<img src=x>.txt"),
    ("endless", b'filename="' + b"a" * 12_000 + b'"', "a" * 255),
    ("twice", b"filename=a.txt; filename=b.txt", "a.txt"),
    ("no-equals", b"filename", None),
    ("no-value", b"filename=", None),
    ("upper-case", b"FILENAME=a.txt", "a.txt"),
    ("spaces-around", b"filename = a.txt ", "a.txt"),
    ("double-semicolon", b";; filename=a.txt;;", "a.txt"),
    ("other-parameters", b"size=1; creation-date=x; filename=a.txt", "a.txt"),
]


def mails() -> Iterator[Made]:
    """Yield a mail that is one file for each name, in either field."""
    for name, parameters, told in NAMES:
        expected = {} if told is ... else {"attachments": [told]}
        disposition = b"Content-Disposition: attachment; " + parameters
        entity = lines(b"Content-Type: application/pdf", disposition) + b"\r\ncontent"
        yield Made(f"file-name-{name}", mail_of(entity, b"MIME-Version: 1.0"), expected)
        as_name = parameters.replace(b"FILENAME", b"NAME").replace(b"filename", b"name")
        entity = lines(b"Content-Type: application/pdf; " + as_name) + b"\r\ncontent"
        yield Made(f"file-name-in-type-{name}", mail_of(entity, b"MIME-Version: 1.0"), expected)
