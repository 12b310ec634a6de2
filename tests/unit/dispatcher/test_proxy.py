"""The setting of the egress proxy."""

from base64 import b64decode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit.errors import SettingsError
from conduit.settings import load
from conduit_dispatcher.proxy import Proxy
from conduit_dispatcher.settings import DispatcherSettings

KEY = "k:" + "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a dispatcher cannot be without."""
    monkeypatch.setenv("CONDUIT_ENCRYPTION_KEYS", KEY)


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("http://proxy.intranet:3128", Proxy("proxy.intranet", 3128, tls=False)),
        ("http://proxy.intranet/", Proxy("proxy.intranet", 80, tls=False)),
        ("https://proxy.intranet", Proxy("proxy.intranet", 443, tls=True)),
        ("HTTPS://[2001:db8::1]:8443", Proxy("2001:db8::1", 8443, tls=True)),
    ],
)
def test_where_it_is(url: str, proxy: Proxy) -> None:
    assert Proxy.of_url(url) == proxy


@pytest.mark.parametrize(
    ("credentials", "plain"),
    [
        ("user:secret", b"user:secret"),
        ("us%40er:s%3A%2Fcret%25", b"us@er:s:/cret%"),
        ("%C3%BC:s%C3%A9", "ü:sé".encode()),
        ("user:a:b", b"user:a:b"),
        ("user:p@ss", b"user:p@ss"),
    ],
)
def test_what_it_wants(credentials: str, plain: bytes) -> None:
    authorization = str(Proxy.of_url(f"http://{credentials}@proxy:3128").authorization)
    assert authorization.startswith("Basic ")
    assert b64decode(authorization.removeprefix("Basic ")) == plain


@pytest.mark.parametrize(
    "url",
    [
        "proxy:3128",
        "//proxy:3128",
        "socks5://u:s3cret@proxy:1080",
        "http://",
        "http://u:s3cret@:3128",
        "http://u:s3cret@proxy:0",
        "http://u:s3cret@proxy:port",
        "http://u:s3cret@proxy:65536",
        "http://u:s3cret/x@proxy",
        "http://u:s3cret@proxy/path",
        "http://u:s3cret@proxy?a",
        "http://u:s3cret@proxy#a",
        "http://s3cret@proxy",
        "http://:s3cret@proxy",
        "http://u%3A:s3cret@proxy",
        "http://u:s3cret@[::1",
        "http://u:s3cret@pro xy",
        "http://u:s3cret@proxy\n",
        "http://u:s3crét@proxy",
        "http://u:s3cret@proxy℀.example",
    ],
)
def test_others_are_refused_without_their_password(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("CONDUIT_EGRESS_PROXY", url)
    with pytest.raises(SettingsError) as refused:
        load(DispatcherSettings)
    told = str(refused.value)
    assert told.startswith("CONDUIT_EGRESS_PROXY: ")
    assert "s3cr" not in told
    assert "\n" not in told


@given(st.text(max_size=30).map(lambda text: f"http://{text}") | st.text(max_size=30))
def test_no_text_causes_another_error(url: str) -> None:
    try:
        proxy = Proxy.of_url(url)
    except ValueError:
        return
    assert proxy.host
    assert 0 < proxy.port < 65536


def test_its_password_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONDUIT_EGRESS_PROXY", "http://user:s3cret@proxy:3128")
    settings = load(DispatcherSettings)
    assert settings.described()["egress_proxy"] == "http://user:**********@proxy:3128"
    assert settings.proxy is not None
    assert settings.proxy.authorization is not None
    assert settings.proxy.authorization not in repr(settings.proxy)


def test_without_one_there_is_none_to_resolve(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(DispatcherSettings).proxy is None
    monkeypatch.setenv("CONDUIT_EGRESS_PROXY_RESOLVES", "true")
    with pytest.raises(SettingsError) as refused:
        load(DispatcherSettings)
    assert str(refused.value) == "CONDUIT_EGRESS_PROXY_RESOLVES needs CONDUIT_EGRESS_PROXY"
    monkeypatch.setenv("CONDUIT_EGRESS_PROXY", "http://proxy:3128")
    proxy = load(DispatcherSettings).proxy
    assert proxy is not None
    assert proxy.resolves
