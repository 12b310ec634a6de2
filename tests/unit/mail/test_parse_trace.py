"""What the header section tells at a glance."""

import pytest

from conduit.mail.trace import received_count, smtp_message_id


def test_received_fields_are_counted_in_any_spelling() -> None:
    raw = b"Received: a\r\n b\r\nRECEIVED: c\r\nreceived : d\r\nX-Received: e\r\n\r\n"
    assert received_count(raw) == 3


def test_the_body_does_not_count() -> None:
    raw = b"Received: a\r\n\r\nReceived: b\r\nMessage-ID: <1@example.com>\r\n"
    assert received_count(raw) == 1
    assert smtp_message_id(raw) is None


def test_a_loop_is_seen_in_a_large_mail() -> None:
    assert received_count(b"Received: a\r\n" * 100 + b"\r\n" + b"x" * (1 << 20)) == 100


@pytest.mark.parametrize(
    ("raw", "message_id"),
    [
        (b"Message-ID: <1@example.com>\r\n\r\n", "<1@example.com>"),
        (b"message-id:<1@example.com>", "<1@example.com>"),
        (b"Message-ID:\r\n <1@example.com>\r\n\r\n", "<1@example.com>"),
        (b"Message-ID: <1@a>\r\nMessage-ID: <2@a>\r\n\r\n", "<1@a>"),
        ("Message-ID: <1@münchen.example>\r\n\r\n".encode(), "<1@münchen.example>"),
        (b"Message-ID:\r\n\r\n", None),
        (b"Message-ID: " + b"a" * 999 + b"\r\n\r\n", None),
        (b"", None),
    ],
)
def test_the_message_id_is_the_fields_value(raw: bytes, message_id: str | None) -> None:
    assert smtp_message_id(raw) == message_id
