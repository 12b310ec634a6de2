"""Which domain names may be claimed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit_api.domain_name import claimable
from conduit_api.errors import Unprocessable

PUBLIC = "in.conduit.example"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("example.com", "example.com"),
        ("Mail.Example.COM", "mail.example.com"),
        ("mail.example.com.", "mail.example.com"),
        ("münchen.de", "xn--mnchen-3ya.de"),
        ("MÜNCHEN.de", "xn--mnchen-3ya.de"),
        ("xn--mnchen-3ya.de", "xn--mnchen-3ya.de"),
        ("mail。example。com", "mail.example.com"),
        ("example.test", "example.test"),
        ("my.github.io", "my.github.io"),
        ("conduit.example", "conduit.example"),
        ("notin.conduit.example", "notin.conduit.example"),
    ],
)
def test_names_are_taken_in_a_labels(text: str, name: str) -> None:
    assert claimable(text, PUBLIC) == name


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "com",
        "co.uk",
        "github.io",
        "test",
        "localhost",
        "192.0.2.1",
        "1.2.3.0x7f",
        "::1",
        "[2001:db8::1]",
        "a..example.com",
        ".example.com",
        "example.com..",
        "-a.example.com",
        "a_b.example.com",
        "a b.example.com",
        "user@example.com",
        "https://example.com",
        "*.example.com",
        "xn--a.example.com",
        "a" * 64 + ".example.com",
        "a." * 115 + "example.com",
        "a" * 100_000,
        "in.conduit.example",
        "IN.conduit.example.",
        "deep.in.conduit.example",
    ],
)
def test_others_are_refused(text: str) -> None:
    with pytest.raises(Unprocessable) as refusal:
        claimable(text, PUBLIC)
    assert refusal.value.body.code == "invalid_domain_name"


@given(st.text(max_size=60))
def test_no_text_causes_another_error(text: str) -> None:
    try:
        name = claimable(text, PUBLIC)
    except Unprocessable:
        return
    assert name.isascii()
    assert name == name.lower()
    assert claimable(name, PUBLIC) == name
