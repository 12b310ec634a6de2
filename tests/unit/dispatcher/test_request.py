"""The head of a call: what is sent, and that nothing in it makes lines of its own."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from conduit_dispatcher.failures import InvalidCall
from conduit_dispatcher.request import USER_AGENT, request_head
from conduit_dispatcher.target import target_of

TARGET = target_of("https://a.example/hook")
OURS = ["accept", "accept-encoding", "user-agent"]


def test_the_head_of_a_call() -> None:
    headers = {"X-Tenant": "acme", "Content-Type": "application/json", "webhook-id": "dlv_1"}
    assert request_head(TARGET, headers, 12).decode() == (
        "POST /hook HTTP/1.1\r\n"
        "Host: a.example\r\n"
        "X-Tenant: acme\r\n"
        "Content-Type: application/json\r\n"
        "webhook-id: dlv_1\r\n"
        f"User-Agent: {USER_AGENT}\r\n"
        "Accept: */*\r\n"
        "Accept-Encoding: identity\r\n"
        "Content-Length: 12\r\n"
        "\r\n"
    )


@pytest.mark.parametrize("name", [*OURS, "Accept", "USER-AGENT"])
def test_of_headers_that_are_ours_ours_are_sent(name: str) -> None:
    assert request_head(TARGET, {name: "theirs"}, 0) == request_head(TARGET, {}, 0)


@pytest.mark.parametrize(
    "name",
    [
        *("Host", "content-length", "Transfer-Encoding", "Connection", "TE", "Expect", "Upgrade"),
        *("", "X Y", "X:", "X: y\r\nZ", "X\n", "X\0", "Ä", "Transfer-Encoding: chunked\r\nX"),
    ],
)
def test_no_header_frames_the_call_or_is_two(name: str) -> None:
    with pytest.raises(InvalidCall):
        request_head(TARGET, {name: "x"}, 0)


@pytest.mark.parametrize("control", [chr(n) for n in range(32) if n != 9] + ["\x7f", "\r\n"])
def test_no_value_holds_a_control_character(control: str) -> None:
    for value in (control, f"a{control}", f"a{control}b", f"{control}Transfer-Encoding: chunked"):
        with pytest.raises(InvalidCall, match=r"^a header's value holds what no header may$"):
            request_head(TARGET, {"X": value, "Y": "z"}, 0)


def test_tabs_and_other_letters_are_sent() -> None:
    assert b"\r\nX: a\tb \xc3\xa9?\r\n" in request_head(TARGET, {"X": "a\tb é\ud800"}, 0)


@given(st.dictionaries(st.text(max_size=12), st.text(max_size=20), max_size=4))
@example({"ACCEPT": "", "X": "y"})
def test_any_headers_are_so_many_lines_or_refused(headers: dict[str, str]) -> None:
    try:
        head = request_head(TARGET, headers, 0)
    except InvalidCall:
        return
    ours = request_head(TARGET, {}, 0).count(b"\n")
    theirs = [name for name in headers if name.lower() not in OURS]
    assert head.count(b"\n") == head.count(b"\r") == ours + len(theirs)
    assert head.endswith(b"\r\n\r\n")
    assert head.count(b"\r\n\r\n") == 1
