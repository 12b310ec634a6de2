"""The exchange of AUTH: what a client sends, and what it means."""

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit_smtp_ingest import replies
from conduit_smtp_ingest.sasl import LONGEST_LINE, MECHANISMS, Challenge, Claim, Refused, start

ALICE = Claim("alice", "correct horse")
MALFORMED = Refused(replies.AUTH_MALFORMED)
NOT_BASE64 = Refused(replies.AUTH_NOT_BASE64)


def b64(octets: bytes) -> bytes:
    return b64encode(octets)


def exchange(mechanism: str, *lines: bytes, initial: bytes | None = None) -> object:
    """Play a client that answers each challenge with its next line; return how it ends."""
    step = start(mechanism, None if initial is None else initial.decode("utf-8", "surrogateescape"))
    for line in lines:
        assert isinstance(step, Challenge)
        step = step.answer(line)
    return step


@pytest.mark.parametrize("mechanism", ["PLAIN", "plain", "Plain"])
def test_plain_with_an_initial_response(mechanism: str) -> None:
    assert exchange(mechanism, initial=b64(b"\0alice\0correct horse")) == ALICE


def test_plain_with_a_challenge() -> None:
    challenge = start("PLAIN", None)
    assert isinstance(challenge, Challenge)
    assert str(challenge.reply) == "334 "  # RFC 4954 §4: the space is there without a text too
    assert challenge.answer(b64(b"\0alice\0correct horse")) == ALICE


@pytest.mark.parametrize("mechanism", ["LOGIN", "login", "Login"])
def test_login_with_both_prompts(mechanism: str) -> None:
    name = start(mechanism, None)
    assert isinstance(name, Challenge)
    assert str(name.reply) == f"334 {b64(b'Username:').decode()}"
    password = name.answer(b64(b"alice"))
    assert isinstance(password, Challenge)
    assert str(password.reply) == f"334 {b64(b'Password:').decode()}"
    assert password.answer(b64(b"correct horse")) == ALICE


def test_login_with_the_user_name_at_once() -> None:
    password = start("LOGIN", b64(b"alice").decode())
    assert isinstance(password, Challenge)
    assert password.reply == replies.AUTH_PASSWORD
    assert password.answer(b64(b"correct horse")) == ALICE


def test_two_exchanges_do_not_mix() -> None:
    one, other = (start("LOGIN", b64(name).decode()) for name in (b"alice", b"bob"))
    assert isinstance(one, Challenge)
    assert isinstance(other, Challenge)
    assert other.answer(b64(b"x")) == Claim("bob", "x")
    assert one.answer(b64(b"y")) == Claim("alice", "y")


@pytest.mark.parametrize(
    ("mechanism", "reply"),
    [
        ("", replies.NEEDS_MECHANISM),
        ("CRAM-MD5", replies.UNKNOWN_MECHANISM),
        ("XOAUTH2", replies.UNKNOWN_MECHANISM),
        ("PLAIN\0", replies.UNKNOWN_MECHANISM),
        ("plaın", replies.UNKNOWN_MECHANISM),  # its upper case is PLAIN
        ("\udcff", replies.UNKNOWN_MECHANISM),
    ],
)
@pytest.mark.parametrize("initial", [None, "AGFsaWNlAHg="])
def test_other_mechanisms(mechanism: str, reply: replies.Reply, initial: str | None) -> None:
    assert start(mechanism, initial) == Refused(reply)


@pytest.mark.parametrize(
    ("message", "outcome"),
    [
        (b"alice\0alice\0correct horse", ALICE),
        (b"bob\0alice\0correct horse", Refused(replies.BAD_CREDENTIALS)),
        (b"Alice\0alice\0correct horse", Refused(replies.BAD_CREDENTIALS)),
        ("zu\u0308rich\0zürich\0x".encode(), Claim("zürich", "x")),
        ("\0älice\0pässword 密码".encode(), Claim("älice", "pässword 密码")),
        (b"\0alice\0" + b"x" * 9000, Claim("alice", "x" * 9000)),
        (b"", MALFORMED),
        (b"alice", MALFORMED),
        (b"alice\0correct horse", MALFORMED),
        (b"\0alice\0correct\0horse", MALFORMED),
        (b"\0\0correct horse", MALFORMED),
        (b"alice\0\0correct horse", MALFORMED),
        (b"\0alice\0", MALFORMED),
        (b"\0\0", MALFORMED),
        (b"\0\xe4lice\0x", MALFORMED),
        (b"\xe4\0alice\0x", MALFORMED),
        (b"\0alice\0\xed\xa0\x80", MALFORMED),  # a surrogate
        (b"\0alice\0\xc0\x80", MALFORMED),  # NUL, too long
    ],
)
def test_what_plain_may_say(message: bytes, outcome: object) -> None:
    assert exchange("PLAIN", b64(message)) == outcome
    assert exchange("PLAIN", initial=b64(message) or b"=") == outcome


