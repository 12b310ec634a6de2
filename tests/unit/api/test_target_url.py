"""Which URLs may be registered."""

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from conduit.webhook.egress import Egress
from conduit_api.errors import Unprocessable
from conduit_api.target_url import check_target_url

STRICT = Egress()
LOCAL = Egress(allow_http=True, allowed_networks=(ip_network("127.0.0.0/8"),))


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com",
        "https://example.com/",
        "https://example.com:8443/hooks/mail?token=a%20b&x=1",
        "HTTPS://EXAMPLE.COM/Path",
        "https://xn--mnchen-3ya.example/",
        "https://under_score.example.com./",
        "https://8.8.8.8/",
        "https://[2606:4700::1111]:8443/",
        "https://example.com/" + "a" * 2028,
    ],
)
def test_https_urls_are_taken(url: str) -> None:
    check_target_url(url, STRICT)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com",
        "//example.com/",
        "/path",
        "http://example.com/",
        "ftp://example.com/",
        "javascript:alert(1)",
        "https:",
        "https://",
        "https:///path",
        "https://:443/",
        "https://user@example.com/",
        "https://user:secret@example.com/",
        "https://@example.com/",
        "https://:@example.com/",
        "https://example.com/#fragment",
        "https://example.com/#",
        "https://example.com:0/",
        "https://example.com:65536/",
        "https://example.com:port/",
        "https://exa mple.com/",
        " https://example.com/",
        "https://example.com/\r\nX-Header: 1",
        "https://example.com\\@evil.example/",
        "https://münchen.example/",
        "https://a..example.com/",
        "https://[::1/",
        "https://[v1.x]/",
        "https://" + "a" * 64 + ".example/",
        "https://example.com/" + "a" * 2029,
    ],
)
def test_others_are_refused(url: str) -> None:
    with pytest.raises(Unprocessable) as refusal:
        check_target_url(url, STRICT)
    assert refusal.value.body.code == "invalid_target_url"
    assert "secret" not in refusal.value.body.error


def test_http_is_taken_where_it_is_allowed() -> None:
    check_target_url("http://127.0.0.1:9000/", LOCAL)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "[::1]", "[::ffff:10.0.0.1]"]
)
def test_addresses_that_are_never_called_are_refused(host: str) -> None:
    with pytest.raises(Unprocessable, match="may not be called"):
        check_target_url(f"https://{host}/", STRICT)


@pytest.mark.parametrize(
    ("host", "reaches"),
    [
        ("127.1", None),
        ("0x7f.1", None),
        ("2130706433", None),
        ("0177.0.0.1", None),
        ("017700000001", None),
        ("127.0.0.1.", None),
        ("8.8.2056", None),
        ("127。0。0。1", "127.0.0.1"),
        ("１２７.0.0.1", "127.0.0.1"),
        ("①②⑦.⓪.⓪.①", "127.0.0.1"),
        ("%31%32%37.0.0.1", None),
        ("127.0.0.1%00.example", None),
        ("[::1%25lo]", None),
        ("[fe80::1%25eth0]", None),
        ("[2606:4700::1111%25eth0]", None),
        ("[::127.0.0.1]", "::7f00:1"),
        ("[0:0:0:0:0:ffff:127.0.0.1]", "::ffff:7f00:1"),
        ("[64:ff9b::10.0.0.1]", "64:ff9b::a00:1"),
        ("[127.0.0.1]", None),
        ("good@127.0.0.1", "127.0.0.1"),
        ("good.example:443@127.0.0.1", "127.0.0.1"),
        ("good.example%00@127.0.0.1", "127.0.0.1"),
        ("127.0.0.1\t", "127.0.0.1"),
        ("127.0.0.1#@good.example", "127.0.0.1"),
        ("127.0.0.1?@good.example", "127.0.0.1"),
        ("127.0.0.1\\@good.example", None),
        ("localhost", "localhost"),
        ("LocalHost.", "localhost."),
        ("a.localhost", "a.localhost"),
    ],
)
def test_no_way_to_write_a_private_address_is_taken(host: str, reaches: str | None) -> None:
    """`reaches`: what the HTTP client would dial, which the guard denies as well."""
    with pytest.raises(Unprocessable) as refusal:
        check_target_url(f"https://{host}/", STRICT)
    assert refusal.value.body.code == "invalid_target_url"
    if reaches is not None:
        assert URL(f"https://{host}/").raw_host == reaches
        assert not STRICT.allows_host(reaches)


def test_localhost_is_taken_where_loopback_is_opened() -> None:
    check_target_url("http://localhost:9000/", LOCAL)


@given(st.text(max_size=50).map(lambda rest: f"https://{rest}") | st.text(max_size=50))
def test_no_text_causes_another_error(text: str) -> None:
    try:
        check_target_url(text, STRICT)
    except Unprocessable:
        return
    assert text.lower().startswith("https://")
    assert text.isascii()
