"""What we put on a mail, and what we take off: no sender can write in our name."""

from dataclasses import replace
from datetime import UTC, datetime
from itertools import product
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from conduit.mail.fields import read_section
from conduit.mail.parse import parse
from conduit.mail.trace import (
    authentication_results_field,
    protocol_keyword,
    received_field,
    with_fields,
    without_own_results,
)
from conduit.model.authentication import (
    Arc,
    ArcStatus,
    AuthResults,
    Dkim,
    DkimStatus,
    Dmarc,
    DmarcStatus,
    Spf,
    SpfScope,
    SpfStatus,
)

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
OURS = "mx.example.org"
RESULTS = AuthResults(
    Spf(SpfStatus.PASS, SpfScope.MAIL_FROM, "example.com"),
    (
        Dkim(DkimStatus.PASS, "example.com", "s1", "rsa-sha256"),
        Dkim(DkimStatus.FAIL, "list.example.net", "s2", "ed25519-sha256", "the body differs"),
    ),
    Dmarc(DmarcStatus.PASS, "example.com", "reject"),
    Arc(ArcStatus.PASS, "relay.example.net", 2),
)
NOTHING = AuthResults(
    Spf(SpfStatus.NONE, SpfScope.HELO, ""), (), Dmarc(DmarcStatus.NONE, ""), Arc(ArcStatus.NONE)
)


def received(**changes: Any) -> bytes:
    fields: dict[str, Any] = {
        "helo": "mail.example.com",
        "remote_ip": "192.0.2.1",
        "hostname": OURS,
        "protocol": "ESMTPS",
        "message_id": "msg_01jgxyz",
        "recipient": "alerts@example.org",
        "received_at": NOON,
        "tls": "TLSv1.3",
    }
    return received_field(**fields | changes)


def unfolded(field: bytes) -> str:
    assert field.endswith(b"\r\n")
    return field.decode().removesuffix("\r\n").replace("\r\n\t", " ")


def assert_one_field(field: bytes, name: str) -> str:
    """Assert that a reader finds this one field in front of a mail; return its text."""
    mail = parse(with_fields(b"Subject: s\r\n\r\nbody\r\n", field))
    assert (mail.subject, mail.text) == ("s", "body\n")
    [(found, [text])] = mail.headers.items()
    assert found == name
    section = read_section(field, 0, len(field))
    assert (len(section.fields), section.problem) == (1, None)
    for line in field.removesuffix(b"\r\n").split(b"\r\n"):
        assert line.strip()
        assert len(line) <= 998
        assert not set(line) & {0, 10, 13}
    return text


def test_received() -> None:
    assert received() == (
        b"Received: from mail.example.com ([192.0.2.1])\r\n"
        b"\tby mx.example.org with ESMTPS (TLSv1.3) id msg_01jgxyz\r\n"
        b"\tfor <alerts@example.org>;\r\n"
        b"\tFri, 20 Nov 2026 12:00:00 +0000\r\n"
    )


def test_received_in_the_clear_for_several() -> None:
    text = unfolded(received(recipient=None, tls=None, protocol="ESMTP"))
    assert text == (
        "Received: from mail.example.com ([192.0.2.1]) by mx.example.org with ESMTP "
        "id msg_01jgxyz; Fri, 20 Nov 2026 12:00:00 +0000"
    )


@pytest.mark.parametrize(
    ("remote_ip", "literal"),
    [
        ("192.0.2.1", "([192.0.2.1])"),
        ("2001:db8::1", "([IPv6:2001:db8::1])"),
        ("::ffff:192.0.2.1", "([192.0.2.1])"),
        ("fe80::1%eth0", "([IPv6:fe80::1])"),
        ("", "(unknown)"),
        ("1.2.3.4]) by bank.example (", "(unknown)"),
    ],
)
def test_the_address_of_the_client(remote_ip: str, literal: str) -> None:
    assert f"from mail.example.com {literal} by" in unfolded(received(remote_ip=remote_ip))


