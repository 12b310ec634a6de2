"""The parameters of MAIL."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit_smtp_ingest.parameters import MailParameters, ParameterError


@pytest.mark.parametrize(
    ("text", "size", "utf8"),
    [
        ("", 0, False),
        ("SIZE=0", 0, False),
        ("size=100", 100, False),
        ("SIZE=" + "9" * 20, int("9" * 20), False),
        ("BODY=7BIT", 0, False),
        ("body=8bitmime", 0, False),
        ("SMTPUTF8", 0, True),
        ("SIZE=5  BODY=8BITMIME   SMTPUTF8", 5, True),
    ],
)
def test_what_is_understood(text: str, size: int, utf8: bool) -> None:
    assert MailParameters.parse(text) == MailParameters(size, utf8)


@pytest.mark.parametrize("text", ["AUTH=<>", "auth=e+3Dmc2@example.com"])
def test_on_whose_behalf_does_not_matter(text: str) -> None:
    assert MailParameters.parse(text) == MailParameters()


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("SIZE", 501),
        ("SIZE=", 501),
        ("SIZE=-1", 501),
        ("SIZE=+1", 501),
        ("SIZE=1_0", 501),
        ("SIZE=0x10", 501),
        ("SIZE=١٢", 501),
        ("SIZE=²", 501),
        ("SIZE=" + "9" * 21, 501),
        ("SIZE=1\tBODY=7BIT", 501),
        ("SIZE=1\x1cSMTPUTF8", 501),
        ("BODY=BINARYMIME", 501),
        ("BODY", 501),
        ("SMTPUTF8=", 501),
        ("SMTPUTF8=yes", 501),
        ("SMTPUTF8\u00a0SIZE=1", 555),
        ("RET=FULL", 555),
        ("AUTH", 501),
        ("AUTH=", 501),
        ("=", 555),
        ("=1", 555),
        ("\udc80", 555),
    ],
)
def test_what_is_refused(text: str, code: int) -> None:
    with pytest.raises(ParameterError) as refused:
        MailParameters.parse(text)
    assert refused.value.reply.code == code


@given(st.text())
def test_nothing_else_is_ever_raised(text: str) -> None:
    try:
        parameters = MailParameters.parse(text)
    except ParameterError:
        return
    assert 0 <= parameters.size < 10**20