@pytest.mark.parametrize("bad", [b"", b"a\0b", b"\0", b"\xe4", b"\xed\xa0\x80"])
def test_what_login_may_not_say(bad: bytes) -> None:
    assert exchange("LOGIN", b64(bad)) == MALFORMED
    assert exchange("LOGIN", initial=b64(bad) or b"=") == MALFORMED
    assert exchange("LOGIN", b64(b"alice"), b64(bad)) == MALFORMED


@pytest.mark.parametrize(
    "line",
    [
        b"A",
        b"AGE",
        b"AGEAY",
        b"AGEAYg",
        b"AGEAYg=",
        b"AGEAYg===",
        b"=AGEAYg==",
        b"AGEAYg== ",
        b" AGEAYg==",
        b"AGEA Yg==",
        b"AGEA\tYg==",
        b"AGEAYg==AGEAYg==",
        b"AGEAYh==",  # bits beyond the last octet
        b"AGEA-_==",
        b"AGEAYg==\0",
        b"\xff\xff\xff\xff",
        "ＡＧＥＡＹｇ＝＝".encode(),
        b"**",
    ],
)
def test_base64_is_read_strictly(line: bytes) -> None:
    assert exchange("PLAIN", b"AGEAYg==") == Claim("a", "b")
    assert exchange("PLAIN", line) == NOT_BASE64
    assert exchange("PLAIN", initial=line) == NOT_BASE64
    assert exchange("LOGIN", line) == NOT_BASE64
    assert exchange("LOGIN", b"YQ==", line) == NOT_BASE64


def test_an_equals_sign_stands_for_nothing_in_the_command_only() -> None:
    assert exchange("PLAIN", initial=b"=") == MALFORMED
    assert exchange("PLAIN", b"=") == NOT_BASE64
    assert exchange("LOGIN", b"YQ==", b"=") == NOT_BASE64


def test_the_client_may_cancel_at_each_challenge() -> None:
    cancelled = Refused(replies.AUTH_CANCELLED)
    assert exchange("PLAIN", b"*") == cancelled
    assert exchange("LOGIN", b"*") == cancelled
    assert exchange("LOGIN", b64(b"alice"), b"*") == cancelled
    assert exchange("PLAIN", initial=b"*") == NOT_BASE64


def test_a_line_has_a_bound() -> None:
    longest = b64(b"\0a\0" + b"x" * 9210)  # base64 comes in groups of four
    assert LONGEST_LINE - 6 <= len(longest) + len(b"\r\n") <= LONGEST_LINE
    assert exchange("PLAIN", longest) == Claim("a", "x" * 9210)
    assert exchange("PLAIN", longest + b"AAAA") == Refused(replies.AUTH_LINE_TOO_LONG)
    assert exchange("PLAIN", initial=longest * 2) == Refused(replies.AUTH_LINE_TOO_LONG)


def test_a_password_does_not_show_when_printed() -> None:
    assert "horse" not in repr(ALICE)
    assert "alice" not in repr(start("LOGIN", b64(b"alice").decode()))


passwords = st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1)


@given(passwords, passwords)
def test_what_a_client_says_arrives_by_each_way(username: str, password: str) -> None:
    claim = Claim(username, password)
    message = b64(f"\0{username}\0{password}".encode())
    name, secret = b64(username.encode()), b64(password.encode())
    assert exchange("PLAIN", message) == claim
    assert exchange("PLAIN", initial=message) == claim
    assert exchange("LOGIN", name, secret) == claim
    assert exchange("LOGIN", secret, initial=name) == claim


as_commands_are_read = st.binary().map(lambda octets: octets.decode(errors="surrogateescape"))


@given(
    st.sampled_from(MECHANISMS),
    st.none() | as_commands_are_read,
    st.lists(st.binary(), max_size=3),
)
def test_whatever_is_sent_ends_in_a_claim_or_a_refusal(
    mechanism: str, initial: str | None, lines: list[bytes]
) -> None:
    _ends(start(mechanism, initial), lines)


@given(st.sampled_from(MECHANISMS), st.lists(st.binary(), max_size=3))
def test_whatever_is_encoded_ends_in_a_claim_or_a_refusal(
    mechanism: str, messages: list[bytes]
) -> None:
    _ends(start(mechanism, None), list(map(b64, messages)))


def _ends(step: object, lines: list[bytes]) -> None:
    for line in lines:
        if isinstance(step, Challenge):
            step = step.answer(line)
    if isinstance(step, Claim):
        assert step.username
        assert step.password
        assert "\0" not in step.username + step.password
    elif isinstance(step, Challenge):
        assert step.reply.code == 334
    else:
        assert isinstance(step, Refused)
        assert step.reply.code // 100 == 5
