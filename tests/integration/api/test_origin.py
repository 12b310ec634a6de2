"""Where a request comes from: proxies are believed when they are trusted, and nobody else is."""

from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
from aiohttp import ClientSession, TCPConnector

from conduit_local.stack import Stack
from tests.integration.api.client import Client, User, new_email
from tests.integration.api.conftest import PROXY, SIGN_UPS_PER_ADDRESS
from tests.support.polling import eventually

FOR = "X-Forwarded-For"


@pytest.fixture
async def proxy(stack: Stack) -> AsyncIterator[Client]:
    """A client at the trusted proxy's address."""
    async with ClientSession(connector=TCPConnector(local_addr=(PROXY, 0))) as http:
        yield Client(http, stack.urls.api)


async def client_of(stack: Stack, request_id: str) -> str:
    """Return which client the log has for a request."""

    def line() -> list[dict[str, Any]]:
        lines = map(orjson.loads, stack.log("api").read_bytes().splitlines())
        return [line for line in lines if line.get("request_id") == request_id]

    return str((await eventually(line, what="the log line"))[0]["client"])


@pytest.mark.parametrize(
    ("forwarded", "client"),
    [
        (None, PROXY),
        ("203.0.113.7", "203.0.113.7"),
        ("1.2.3.4, 203.0.113.7", "203.0.113.7"),
        ("1.2.3.4, 203.0.113.7,192.0.2.9", "203.0.113.7"),
        ("192.0.2.8, 192.0.2.9", "192.0.2.8"),
        ("203.0.113.7:4711", "203.0.113.7"),
        ("[2001:db8::7]:4711", "2001:db8::7"),
        ("2001:db8::7", "2001:db8::7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("203.0.113.7, unknown, 192.0.2.9", "192.0.2.9"),
        ("", PROXY),
        ("<script>", PROXY),
    ],
)
async def test_a_trusted_proxy_is_believed(
    proxy: Client, stack: Stack, forwarded: str | None, client: str
) -> None:
    headers = {} if forwarded is None else {FOR: forwarded}
    reply = await proxy.get("/accounts/me", headers=headers)
    assert await client_of(stack, reply.headers["X-Request-Id"]) == client


async def test_several_headers_are_one_list(proxy: Client, stack: Stack) -> None:
    headers = [(FOR, "203.0.113.7"), (FOR, "192.0.2.9")]
    async with proxy.http.get(f"{proxy.base}/accounts/me", headers=headers) as response:
        request_id = response.headers["X-Request-Id"]
    assert await client_of(stack, request_id) == "203.0.113.7"


async def test_nobody_else_is_believed(client: Client, stack: Stack) -> None:
    headers = {FOR: "203.0.113.7", "Forwarded": "for=203.0.113.7", "X-Forwarded-Proto": "https"}
    reply = await client.get("/accounts/me", headers=headers)
    assert (await client_of(stack, reply.headers["X-Request-Id"])).startswith("127.")
    assert "Strict-Transport-Security" not in reply.headers


async def test_forwarded_is_never_believed(proxy: Client, stack: Stack) -> None:
    reply = await proxy.get("/accounts/me", headers={"Forwarded": "for=203.0.113.7;proto=https"})
    assert await client_of(stack, reply.headers["X-Request-Id"]) == PROXY
    assert "Strict-Transport-Security" not in reply.headers


async def test_limits_count_the_client_and_not_the_proxy(proxy: Client) -> None:
    async def sign_up(address: str) -> int:
        headers = {FOR: f"198.51.100.99, {address}"}
        body = {"email": new_email(), "password": "correct horse battery"}
        return (await proxy.send("POST", "/accounts", body, headers=headers)).status

    one = [await sign_up("203.0.113.21") for _ in range(SIGN_UPS_PER_ADDRESS + 1)]
    assert one == [201] * SIGN_UPS_PER_ADDRESS + [429]
    assert await sign_up("203.0.113.22") == 201


async def test_the_audit_log_has_the_client(proxy: Client, user: User) -> None:
    behind = proxy.with_token(user.client.token)
    headers = {FOR: "203.0.113.31"}
    body = {"target_url": "https://example.com/"}
    (await behind.send("POST", "/webhooks", body, headers=headers)).expect(201)
    entries = (await user.client.get("/accounts/me/audit-log")).expect(200)
    assert entries[0]["remote_ip"] == "203.0.113.31"


@pytest.mark.parametrize(
    ("protocol", "secure"),
    [("https", True), ("HTTPS", True), ("http, https", True), ("https, http", False), ("", False)],
)
async def test_browsers_are_told_to_keep_to_https_when_they_used_it(
    proxy: Client, protocol: str, secure: bool
) -> None:
    reply = await proxy.get("/accounts/me", headers={"X-Forwarded-Proto": protocol})
    assert ("Strict-Transport-Security" in reply.headers) is secure
