"""What an endpoint may have the sender of a mail told, and what then became of the mail."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit.events import DeliveryOutcome
from conduit.model.delivery import Result
from conduit_dispatcher.answers import Answer, told
from conduit_dispatcher.overrides import SmtpReply, smtp_reply


def reply_of(code: str | None = None, message: str | None = None) -> SmtpReply:
    headers = {"X-Conduit-SMTP-Code": code, "X-Conduit-SMTP-Message": message}
    return smtp_reply({name: value for name, value in headers.items() if value is not None})


@pytest.mark.parametrize("code", ["200", "250", "299", "400", "421", "450", "500", "550", "599"])
def test_codes_from_200_to_599_count(code: str) -> None:
    assert reply_of(code).code == int(code)


@pytest.mark.parametrize(
    "code",
    [
        *("", "2", "25", "2500", "199", "600", "000", "100", "999", "-250", "+250", "2_0"),
        *(" 250", "250 ", "250\n", "250 OK", "250,550", "2.5e2", "0x1", "25O", "２５０", "٢٥٠"),
        *("300", "334", "354", "399"),
    ],
)
def test_anything_else_and_classes_1_and_3_are_as_none(code: str) -> None:
    assert reply_of(code).code is None
    assert reply_of(code).result is None


@pytest.mark.parametrize(
    ("message", "harmless"),
    [
        ("No such customer", "No such customer"),
        ("  spaced   out  ", "spaced out"),
        ("one\r\n250 two", "one 250 two"),
        ("one\rtwo\nthree\0four\x1b[2J\x7f", "one two three four [2J"),
        ("a\tb\x85c\u2028d", "a b c d"),
        ("Grüße, 世界", "Gr??e, ??"),
        ("raw \udcff octet", "raw ? octet"),
        ("", None),
        (" \r\n ", None),
        ("x" * 513, "x" * 512),
        ("x" * 511 + " y", "x" * 511),
    ],
)
def test_a_message_becomes_one_line_of_ascii(message: str, harmless: str | None) -> None:
    assert reply_of("550", message).message == harmless


@given(st.text())
def test_no_message_breaks_a_reply(message: str) -> None:
    harmless = reply_of("550", message).message
    assert harmless is None or (harmless.isascii() and harmless.isprintable())
    assert len(harmless or "") <= 512


ANSWERS = [
    (Result.DELIVERED, 200, "550", Result.PERMANENT),
    (Result.DELIVERED, 200, "450", Result.TRANSIENT),
    (Result.DELIVERED, 200, "252", Result.DELIVERED),
    (Result.TRANSIENT, 503, "250", Result.DELIVERED),
    (Result.TRANSIENT, 503, "550", Result.PERMANENT),
    (Result.PERMANENT, 404, "250", Result.DELIVERED),
    (Result.PERMANENT, 404, "421", Result.TRANSIENT),
    (Result.GONE, 410, "550", Result.GONE),
    (Result.GONE, 410, "450", Result.TRANSIENT),
    (Result.GONE, 410, "250", Result.DELIVERED),
    (Result.DELIVERED, 200, "354", Result.DELIVERED),
    (Result.TRANSIENT, 500, "600", Result.TRANSIENT),
]


@pytest.mark.parametrize(("result", "status", "code", "counts_as"), ANSWERS)
def test_the_hundreds_digit_decides(
    result: Result, status: int, code: str, counts_as: Result
) -> None:
    said = None if result is Result.DELIVERED else "refused"
    answer = Answer(result, status, said, 1, smtp=reply_of(code, "because")).as_it_says()
    assert answer.result is counts_as
    assert (answer.error is None) is (counts_as is Result.DELIVERED)


def test_the_owner_sees_what_the_sender_is_told() -> None:
    answer = Answer(Result.DELIVERED, 200, None, 1, smtp=reply_of("550", "No such customer"))
    assert answer.as_it_says().error == (
        "the endpoint answered 200 with X-Conduit-SMTP-Code 550 No such customer"
    )


@pytest.mark.parametrize(
    ("result", "outcome"),
    [
        (Result.DELIVERED, DeliveryOutcome.DELIVERED),
        (Result.TRANSIENT, DeliveryOutcome.TRANSIENT),
        (Result.PERMANENT, DeliveryOutcome.PERMANENT),
        (Result.GONE, DeliveryOutcome.PERMANENT),
    ],
)
def test_each_result_has_its_outcome(result: Result, outcome: DeliveryOutcome) -> None:
    assert told("dlv_1", Answer(result, None, None, 1)).outcome is outcome