@pytest.mark.parametrize(
    ("helo", "begin"),
    [
        ("mail.example.com", "from mail.example.com ([192.0.2.1]) by"),
        ("my_host", "from my_host ([192.0.2.1]) by"),
        ("[192.0.2.9]", "from [192.0.2.9] ([192.0.2.1]) by"),
        ("[IPv6:2001:db8::9]", "from [IPv6:2001:db8::9] ([192.0.2.1]) by"),
        ("bücher.example", "from xn--bcher-kva.example ([192.0.2.1]) by"),
        ("a b", "from [192.0.2.1] (HELO a b) by"),
        ("x) by bank.example (y", r"from [192.0.2.1] (HELO x\) by bank.example \(y) by"),
        ("\\", r"from [192.0.2.1] (HELO \\) by"),
        ("a\r\nX: y\0", "from [192.0.2.1] (HELO a??X: y?) by"),
        ("=?utf-8?q?x?=", r"from [192.0.2.1] (HELO =\?utf-8?q?x?=) by"),
        ("ü ü", "from [192.0.2.1] (HELO ? ?) by"),
        ("", "from [192.0.2.1] (HELO ) by"),
    ],
)
def test_the_name_that_the_client_gave(helo: str, begin: str) -> None:
    assert begin in unfolded(received(helo=helo))


@pytest.mark.parametrize(
    "recipient",
    ["a@b\r\nX: y", "a b@example.org", "a>@example.org", "=?utf-8?q?x?=@example.org", "a@b (c"],
)
def test_a_recipient_that_is_not_plain_is_left_out(recipient: str) -> None:
    assert " for " not in unfolded(received(recipient=recipient))


def test_a_recipient_of_smtputf8() -> None:
    field = received(recipient="jürgen@bücher.example", protocol="UTF8SMTPS")
    assert "for <jürgen@bücher.example>;" in assert_one_field(field, "Received")


@pytest.mark.parametrize(
    ("keyword", "flags"),
    [
        ("SMTP", (False, False, False, False)),
        ("ESMTP", (True, False, False, False)),
        ("ESMTPS", (True, True, False, False)),
        ("ESMTPA", (True, False, True, False)),
        ("ESMTPSA", (True, True, True, False)),
        ("UTF8SMTP", (True, False, False, True)),
        ("UTF8SMTPS", (True, True, False, True)),
        ("UTF8SMTPA", (True, False, True, True)),
        ("UTF8SMTPSA", (True, True, True, True)),
    ],
)
def test_protocol_keywords(keyword: str, flags: tuple[bool, bool, bool, bool]) -> None:
    extended, tls, authenticated, utf8 = flags
    found = protocol_keyword(extended=extended, tls=tls, authenticated=authenticated, utf8=utf8)
    assert found == keyword


def test_lines_are_short_where_they_can_be() -> None:
    for helo, recipient in product(["a" * 60 + ".example", "x y" * 20], ["b" * 60 + "@c.example"]):
        lines = received(helo=helo, recipient=recipient).split(b"\r\n")
        assert max(map(len, lines)) <= 78


def test_authentication_results() -> None:
    assert authentication_results_field(OURS, RESULTS, "ann@example.com") == (
        b"Authentication-Results: mx.example.org;\r\n"
        b"\tspf=pass smtp.mailfrom=example.com;\r\n"
        b"\tdkim=pass header.d=example.com header.s=s1 header.a=rsa-sha256;\r\n"
        b'\tdkim=fail reason="the body differs" header.d=list.example.net header.s=s2\r\n'
        b"\theader.a=ed25519-sha256;\r\n"
        b"\tdmarc=pass (p=reject) header.from=example.com;\r\n"
        b"\tarc=pass (i=2 d=relay.example.net);\r\n"
        b"\tauth=pass smtp.auth=ann@example.com\r\n"
    )


def test_results_that_found_nothing() -> None:
    text = unfolded(authentication_results_field(OURS, NOTHING, None))
    assert text == (
        "Authentication-Results: mx.example.org; spf=none; dkim=none; dmarc=none; arc=none"
    )


def test_the_null_reverse_path_is_judged_by_helo() -> None:
    spf = Spf(SpfStatus.PASS, SpfScope.HELO, "mx.example.com")
    field = authentication_results_field(OURS, replace(NOTHING, spf=spf), None)
    assert "spf=pass smtp.helo=mx.example.com;" in unfolded(field)


@pytest.mark.parametrize(
    ("user", "written"),
    [
        ("ann", "smtp.auth=ann"),
        ("ann.o'hara+x@example.com", "smtp.auth=ann.o'hara+x@example.com"),
        ("ann; dkim=pass", 'smtp.auth="ann; dkim=pass"'),
        ('a"b\\c', r'smtp.auth="a\"b\\c"'),
        ("a\r\nX: y", 'smtp.auth="a??X: y"'),
        ("jürgen", 'smtp.auth="jürgen"'),
        ("=?utf-8?q?x?=", r'smtp.auth="=\?utf-8?q?x?="'),
        ("a@b@c", 'smtp.auth="a@b@c"'),
        ("a\ud800", 'smtp.auth="a?"'),
    ],
)
def test_users(user: str, written: str) -> None:
    text = unfolded(authentication_results_field(OURS, NOTHING, user))
    assert text.endswith(f"; auth=pass {written}")


