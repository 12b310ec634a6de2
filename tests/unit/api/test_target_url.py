"""Which URLs may be registered."""

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

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


@given(st.text(max_size=50).map(lambda rest: f"https://{rest}") | st.text(max_size=50))
def test_no_text_causes_another_error(text: str) -> None:
    try:
        check_target_url(text, STRICT)
    except Unprocessable:
        return
    assert text.lower().startswith("https://")
    assert text.isascii()
