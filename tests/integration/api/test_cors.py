"""Pages of other origins: those that the settings name may call the API, and no others."""

import pytest
from aiohttp import ClientSession

from conduit_api.routes import OPERATIONS
from conduit_local.stack import Stack
from tests.integration.api.client import Client, User
from tests.integration.api.conftest import PAGE_ORIGIN
from tests.integration.api.test_process import serving

STRANGER = "https://app.example.com.evil.example"
PATHS = sorted({operation.path.removeprefix("/api/v1") for operation in OPERATIONS})


def preflight(origin: str = PAGE_ORIGIN, method: str = "PUT") -> dict[str, str]:
    return {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "authorization,content-type",
    }


@pytest.mark.parametrize("path", [*PATHS, "/openapi.json", "/../../docs"])
async def test_every_path_tells_its_methods(client: Client, path: str) -> None:
    reply = await client.send("OPTIONS", path.replace("{", "").replace("}", ""))
    assert (reply.status, reply.octets) == (204, b"")
    methods = {o.method for o in OPERATIONS if o.path == f"/api/v1{path}"} or {"GET"}
    reads = {"HEAD"} if "GET" in methods else set()
    assert reply.headers["Allow"] == ", ".join(sorted({*methods, *reads, "OPTIONS"}))


async def test_a_path_that_is_not_there_tells_nothing(client: Client) -> None:
    assert (await client.send("OPTIONS", "/nothing")).failure == (404, "not_found")


async def test_a_named_origins_preflight_is_granted(client: Client) -> None:
    headers = (await client.send("OPTIONS", "/webhooks/1", headers=preflight())).headers
    assert headers["Access-Control-Allow-Origin"] == PAGE_ORIGIN
    assert headers["Access-Control-Allow-Methods"] == "DELETE, GET, HEAD, OPTIONS, PUT"
    assert headers["Access-Control-Allow-Headers"] == "Authorization, Content-Type, X-Request-Id"
    assert headers["Access-Control-Max-Age"] == "600"
    assert headers["Vary"] == "Origin"
    assert "Access-Control-Allow-Credentials" not in headers


async def test_a_named_origin_may_read_answers_and_errors(resident: User) -> None:
    for path, status in (("/accounts/me", 200), ("/webhooks/1", 404), ("/nothing", 404)):
        reply = await resident.client.get(path, headers={"Origin": PAGE_ORIGIN})
        assert reply.status == status
        assert reply.headers["Access-Control-Allow-Origin"] == PAGE_ORIGIN
        exposed = reply.headers["Access-Control-Expose-Headers"]
        assert exposed == "Link, Retry-After, X-Request-Id, X-Total-Count"
        assert "Access-Control-Allow-Methods" not in reply.headers


@pytest.mark.parametrize("origin", [STRANGER, "null", "http://app.example.com", "", "*"])
async def test_other_origins_are_granted_nothing(resident: User, origin: str) -> None:
    for method, headers in (("OPTIONS", preflight(origin)), ("GET", {"Origin": origin})):
        reply = await resident.client.send(method, "/accounts/me", headers=headers)
        assert not [name for name in reply.headers if name.startswith("Access-Control-")]
        assert reply.headers["Vary"] == "Origin"


async def test_the_documentation_is_for_its_own_origin(client: Client) -> None:
    url = client.base.removesuffix("/api/v1") + "/docs"
    headers = (await client.get(url, headers={"Origin": PAGE_ORIGIN})).headers
    assert "Access-Control-Allow-Origin" not in headers


async def test_nothing_is_granted_unless_set(stack: Stack) -> None:
    async with serving(stack) as url, ClientSession() as http:
        async with http.options(url, headers=preflight()) as response:
            assert response.status == 204
        assert not {"Vary", "Access-Control-Allow-Origin"} & set(response.headers)