@pytest.mark.parametrize("user", ["", "a" * 256, "ü" * 128])
def test_a_user_that_cannot_be_written_is_not_cut(user: str) -> None:
    assert unfolded(authentication_results_field(OURS, NOTHING, user)).endswith("; auth=pass")


hostile = st.one_of(
    st.text(max_size=300),
    st.lists(
        st.sampled_from(
            [*'\r\n\0\t "\\();=<>@,?', "\r\n", "\r\nX: y", "=?utf-8?q?=0D=0A?=", "a", "é", "\x85"]
        ),
        max_size=30,
    ).map("".join),
)


@given(helo=hostile, remote_ip=hostile, recipient=st.none() | hostile, tls=st.none() | hostile)
def test_received_is_one_field_whatever_the_client_says(**said: Any) -> None:
    text = assert_one_field(received(**said), "Received")
    assert text.startswith("from ")
    assert text.endswith("; Fri, 20 Nov 2026 12:00:00 +0000")
    assert f" by {OURS} with ESMTPS " in text


@given(st.data())
def test_results_are_one_field_whatever_a_mail_says(data: st.DataObject) -> None:
    def said() -> str:
        return data.draw(hostile)

    results = AuthResults(
        Spf(SpfStatus.FAIL, SpfScope.MAIL_FROM, said(), said()),
        (Dkim(DkimStatus.FAIL, said(), said(), said(), said()),),
        Dmarc(DmarcStatus.FAIL, said(), said(), said()),
        Arc(ArcStatus.FAIL, said(), 1, said()),
    )
    field = authentication_results_field(OURS, results, said())
    text = assert_one_field(field, "Authentication-Results")
    assert text.startswith(f"{OURS}; spf=fail")
    methods = [word for word in plain_words(unfolded(field)) if word in METHODS]
    assert methods == ["spf=fail", "dkim=fail", "dmarc=fail", "arc=fail", "auth=pass"]


METHODS = {
    f"{method}={word}"
    for method in ("spf", "dkim", "dmarc", "arc", "auth")
    for word in ("pass", "fail")
}


def plain_words(text: str) -> list[str]:
    """Return what stands outside comments and quoted strings, read character by character."""
    kept, depth, quoted, escaped = "", 0, False, False
    for mark in text:
        if escaped:
            escaped = False
        elif mark == "\\":
            assert quoted or depth
            escaped = True
        elif mark == '"' and not depth:
            quoted = not quoted
        elif mark in "()" and not quoted:
            depth += 1 if mark == "(" else -1
        elif not quoted and not depth:
            kept += mark
    assert (depth, quoted, escaped) == (0, False, False)
    return kept.replace(";", " ").split()


def without(header: bytes) -> bytes:
    return without_own_results(header + b"\r\nbody\r\n", OURS).removesuffix(b"\r\nbody\r\n")


@pytest.mark.parametrize(
    "field",
    [
        b"Authentication-Results: mx.example.org; spf=pass\r\n",
        b"authentication-results :MX.Example.ORG;\r\n\tspf=pass;\r\n dkim=pass\r\n",
        b'Authentication-Results: "mx.example.org" 1; spf=pass\r\n',
        b'Authentication-Results: "mx.ex\\ample.org"; spf=pass\r\n',
        b"Authentication-Results: (a (nested \\) ) comment)\r\n mx.example.org; spf=pass\r\n",
        b"Authentication-Results:\r\n mx.example.org\r\n",
        b"Authentication-Results: mx.example.org.; spf=pass\r\n",
        b"Authentication-Results: mx.example.org(x); spf=pass\n",
        b"Authentication-Results:\r\n",
        b"Authentication-Results: ; spf=pass\r\n",
        b"Authentication-Results: (mx.example.org; spf=pass\r\n",
        b"Authentication-Results: ) mx.example.org; spf=pass\r\n",
        b"Authentication-Results: =?utf-8?q?mx.example.org?=; spf=pass\r\n",
        b"Authentication-Results: " + b"(" * 100_000 + b"\r\n",
    ],
)
def test_results_in_our_name_are_taken_off(field: bytes) -> None:
    before, after = b"Received: a\r\n b\r\n", b"Subject: s\r\n"
    assert without(field) == b""
    assert without(field + field + after) == after
    assert without(before + field + after) == before + after
    assert without(field + before + field + field + after + field) == before + after


