"""Signatures, computed here a second time by the text of the specification."""

import base64
import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit.webhook.signature import Signer, sign, signing_key

# The published example of Standard Webhooks.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
MESSAGE_ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
TIMESTAMP = 1614265330
BODY = b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def expected(key: bytes, message_id: str, timestamp: int, body: bytes) -> str:
    """Compute `v1,<base64>` without the code that is tested."""
    content = message_id.encode() + b"." + str(timestamp).encode() + b"." + body
    return "v1," + base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()


def test_the_published_example() -> None:
    headers = sign(BODY, [Signer(SECRET)], MESSAGE_ID, TIMESTAMP)
    assert headers["webhook-id"] == MESSAGE_ID
    assert headers["webhook-timestamp"] == "1614265330"
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    assert expected(key, MESSAGE_ID, TIMESTAMP, BODY) == SIGNATURE
    assert headers["webhook-signature"] == SIGNATURE


def test_the_plain_signature_is_of_the_body_alone() -> None:
    headers = sign(BODY, [Signer("own secret")], MESSAGE_ID, TIMESTAMP)
    digest = hmac.new(b"own secret", BODY, hashlib.sha256).hexdigest()
    assert headers["X-Conduit-Signature"] == f"sha256={digest}"


def test_a_signer_signs_any_number_of_bodies() -> None:
    signer = Signer(SECRET)
    once = sign(BODY, [signer], MESSAGE_ID, TIMESTAMP)
    assert sign(b"another", [signer], "msg_2", TIMESTAMP + 1) != once
    assert sign(BODY, [signer], MESSAGE_ID, TIMESTAMP) == once


def test_two_secrets_give_two_signatures_the_newest_first() -> None:
    new, old = Signer("whsec_bmV3"), Signer("whsec_b2xk")
    headers = sign(BODY, [new, old], MESSAGE_ID, TIMESTAMP)
    assert headers["webhook-signature"].split(" ") == [
        expected(b"new", MESSAGE_ID, TIMESTAMP, BODY),
        expected(b"old", MESSAGE_ID, TIMESTAMP, BODY),
    ]
    alone = sign(BODY, [new], MESSAGE_ID, TIMESTAMP)
    assert headers["X-Conduit-Signature"] == alone["X-Conduit-Signature"]


@pytest.mark.parametrize(
    ("secret", "key"),
    [
        ("whsec_a2V5", b"key"),
        ("my own secret", b"my own secret"),
        ("geheimnisträger", "geheimnisträger".encode()),
        ("WHSEC_a2V5", b"WHSEC_a2V5"),
        # None of these is base64, so it was not generated.
        ("whsec_not base64", b"whsec_not base64"),
        ("whsec_abc", b"whsec_abc"),
        ("whsec_ä", "whsec_ä".encode()),
        ("whsec_", b"whsec_"),
    ],
)
def test_the_key_of_a_secret(secret: str, key: bytes) -> None:
    assert signing_key(secret) == key


@given(st.binary(max_size=200), st.text(min_size=1, max_size=50).filter(str.isprintable))
def test_whatever_the_body_and_the_secret(body: bytes, secret: str) -> None:
    headers = sign(body, [Signer(secret)], "msg_1", 1)
    assert headers["webhook-signature"] == expected(signing_key(secret), "msg_1", 1, body)
    assert all(value.isascii() for value in headers.values())
