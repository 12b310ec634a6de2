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
    ],
)
def test_a_bad_setting_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=name):
        load(ApiSettings)
