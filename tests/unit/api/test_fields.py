"""Fields: e-mail addresses, and what may be left out but not be null."""

import pytest
from pydantic import TypeAdapter, ValidationError

from conduit_api.fields import Email, Omittable, Request

EMAILS: TypeAdapter[str] = TypeAdapter(Email)


class Sample(Request):
    name: Omittable[str] = None


@pytest.mark.parametrize(
    ("text", "email"),
    [
        ("user@example.com", "user@example.com"),
        ("User.Name+tag@Mail.Example.COM", "user.name+tag@mail.example.com"),
        ("o'hara@xn--mnchen-3ya.de", "o'hara@xn--mnchen-3ya.de"),
        ("a" * 64 + "@example.com", "a" * 64 + "@example.com"),
    ],
)
def test_addresses_are_taken_in_lower_case(text: str, email: str) -> None:
    assert EMAILS.validate_python(text) == email


@pytest.mark.parametrize(
    "text",
    [
        "",
        "user",
        "user@",
        "@example.com",
        "user@localhost",
        "user@example.com ",
        "user@example.com\n",
        "us er@example.com",
        "user@@example.com",
        ".user@example.com",
        "us..er@example.com",
        "user@-example.com",
        "user@example..com",
        "user@192.0.2.1",
        "user@[192.0.2.1]",
        "Ünser@example.com",
        '"user"@example.com',
        "User <user@example.com>",
        "a" * 65 + "@example.com",
        "a@" + "b." * 130 + "com",
    ],
)
def test_others_are_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        EMAILS.validate_python(text)


def test_a_field_may_be_left_out() -> None:
    assert Sample.model_validate({}).name is None


def test_but_not_be_null() -> None:
    with pytest.raises(ValidationError):
        Sample.model_validate({"name": None})
