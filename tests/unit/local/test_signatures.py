"""The demo's check of signatures knows right from wrong."""

import pytest

from conduit_local.signatures import conduit_is_valid, standard_is_valid, standard_key

# The example of the Standard Webhooks specification.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = b'{"test": 2432232314}'
HEADERS = {
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": "1614265330",
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}


def test_the_specifications_example_is_valid() -> None:
    assert standard_is_valid(SECRET, HEADERS, BODY)


def test_one_of_several_signatures_is_enough() -> None:
    both = "v1,AAAA " + HEADERS["webhook-signature"]
    assert standard_is_valid(SECRET, HEADERS | {"webhook-signature": both}, BODY)


@pytest.mark.parametrize("name", HEADERS)
def test_any_change_makes_it_wrong(name: str) -> None:
    assert not standard_is_valid(SECRET, HEADERS | {name: "v1,other"}, BODY)
    assert not standard_is_valid(SECRET, {k: v for k, v in HEADERS.items() if k != name}, BODY)
    assert not standard_is_valid(SECRET, HEADERS, BODY + b" ")


def test_conduits_own_scheme_signs_the_body() -> None:
    # RFC 4231's second test case.
    expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    headers = {"X-Conduit-Signature": f"sha256={expected}"}
    assert conduit_is_valid("Jefe", headers, b"what do ya want for nothing?")
    assert not conduit_is_valid("Jefe", headers, b"what do ya want for something?")
    assert not conduit_is_valid("Jefe", {}, b"what do ya want for nothing?")


def test_a_secret_without_the_prefix_is_the_key() -> None:
    assert standard_key("my own secret") == b"my own secret"
