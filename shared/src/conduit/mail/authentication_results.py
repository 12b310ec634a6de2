"""The Authentication-Results field (RFC 8601): ours written, and others' that claim to be ours."""

import re
from collections.abc import Iterator, Sequence
from itertools import islice

from conduit.mail.address import AddressError, ascii_domain
from conduit.mail.fields import blank_line
from conduit.mail.trace_text import MAX_VALUE, comment, folded, quoted, value
from conduit.model.authentication import Arc, AuthResults, Dkim, Dmarc, Spf, SpfScope

_NAME = "Authentication-Results"
_REST = rb"authentication-results[ \t]*+:([^\n]*+(?:\n[ \t][^\n]*+)*+)"
_FIRST = re.compile(rb"(?i)" + _REST)
_LATER = re.compile(rb"(?i)\n" + _REST)  # found ten times as fast as with ^
_ANY = re.compile(rb"(?im)^" + _REST + rb"\n?")

_LONGEST_REASON = 200  # characters
_LOOKED_AT = 100  # fields; who has more of them writes nonsense
_LONGEST_ID = 1024  # octets, with the comments before it
_COMMENT = re.compile(rb"[^()\\]++|\\.?|[()]", re.DOTALL)
_ID = re.compile(rb'"((?:[^"\\]|\\.)*+)"|([^\s"(),/:;<=>?@\[\\\]]++)', re.DOTALL)
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)


def authentication_results_field(
    authserv_id: str, results: AuthResults, authenticated_as: str | None
) -> bytes:
    """Return the field with its CRLF.

    `authserv_id` is the name by which readers know it as ours (§2.5). What a signature says of its
    user (`header.i`) is left out, since no domain has to hold to it.
    """
    methods = [
        _spf(results.spf),
        *([_dkim(each) for each in results.dkim] or [["dkim=none"]]),
        _dmarc(results.dmarc),
        _arc(results.arc),
    ]
    if authenticated_as is not None:
        methods.append(["auth=pass", *_property("smtp.auth", authenticated_as)])
    clauses = [[value(authserv_id)], *methods]
    for clause in clauses[:-1]:
        clause[-1] += ";"
    return folded(_NAME, clauses)


def _spf(spf: Spf) -> list[str]:
    identity = "smtp.mailfrom" if spf.scope is SpfScope.MAIL_FROM else "smtp.helo"
    return [f"spf={spf.status}", *_reason(spf.problem), *_property(identity, spf.domain)]


def _dkim(dkim: Dkim) -> list[str]:
    return [
        f"dkim={dkim.status}",
        *_reason(dkim.problem),
        *_property("header.d", dkim.domain),
        *_property("header.s", dkim.selector),
        *_property("header.a", dkim.algorithm),
    ]


def _dmarc(dmarc: Dmarc) -> list[str]:
    policy = [comment(f"p={dmarc.policy}")] if dmarc.policy else []
    of_author = _property("header.from", dmarc.domain)
    return [f"dmarc={dmarc.status}", *policy, *_reason(dmarc.problem), *of_author]


def _arc(arc: Arc) -> list[str]:
    chain = [comment(f"i={arc.instances} d={arc.domain}")] if arc.instances else []
    return [f"arc={arc.status}", *chain, *_reason(arc.problem)]


def _reason(problem: str | None) -> list[str]:
    return [f"reason={quoted(problem[:_LONGEST_REASON])}"] if problem else []


def _property(name: str, text: str) -> list[str]:
    """Name a property; a text that is too long would name another thing when cut."""
    if not text or len(text.encode(errors="replace")) > MAX_VALUE:
        return []
    return [f"{name}={value(text)}"]


def without_own_results(raw: bytes, authserv_id: str) -> bytes:
    """Return a mail without the fields that claim to be ours before we have written any (§5).

    One whose author cannot be read goes, too, and all behind the hundredth. A mail that has none is
    returned as it is, not copied.
    """
    last, _ = blank_line(raw, 0, len(raw))
    own = _comparable(authserv_id)
    seen = list(islice(_results(raw, last), _LOOKED_AT))
    spans = [(start, end) for start, end, text in seen if _claimed(text) in {own, None}]
    if len(seen) == _LOOKED_AT:
        end = seen[-1][1]
        return _without(raw[:end], spans) + _ANY.sub(b"", raw[end:last]) + raw[last:]
    return _without(raw, spans) if spans else raw


def _results(raw: bytes, last: int) -> Iterator[tuple[int, int, bytes]]:
    """Yield where the lines of each field start, where they end, and what it says."""
    first = _FIRST.match(raw, 0, last)
    if first is not None:
        yield 0, first.end() + 1, first[1]
    for match in _LATER.finditer(raw, first.end() if first else 0, last):
        yield match.start() + 1, match.end() + 1, match[1]


def _without(raw: bytes, spans: Sequence[tuple[int, int]]) -> bytes:
    """Return what stands between the spans."""
    left, position = [], 0
    for start, end in spans:
        left.append(raw[position:start])
        position = end
    return b"".join([*left, raw[position:]])


def _claimed(text: bytes) -> str | None:
    """Return whose results a field says it has, None when that cannot be read."""
    text = text[:_LONGEST_ID]
    position = _behind_comments(text)
    match = None if position is None else _ID.match(text, position)
    if match is None:
        return None
    name = match[2] if match[1] is None else _ESCAPED.sub(rb"\1", match[1])
    return _comparable(name.decode(errors="replace"))


def _behind_comments(text: bytes) -> int | None:
    """Return where the first word begins behind white space and comments, if they end."""
    depth = position = 0
    while match := _COMMENT.match(text, position):
        if match[0] == b"(":
            depth += 1
        elif match[0] == b")":
            depth -= 1
        elif depth == 0 and (word := match[0].lstrip()):
            return match.end() - len(word)
        position = match.end()
    return None


def _comparable(name: str) -> str:
    name = name.strip().rstrip(".").lower()
    try:
        return ascii_domain(name)
    except AddressError:
        return name
