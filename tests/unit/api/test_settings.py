"""The settings of the API service: from the environment, checked at the start."""

from base64 import b64encode

import pytest

from conduit.errors import SettingsError
from conduit.settings import load
from conduit_api.settings import ApiSettings

KEY = f"k1:{b64encode(bytes(32)).decode()}"


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONDUIT_ENCRYPTION_KEYS", KEY)
    monkeypatch.setenv("CONDUIT_TOKEN_KEYS", KEY)


def test_the_keys_are_all_that_must_be_set() -> None:
    settings = load(ApiSettings)
    assert (settings.api_host, settings.api_port, settings.api_metrics_port) == (
        "127.0.0.1",
        8080,
        9101,
    )
    assert settings.public_domain == "incoming.localhost"
    assert settings.egress_allow_http is False


def test_an_address_is_stopped_before_the_accounts_owner_is() -> None:
    settings = load(ApiSettings)
    assert settings.api_sign_ins_per_address < settings.api_sign_ins_per_account
    assert settings.api_sign_ups_per_address < settings.api_sign_ups_per_account


def test_codes_and_resets_are_limited_too() -> None:
    settings = load(ApiSettings)
    assert settings.api_codes_per_address < settings.api_codes_per_account
    assert settings.api_resets_per_address < settings.api_resets_per_account


def test_no_mail_is_sent_and_no_address_confirmed_unless_asked_for() -> None:
    settings = load(ApiSettings)
    assert settings.mail_relay_url is None
    assert settings.mail_directory is None
    assert settings.email_confirmation is False


@pytest.mark.parametrize(
    "url",
    [
        "smtp://user:p%40ss@mail.example.com:587",
        "smtp://mail.example.com",
        "smtps://[2001:db8::1]:465",
        "smtp+plain://127.0.0.1:25",
    ],
)
def test_a_relay_is_a_url(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("CONDUIT_MAIL_RELAY_URL", url)
    assert load(ApiSettings).mail_relay_url == url


def test_the_password_of_the_relay_is_not_described(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONDUIT_MAIL_RELAY_URL", "smtp://user:hush-hush@mail.example.com")
    assert "hush-hush" not in str(load(ApiSettings).described())


def test_no_key_is_described() -> None:
    assert KEY.partition(":")[2] not in str(load(ApiSettings).described())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CONDUIT_TOKEN_KEYS", "k1:short"),
        ("CONDUIT_TOKEN_KEYS", ""),
        ("CONDUIT_API_PORT", "99999"),
        ("CONDUIT_PUBLIC_DOMAIN", "In Valid"),
        ("CONDUIT_API_SIGN_INS_PER_ADDRESS", "0"),
        ("CONDUIT_API_THROTTLE_WINDOW", "-1"),
        ("CONDUIT_MAIL_RELAY_URL", "mail.example.com:587"),
        ("CONDUIT_MAIL_RELAY_URL", "http://mail.example.com"),
        ("CONDUIT_MAIL_RELAY_URL", "smtp://mail.example.com:none"),
        ("CONDUIT_MAIL_RELAY_URL", "smtp+plain://user:password@mail.example.com"),
        ("CONDUIT_MAIL_FROM", "Conduit"),
        ("CONDUIT_MAIL_FROM", "a@example.com\r\nBcc: b@example.com"),
        ("CONDUIT_PUBLIC_URL", "conduit.example.com"),
        ("CONDUIT_PUBLIC_URL", "https://conduit.example.com/?a=b"),
    ],
)
def test_a_bad_setting_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=name):
        load(ApiSettings)
