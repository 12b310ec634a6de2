"""The comma-separated lists of SMTP security policies."""

from base64 import b64encode
from contextlib import suppress

import bcrypt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit.model.policy import Credential, SmtpPolicy
from conduit.model.record import utc_now
from conduit_api.errors import Unprocessable
from conduit_api.policy_fields import (
    HIDDEN,
    Kept,
    Plain,
    check_whole,
    credentials,
    domains,
    hidden,
    joined,
    source_networks,
    with_kept,
)

SALT_AND_HASH = "EfPxbWI5m5iF8FV3Ffy5G.ZEh.GMebYugorKlGrrwzunT9ECTyx2y"
HASH = f"$2b$10${SALT_AND_HASH}"


def refusal_of(read: object, *arguments: object) -> str:
    assert callable(read)
    with pytest.raises(Unprocessable) as refusal:
        read(*arguments)
    return f"{refusal.value.body.code} {refusal.value.body.error}"


@pytest.mark.parametrize(
    ("text", "networks"),
    [
        ("", ""),
        ("  ", ""),
        ("192.0.2.1", "192.0.2.1/32"),
        ("2001:DB8::1", "2001:db8::1/128"),
        (" 10.0.0.0/8 , 2001:db8::/32", "10.0.0.0/8,2001:db8::/32"),
        ("0.0.0.0/0,::/0", "0.0.0.0/0,::/0"),
        ("192.0.2.1,192.0.2.1/32", "192.0.2.1/32"),
    ],
)
def test_networks_are_read(text: str, networks: str) -> None:
    assert joined(source_networks(text)) == networks
    assert source_networks(networks) == source_networks(text)


@pytest.mark.parametrize(
    "item",
    [
        "10.0.0.1/8",
        "10.0.0.0/33",
        "10.0.0.0/255.0.0.0",
        "10.0.0.0/0.255.255.255",
        "10.0.0.0/",
        "10.0.0.0/ 8",
        "10.1",
        "010.0.0.1",
        "::1/129",
        "fe80::1%eth0",
        "::ffff:10.0.0.1",
        "::ffff:10.0.0.0/104",
        "example.com",
        "*",
    ],
)
def test_a_network_that_is_none_is_named(item: str) -> None:
    refusal = refusal_of(source_networks, f"192.0.2.0/24,{item}")
    assert refusal.startswith("invalid_allowed_source_ips ")
    assert item in refusal


def test_the_network_that_was_meant_is_told() -> None:
    assert "10.0.0.0/8" in refusal_of(source_networks, "10.1.2.3/8")


@pytest.mark.parametrize("text", [",", "192.0.2.1,", ",192.0.2.1", "192.0.2.1,,192.0.2.2"])
def test_a_stray_comma_never_opens_a_policy(text: str) -> None:
    assert "comma" in refusal_of(source_networks, text)


def test_lists_are_bounded() -> None:
    networks = [f"10.0.{number}.0/24" for number in range(201)]
    assert len(source_networks(",".join(networks[:200]))) == 200
    refusal_of(source_networks, ",".join(networks))
    refusal_of(domains, "allowed_spf_domains", ",".join(["example.com"] * 201))
    refusal_of(credentials, ",".join(f"user{number}:{HASH}" for number in range(51)))


def test_domains_are_kept_in_a_labels() -> None:
    text = "Example.COM, münchen.de,example.com"
    assert domains("allowed_spf_domains", text) == ("example.com", "xn--mnchen-3ya.de")


@pytest.mark.parametrize("item", ["com", "192.0.2.1", "*.example.com", "a b.com", "@example.com"])
def test_a_domain_that_is_none_is_named(item: str) -> None:
    refusal = refusal_of(domains, "allowed_dkim_domains", f"example.com,{item}")
    assert refusal.startswith("invalid_allowed_dkim_domains ")
    assert item in refusal


def test_credentials_are_hashes_passwords_or_what_is_stored() -> None:
    text = f"alice:{HASH}, bob@example.com:correct:horse battery,carol:{HIDDEN}"
    assert credentials(text) == (
        Credential(username="alice", password_hash=HASH),
        Plain("bob@example.com", "correct:horse battery"),
        Kept("carol"),
    )


@pytest.mark.parametrize("kind", ["2a", "2b", "2y"])
@pytest.mark.parametrize("cost", ["04", "10", "12"])
def test_hashes_of_these_kinds_and_costs_can_be_verified(kind: str, cost: str) -> None:
    (credential,) = credentials(f"alice:${kind}${cost}${SALT_AND_HASH}")
    assert isinstance(credential, Credential)
    if cost == "04":
        assert bcrypt.checkpw(b"x" * 8, credential.password_hash.encode())


@pytest.mark.parametrize(
    "secret",
    [
        f"$2b$13${SALT_AND_HASH}",
        f"$2b$31${SALT_AND_HASH}",
        f"$2b$03${SALT_AND_HASH}",
        f"$2b$1${SALT_AND_HASH}",
        f"$2x$10${SALT_AND_HASH}",
        f"{HASH}x",
        HASH[:-1],
        HASH[:28] + "/" + HASH[29:],
        "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA",
        "$6$rounds=5000$salt$hash",
        "$ecret-password",
        "",
        "seven77",
        "x" * 73,
        "ä" * 37,
        "with\ttab in it",
    ],
)
def test_other_secrets_are_refused_and_never_repeated(secret: str) -> None:
    refusal = refusal_of(credentials, f"alice:{secret}".replace(",", ";"))
    assert refusal.startswith("invalid_smtp_credentials ")
    assert "alice" in refusal
    assert not secret or secret not in refusal


@pytest.mark.parametrize(
    "item", ["no colon here", ":secret password", "a b:password", "ä:password"]
)
def test_without_a_user_name_only_the_place_is_told(item: str) -> None:
    refusal = refusal_of(credentials, f"alice:{HASH},{item}")
    assert "item 2" in refusal.lower()
    assert item not in refusal
    assert "password" not in refusal


def test_a_user_occurs_once() -> None:
    assert "alice" in refusal_of(credentials, f"alice:{HASH},alice:another password")


def test_what_is_stored_is_kept_hidden_and_found_again() -> None:
    stored = (Credential(username="alice", password_hash=HASH),)
    shown = hidden(stored)
    assert shown == "alice:********"
    assert with_kept(credentials(shown), stored) == stored
    assert "bob" in refusal_of(with_kept, credentials(f"bob:{HIDDEN}"), stored)
    assert HASH not in repr(stored)


def test_a_policy_that_lets_nobody_in_is_refused() -> None:
    now = utc_now()
    policy = SmtpPolicy(id="pol_1", created_at=now, updated_at=now, account_id="acc_1", name="x")
    check_whole(policy)
    nobody = policy.model_copy(update={"require_smtp_auth": True})
    assert "smtp_credentials_required" in refusal_of(check_whole, nobody)


@given(st.text(max_size=40) | st.binary(max_size=20).map(lambda b: b64encode(b).decode()))
def test_no_text_causes_another_error(text: str) -> None:
    for read in (source_networks, credentials, lambda text: domains("allowed_spf_domains", text)):
        with suppress(Unprocessable):
            read(text)