@pytest.mark.parametrize(
    "field",
    [
        b"Authentication-Results: mx.example.com; spf=pass\r\n",
        b"Authentication-Results: other.mx.example.org; spf=pass\r\n",
        b"Authentication-Results: spf=pass smtp.mailfrom=mx.example.org\r\n",
        b"ARC-Authentication-Results: i=1; mx.example.org; spf=pass\r\n",
        b"X-Authentication-Results: mx.example.org; spf=pass\r\n",
        b"Subject: a\r\n Authentication-Results: mx.example.org; spf=pass\r\n",
        b"Subject: s\r\n\r\nAuthentication-Results: mx.example.org; spf=pass\r\n",
    ],
)
def test_others_stay_and_the_mail_is_not_copied(field: bytes) -> None:
    raw = field + b"\r\nbody\r\n"
    assert without_own_results(raw, OURS) is raw


def test_an_internationalized_name_is_ours_in_both_its_forms() -> None:
    for name in ("mx.bücher.example", "MX.xn--bcher-kva.example"):
        raw = f"Authentication-Results: {name}; spf=pass\r\n\r\n".encode()
        assert without_own_results(raw, "mx.bücher.example") == b"\r\n"


def test_what_comes_after_the_bounds_of_a_header_is_taken_off_too() -> None:
    long = b"X: y\r\n" * 2_000
    forged = b"Authentication-Results: mx.example.org; spf=pass\r\n"
    assert without(long + b"no field\r\n" + forged) == long + b"no field\r\n"


def test_of_very_many_results_only_the_first_hundred_stay() -> None:
    theirs = b"Authentication-Results: mx.example.com; spf=pass\r\n"
    ours = b"Authentication-Results: mx.example.org; spf=pass\r\n"
    subject = b"Subject: s\r\n"
    assert without(theirs * 200 + subject + theirs + ours) == theirs * 100 + subject
    assert without(ours * 200 + subject + theirs + ours) == subject
    assert without(subject + ours + theirs * 200 + subject) == subject + theirs * 99 + subject


@given(
    st.lists(
        st.sampled_from(
            [
                *(b"Authentication-Results: mx.example.org", b"Authentication-Results:", b"A: b"),
                *(b"\r\n", b"\n", b"\r", b" ", b"\t", b"(", b")", b'"', b"\\", b"mx.example.org"),
                *(b";", b"x", b"\xff", b"\r\n\r\n"),
            ]
        ),
        max_size=30,
    ).map(b"".join)
)
def test_nothing_in_our_name_is_left_in_any_header(raw: bytes) -> None:
    left = without_own_results(raw, OURS)
    assert without_own_results(left, OURS) is left
    assert others_of(left) == others_of(raw)
    for value in parse(left).headers.get("Authentication-Results", ()):
        assert not value.startswith(OURS + ";")


def others_of(raw: bytes) -> list[tuple[bytes, bytes]]:
    section = read_section(raw, 0, len(raw))
    fields = [(name, value.rstrip()) for name, value in section.fields]
    return [field for field in fields if field[0].lower() != b"authentication-results"]


@given(st.binary(max_size=200))
@example(b"\n\r\n")
def test_a_mail_stays_itself_behind_our_fields(raw: bytes) -> None:
    field = authentication_results_field(OURS, NOTHING, None)
    before, after = parse(raw), parse(with_fields(raw, field))
    [value, *_] = after.headers["Authentication-Results"]
    assert value.endswith("arc=none")
    assert (before.subject, before.from_) == (after.subject, after.from_)
    assert (before.text, before.html) == (after.text, after.html)


@pytest.mark.parametrize(
    "raw",
    [
        b" ; dkim=pass header.d=bank.example\r\n\r\nbody\r\n",
        b"\tauth=pass\r\n",
        b"From ann@example.com Fri Nov 20 12:00:00 2026\r\nSubject: s\r\n\r\nbody\r\n",
        b"From nobody\r\nat all\r\n",
        b"\r\nbody\r\n",
        b"\nbody\r\n",
        b"no header\r\n",
        b"",
    ],
)
def test_the_first_line_of_a_mail_cannot_continue_ours(raw: bytes) -> None:
    field = authentication_results_field(OURS, NOTHING, None)
    before, after = parse(raw), parse(with_fields(raw, field))
    assert after.headers == {"Authentication-Results": (" ".join(unfolded(field).split()[1:]),)}
    assert (after.subject, after.text) == (before.subject, before.text)
