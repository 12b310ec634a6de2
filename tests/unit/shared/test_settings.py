"""Settings: what is wrong is told in one line, and what is secret is not told."""

import base64
import os

import pytest

from conduit.errors import SettingsError
from conduit.settings import (
    BusSettings,
    ConduitSettings,
    DnsSettings,
    EgressSettings,
    SecretSettings,
    ServiceSettings,
    StoreSettings,
    load,
    load_or_exit,
)
from conduit_smtp_ingest.settings import IngestSettings


class Everything(
    ServiceSettings, BusSettings, StoreSettings, SecretSettings, DnsSettings, EgressSettings
):
    """All groups at once."""


KEY = base64.b64encode(b"k" * 32).decode()


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing but what a test sets."""
    for name in os.environ:
        if name.startswith("CONDUIT_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("CONDUIT_ENCRYPTION_KEYS", f"new:{KEY}")


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("AMQP_URL", "http://user:secret@x/", "URL scheme should be 'amqp' or 'amqps'"),
        ("AMQP_URL", "amqp://user:secret@x:port/", "Input should be a valid URL, invalid port"),
        ("AMQP_URL", "amqp://x,amqp://y:port/", "Input should be a valid URL, invalid port"),
        ("MONGODB_URL", "nonsense", "Input should be a valid URL"),
        ("PUBLISH_TIMEOUT", "0", "Input should be greater than 0"),
        ("STORE_TIMEOUT", "soon", "Input should be a valid number"),
        ("STOP_TIMEOUT", "inf", "Input should be a finite number"),
        ("STOP_TIMEOUT", "nan", "Input should be a finite number"),
        ("LOG_LEVEL", "loud", "String should match pattern"),
        ("LOG_RETENTION_DAYS", "0", "Input should be greater than or equal to 1"),
        ("ENCRYPTION_KEYS", "k:c2VjcmV0", "a key must be id:base64 of 32 bytes"),
        ("ENCRYPTION_KEYS", KEY, "a key must be id:base64 of 32 bytes"),
        ("ENCRYPTION_KEYS", f"a.b:{KEY}", "a key must be id:base64 of 32 bytes"),
        ("ENCRYPTION_KEYS", "k:schlüssel", "a key must be id:base64 of 32 bytes"),
        ("ENCRYPTION_KEYS", ",", "Value should have at least 1 item"),
        ("DNS_SERVERS", "192.0.2.1", "'192.0.2.1' is not an IP address and a port"),
        (
            "DNS_SERVERS",
            "192.0.2.1:53,192.0.2.2:0",
            "'192.0.2.2:0' is not an IP address and a port",
        ),
        ("DNS_SERVERS", "192.0.2.1:65536", "'192.0.2.1:65536' is not an IP address and a port"),
        ("DNS_SERVERS", "192.0.2.1:dns", "'192.0.2.1:dns' is not an IP address and a port"),
        ("DNS_SERVERS", "192.0.2.1:٣", "'192.0.2.1:٣' is not an IP address and a port"),
        ("DNS_SERVERS", "localhost:53", "'localhost:53' is not an IP address and a port"),
        (
            "DNS_SERVERS",
            "192.0.2.1:53,ns.example:53",
            "'ns.example:53' is not an IP address and a port",
        ),
        ("DNS_SERVERS", ":53", "':53' is not an IP address and a port"),
        ("EGRESS_ALLOWED_NETWORKS", "10.0.0.1/8", "10.0.0.1/8 has host bits set"),
        ("EGRESS_ALLOWED_NETWORKS", "intranet", "'intranet' does not appear to be"),
        ("EGRESS_ALLOW_HTTP", "perhaps", "Input should be a valid boolean"),
    ],
)
def test_a_bad_value_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, complaint: str
) -> None:
    monkeypatch.setenv(f"CONDUIT_{name}", value)
    with pytest.raises(SettingsError) as refused:
        load(Everything)
    assert str(refused.value).startswith(f"CONDUIT_{name}: {complaint}")
    assert "\n" not in str(refused.value)
    assert "secret" not in str(refused.value)
    assert KEY not in str(refused.value)


def test_all_mistakes_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CONDUIT_ENCRYPTION_KEYS")
    monkeypatch.setenv("CONDUIT_LOG_RETENTION_DAYS", "-1")
    with pytest.raises(SettingsError) as refused:
        load(Everything)
    assert "CONDUIT_ENCRYPTION_KEYS is not set" in str(refused.value)
    assert "CONDUIT_LOG_RETENTION_DAYS: " in str(refused.value)


def test_what_concerns_several_settings_names_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONDUIT_SMTP_TLS_KEY", "key.pem")
    with pytest.raises(SettingsError) as refused:
        load(IngestSettings)
    assert str(refused.value) == (
        "CONDUIT_SMTP_TLS_CERTIFICATE and CONDUIT_SMTP_TLS_KEY go together: set both"
    )


def test_a_service_ends_with_the_complaint_and_exit_code_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CONDUIT_LOG_RETENTION_DAYS", "many")
    with pytest.raises(SystemExit) as exit_:
        load_or_exit(Everything)
    assert exit_.value.code == 2
    written = capsys.readouterr().err
    assert written.startswith("conduit: CONDUIT_LOG_RETENTION_DAYS: ")
    assert written.count("\n") == 1


def test_lists_and_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONDUIT_DNS_SERVERS", " 192.0.2.1:53, [2001:db8::1]:5353 ,")
    monkeypatch.setenv("CONDUIT_EGRESS_ALLOWED_NETWORKS", "127.0.0.0/8,::1/128")
    monkeypatch.setenv("CONDUIT_ENCRYPTION_KEYS", f"new:{KEY},old:{KEY}")
    settings = load(Everything)
    assert settings.dns_servers == ("192.0.2.1:53", "[2001:db8::1]:5353")
    assert list(map(str, settings.egress_allowed_networks)) == ["127.0.0.0/8", "::1/128"]
    assert list(settings.encryption_keys) == ["new", "old"]
    assert settings.encryption_keys["new"].get_secret_value() == b"k" * 32


def test_an_empty_variable_is_one_that_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DNS_SERVERS", "EGRESS_ALLOWED_NETWORKS", "LOG_LEVEL", "AMQP_URL"):
        monkeypatch.setenv(f"CONDUIT_{name}", "")
    assert load(Everything) == Everything()
    assert load(Everything).log_level == "info"
    monkeypatch.setenv("CONDUIT_SMTP_TLS_CERTIFICATE", "")
    monkeypatch.setenv("CONDUIT_SMTP_TLS_KEY", "")
    assert load(IngestSettings).smtp_tls_certificate is None


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("amqp://guest:guest@host:5672/", "amqp://guest:**********@host:5672/"),
        ("amqp://user:p%40ss@host/", "amqp://user:**********@host/"),
        ("amqp://user:p@ss@host/", "amqp://user:**********@host/"),
        ("amqp://host:5672/vhost", "amqp://host:5672/vhost"),
        ("amqps://user@host/", "amqps://user@host/"),
        ("amqp://a:b@c/,amqp://d:e@f", "amqp://a:**********@c/,amqp://d:**********@f"),
        ("amqp://a:b,c@d, amqps://e:f@g", "amqp://a:**********@d, amqps://e:**********@g"),
    ],
)
def test_passwords_are_not_shown(monkeypatch: pytest.MonkeyPatch, url: str, shown: str) -> None:
    monkeypatch.setenv("CONDUIT_AMQP_URL", url)
    assert load(Everything).described()["amqp_url"] == shown


@pytest.mark.parametrize(
    ("value", "urls"),
    [
        ("amqp://a:5672/", ("amqp://a:5672/",)),
        ("amqp://a:b,c@d/, amqps://e/x ,amqp://f", ("amqp://a:b,c@d/", "amqps://e/x", "amqp://f")),
    ],
)
def test_nodes_of_rabbitmq(value: str, urls: tuple[str, ...]) -> None:
    assert BusSettings(amqp_url=value).amqp_urls == urls


def test_passwords_for_several_hosts_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONDUIT_MONGODB_URL", "mongodb://u:pw@a:1,b:2/db?replicaSet=x@y")
    shown = load(Everything).described()["mongodb_url"]
    assert shown == "mongodb://u:**********@a:1,b:2/db?replicaSet=x@y"


def test_keys_are_not_shown() -> None:
    assert KEY not in str(load(Everything).described())
    assert "kkkk" not in str(load(Everything).described())
    assert KEY not in repr(load(Everything))


def test_every_setting_says_what_it_is_for_and_where_it_comes_from() -> None:
    for group in (Everything, IngestSettings):
        for name, field in group.model_fields.items():
            assert field.description, name
            assert field.description.endswith("."), name


def test_settings_do_not_change() -> None:
    settings = load(Everything)
    assert isinstance(settings, ConduitSettings)
    with pytest.raises(ValueError, match="frozen"):
        settings.log_level = "debug"  # type: ignore[misc]
