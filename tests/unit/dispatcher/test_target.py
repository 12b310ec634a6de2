"""Where a URL's calls go, and what of it the endpoint is sent."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from conduit_dispatcher.failures import InvalidCall
from conduit_dispatcher.target import Endpoint, target_of


@pytest.mark.parametrize(
    ("url", "endpoint", "path", "host"),
    [
        ("https://a.example/hook?x=y&z", (True, "a.example", 443), "/hook?x=y&z", "a.example"),
        ("http://a.example", (False, "a.example", 80), "/", "a.example"),
        ("HTTPS://A.Example:443/", (True, "a.example", 443), "/", "a.example"),
        ("https://a.example:8443/#x", (True, "a.example", 8443), "/", "a.example:8443"),
        ("https://a.example./", (True, "a.example.", 443), "/", "a.example"),
        ("https://a.example.../", (True, "a.example.", 443), "/", "a.example"),
        ("https://bücher.example/ü", (True, "xn--bcher-kva.example", 443), "/%C3%BC", None),
        ("https://192.0.2.1:81/", (True, "192.0.2.1", 81), "/", "192.0.2.1:81"),
        ("https://[2001:DB8::1]:81/", (True, "2001:db8::1", 81), "/", "[2001:db8::1]:81"),
        ("https://a.example/a%20b%0d%0aX:y", (True, "a.example", 443), "/a%20b%0D%0AX:y", None),
        ("https://a.example/a b", (True, "a.example", 443), "/a%20b", None),
    ],
)
def test_a_url_is_taken_apart(
    url: str, endpoint: tuple[bool, str, int], path: str, host: str | None
) -> None:
    target = target_of(url)
    assert target.endpoint == Endpoint(*endpoint)
    assert target.begin.decode() == (
        f"POST {path} HTTP/1.1\r\nHost: {host or endpoint[1].rstrip('.')}\r\n"
    )


@pytest.mark.parametrize(
    "url",
    [
        "https://",
        "https:///hook",
        "https://a.example:0/",
        "https://a.example:65536/",
        "https://a.example:x/",
        "https://user:password@a.example/",
        "https://user@a.example/",
        "https://127.1/",
        "https://2130706433/",
        "https://0177.0.0.1/",
        "https://127.0.0.1./",
        "https://256.0.0.1/",
        "https://[::1/",
        "https://[::g]/",
        "https://.a.example/",
        "https://a..example/",
        "https://ex!ample/",
        f"https://{'a' * 64}.example/",
        f"https://{'a.' * 127}example/",
        "https://a.example\r\nX: y/",
        "https://a b/",
    ],
)
def test_what_is_no_target_is_refused_without_being_told(url: str) -> None:
    with pytest.raises(InvalidCall, match=r"^the target URL is not valid$"):
        target_of(url)


@given(st.text(max_size=40), st.text(max_size=40))
def test_no_url_breaks_the_head(authority: str, path: str) -> None:
    url = f"https://{authority}/{path}"
    try:
        target = target_of(url)
    except InvalidCall:
        return
    line, host, *rest = target.begin.split(b"\r\n")
    assert rest == [b""]
    assert all(0x20 < octet < 0x7F for octet in line.replace(b" ", b"") + host[6:])
    assert line.count(b" ") == 2
    assert target.endpoint.port == URL(url).port
