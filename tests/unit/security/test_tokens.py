"""Access tokens are signed and pinned to one algorithm; refresh tokens are used once."""

from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretBytes

from conduit.security.tokens import (
    ACCESS_LIFETIME,
    AccessClaims,
    AccessTokens,
    InvalidToken,
    RefreshToken,
    Succession,
    new_single_use_token,
    token_hash,
)

OLD, NEW = SecretBytes(b"o" * 32), SecretBytes(b"n" * 32)
CLAIMS = AccessClaims(account_id="acc_1", session_id="ses_1")


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def tokens() -> AccessTokens:
    return AccessTokens({"old": OLD})


def signed(
    changes: dict[str, Any] | None = None,
    *,
    without: str | None = None,
    algorithm: str = "HS256",
    key: SecretBytes = OLD,
    kid: object = "old",
) -> str:
    payload: dict[str, Any] = {
        "sub": "acc_1",
        "sid": "ses_1",
        "jti": "1",
        "iat": now(),
        "exp": now() + timedelta(minutes=1),
    }
    payload |= changes or {}
    payload.pop(without or "", None)
    header = {} if kid is None else {"kid": kid}
    return jwt.encode(payload, key.get_secret_value(), algorithm, headers=header)


def test_a_token_says_whose_it_is(tokens: AccessTokens) -> None:
    assert tokens.read(tokens.issue(CLAIMS, now())) == CLAIMS


def test_a_token_names_its_key_and_lives_for_15_minutes(tokens: AccessTokens) -> None:
    token = tokens.issue(CLAIMS, now())
    assert jwt.get_unverified_header(token) == {"alg": "HS256", "kid": "old", "typ": "JWT"}
    payload = jwt.decode(token, options={"verify_signature": False})
    assert payload["exp"] - payload["iat"] == 900 == ACCESS_LIFETIME.total_seconds()


def test_the_first_key_signs_and_all_verify(tokens: AccessTokens) -> None:
    rotated = AccessTokens({"new": NEW, "old": OLD})
    assert rotated.read(tokens.issue(CLAIMS, now())) == CLAIMS
    with pytest.raises(InvalidToken):
        tokens.read(rotated.issue(CLAIMS, now()))


def test_the_tests_own_tokens_are_good(tokens: AccessTokens) -> None:
    assert tokens.read(signed()) == CLAIMS


@pytest.mark.parametrize("claim", ["exp", "iat", "sub", "jti", "sid"])
def test_every_claim_is_required(tokens: AccessTokens, claim: str) -> None:
    with pytest.raises(InvalidToken):
        tokens.read(signed(without=claim))


@pytest.mark.parametrize(
    "token",
    [
        signed({"exp": now() - timedelta(minutes=1)}),
        signed({"iat": now() + timedelta(minutes=5)}),
        signed(key=NEW),
        signed(kid="new"),
        signed(kid=None),
        signed()[:-2],
        "",
        "a.b.c",
        "é.é.é",
    ],
)
def test_other_tokens_are_refused(tokens: AccessTokens, token: str) -> None:
    with pytest.raises(InvalidToken):
        tokens.read(token)


@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
def test_the_algorithm_is_pinned(algorithm: str) -> None:
    long = SecretBytes(b"l" * 64)
    with pytest.raises(InvalidToken):
        AccessTokens({"long": long}).read(signed(algorithm=algorithm, key=long, kid="long"))


def test_an_unsigned_token_is_refused(tokens: AccessTokens) -> None:
    header = urlsafe_b64encode(b'{"alg":"none","kid":"old"}').decode().rstrip("=")
    payload = signed().split(".")[1]
    with pytest.raises(InvalidToken):
        tokens.read(f"{header}.{payload}.")


def test_a_key_id_of_another_type_is_refused(tokens: AccessTokens) -> None:
    header = urlsafe_b64encode(b'{"alg":"HS256","kid":["old"]}').decode().rstrip("=")
    with pytest.raises(InvalidToken):
        tokens.read(header + "." + signed().partition(".")[2])


def test_a_refresh_token_is_opaque_and_comes_back_as_it_was() -> None:
    token = RefreshToken.new()
    assert len(token.text()) == 64
    assert RefreshToken.parse(token.text()) == token


def test_what_is_kept_of_a_refresh_token_does_not_tell_it() -> None:
    token = RefreshToken.new()
    assert len(token.family_hash) == len(token.turn_hash) == 64
    assert token.family.hex() not in token.family_hash
    assert token.turn.hex() not in token.turn_hash


def test_the_next_refresh_token_is_of_the_same_family_and_another_turn() -> None:
    first = RefreshToken.new()
    second = Succession({"old": OLD}).after(first)
    assert second.family_hash == first.family_hash
    assert second.is_current(second.turn_hash)
    assert not first.is_current(second.turn_hash)


def test_a_refresh_token_has_one_successor_which_depends_on_the_key() -> None:
    token = RefreshToken.new()
    assert Succession({"old": OLD}).after(token) == Succession({"old": OLD}).after(token)
    assert Succession({"old": OLD}).after(token) != Succession({"new": NEW}).after(token)
    assert Succession({"old": OLD}).after(RefreshToken.new()).turn != token.turn


def test_a_successor_is_found_again_after_the_keys_were_rotated() -> None:
    token = RefreshToken.new()
    issued = Succession({"old": OLD}).after(token)
    rotated = Succession({"new": NEW, "old": OLD})
    assert rotated.issued_after(token, issued.turn_hash) == issued
    assert rotated.issued_after(token, token.turn_hash) is None
    assert Succession({"new": NEW}).issued_after(token, issued.turn_hash) is None


def test_single_use_tokens_are_random_and_kept_as_hashes() -> None:
    token = new_single_use_token()
    assert len(token) == 43
    assert token != new_single_use_token()
    assert token_hash(token) == token_hash(token)
    assert token not in token_hash(token)


@given(st.text(max_size=100) | st.binary(max_size=60).map(lambda b: urlsafe_b64encode(b).decode()))
def test_other_texts_are_no_refresh_tokens(text: str) -> None:
    try:
        token = RefreshToken.parse(text)
    except InvalidToken:
        return
    assert len(token.family + token.turn) == 48
