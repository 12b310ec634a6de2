"""Which headers may be added to webhook calls."""

import pytest

from conduit_api.custom_headers import check_custom_headers
from conduit_api.errors import Unprocessable


def refusal_of(headers: dict[str, str]) -> str:
    with pytest.raises(Unprocessable) as refusal:
        check_custom_headers(headers)
    assert refusal.value.body.code == "invalid_custom_headers"
    return refusal.value.body.error


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer abc", "X-Api-Key": "1!#~"},
        {"X-Empty": ""},
        {"X-Spaced": "one two"},
        {f"X-{number}": "1" for number in range(50)},
        {"X-Long": "v" * 4096},
    ],
)
def test_headers_of_ones_own_are_taken(headers: dict[str, str]) -> None:
    check_custom_headers(headers)


@pytest.mark.parametrize(
    "name",
    [
        "Content-Type",
        "content-type",
        "User-Agent",
        "Host",
        "Content-Length",
        "Content-Encoding",
        "Connection",
        "Keep-Alive",
        "Proxy-Authorization",
        "TE",
        "Trailer",
        "Transfer-Encoding",
        "Upgrade",
        "X-Conduit-Signature",
        "x-conduit-anything",
        "webhook-id",
        "Webhook-Signature",
    ],
)
def test_what_conduit_sets_or_the_connection_needs_is_refused(name: str) -> None:
    assert name in refusal_of({name: "1"})


@pytest.mark.parametrize("name", ["", "X Y", "X:", "X\r\nY", "Ä", "X\0", "(x)", "x" * 129])
def test_names_are_tokens(name: str) -> None:
    refusal_of({name: "1"})


@pytest.mark.parametrize(
    "value",
    ["s3c\r\nX: b", "s3c\nb", "s3c\rb", "s3c\0", "s3c\tb", "s3cé", " s3c", "s3c ", "s3c" * 1366],
)
def test_values_are_visible_and_never_repeated(value: str) -> None:
    assert "s3c" not in refusal_of({"X-A": value})


def test_a_name_occurs_once() -> None:
    refusal_of({"X-A": "1", "x-a": "2"})


def test_there_are_at_most_fifty() -> None:
    refusal_of({f"X-{number}": "1" for number in range(51)})


def test_all_together_are_bounded() -> None:
    refusal_of({f"X-{number}": "v" * 4096 for number in range(4)})
