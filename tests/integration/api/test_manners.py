"""HTTP manners: errors, bodies, methods, headers, the documentation, and the operators' port."""

import asyncio
from collections.abc import AsyncIterator
from io import BytesIO
from typing import Any

import orjson
import pytest

from conduit_api.openapi import document
from conduit_api.routes import OPERATIONS
from conduit_local.stack import Stack
from tests.integration.api.client import Client, User
from tests.support.polling import eventually

JSON = {"Content-Type": "application/json"}


def root(client: Client) -> str:
    return client.base.removesuffix("/api/v1")


async def test_unknown_paths_are_errors_in_json(client: Client) -> None:
    for path in ("/nothing", "/accounts/", f"{root(client)}/", f"{root(client)}/docs/../x"):
        assert (await client.get(path)).failure == (404, "not_found")


async def test_a_wrong_method_is_told_the_right_ones(client: Client) -> None:
    reply = await client.send("PATCH", "/webhooks")
    assert reply.failure == (405, "method_not_allowed")
    assert reply.headers["Allow"] == "GET, HEAD, OPTIONS, POST"


async def test_a_head_is_a_get_without_a_body(resident: User) -> None:
    reply = await resident.client.send("HEAD", "/accounts/me")
    assert (reply.status, reply.octets) == (200, b"")


@pytest.mark.parametrize(
    "body", [b"", b"{", b'{"name":"a","name":"b"}', b'{"name":NaN}', b'{"name":"\\ud800"}', b"\xff"]
)
async def test_what_is_not_json_is_refused(resident: User, body: bytes) -> None:
    reply = await resident.client.send("POST", "/domains", data=body, headers=JSON)
    assert reply.failure == (400, "malformed_json")


@pytest.mark.parametrize("body", [b"[]", b"1", b"null", b'"text"'])
async def test_a_body_is_an_object(resident: User, body: bytes) -> None:
    reply = await resident.client.send("POST", "/domains", data=body, headers=JSON)
    assert reply.failure == (422, "validation_error")


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "json"])
async def test_a_body_is_declared_as_json(resident: User, kind: str) -> None:
    headers = {"Content-Type": kind}
    reply = await resident.client.send("POST", "/domains", data=b"{}", headers=headers)
    assert reply.failure == (415, "unsupported_media_type")


async def test_a_large_body_is_refused(resident: User) -> None:
    reply = await resident.client.send(
        "POST", "/domains", data=BytesIO(b" " * 1_100_000), headers=JSON
    )
    assert reply.failure == (413, "body_too_large")


async def test_a_large_body_of_unknown_length_is_refused(resident: User) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(11):
            yield b" " * 100_000

    reply = await resident.client.send("POST", "/domains", data=chunks(), headers=JSON)
    assert reply.failure == (413, "body_too_large")


async def test_strangers_are_turned_away_before_their_body_is_read(client: Client) -> None:
    reply = await client.send("POST", "/domains", data=b"{", headers=JSON)
    assert reply.failure == (401, "unauthorized")


async def test_a_name_in_an_error_is_bounded(resident: User) -> None:
    reply = await resident.client.post("/domains", {"name": "a.example.com", "x" * 10_000: 1})
    assert reply.failure == (422, "unknown_field")
    assert len(reply.octets) < 300


async def test_a_request_id_is_made(client: Client) -> None:
    replies = [await client.get("/accounts/me") for _ in range(2)]
    ids = {reply.headers["X-Request-Id"] for reply in replies}
    assert len(ids) == 2


async def test_a_good_request_id_is_kept_and_a_bad_one_is_not(client: Client) -> None:
    for given, kept in (("req-1.A_b", True), ("a b", False), ("x" * 129, False), ("é", False)):
        reply = await client.get("/accounts/me", headers={"X-Request-Id": given})
        assert (reply.headers["X-Request-Id"] == given) is kept


async def test_answers_are_not_cached_sniffed_or_framed(resident: User) -> None:
    for path in ("/accounts/me", "/nothing"):
        headers = (await resident.client.get(path)).headers
        assert headers["Cache-Control"] == "no-store"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert headers["Server"] == "Conduit"


async def test_the_openapi_document_is_served(client: Client) -> None:
    reply = await client.get("/openapi.json")
    assert reply.expect(200) == orjson.loads(orjson.dumps(document(OPERATIONS)))


async def test_the_documentation_is_served_with_all_its_files(client: Client) -> None:
    page = await client.get(f"{root(client)}/docs")
    assert page.status == 200
    assert page.headers["Content-Type"].startswith("text/html")
    assert "script-src 'self';" in page.headers["Content-Security-Policy"]
    for name, kind in (
        ("docs.js", "javascript"),
        ("swagger-ui-bundle.js", "javascript"),
        ("swagger-ui.css", "text/css"),
        ("favicon-32x32.png", "image/png"),
    ):
        assert name.encode() in page.octets
        reply = await client.get(f"{root(client)}/docs/{name}")
        assert reply.status == 200
        assert kind in reply.headers["Content-Type"]


@pytest.mark.parametrize("name", ["docs.html", "swagger-editor.js", "..%2f..%2fapp.py", "%2e%2e/x"])
async def test_no_other_file_is_served(client: Client, name: str) -> None:
    assert (await client.get(f"{root(client)}/docs/{name}")).status == 404


async def test_the_operators_port_is_another(client: Client, stack: Stack) -> None:
    metrics = stack.urls.metrics["api"]
    for path in ("metrics", "healthz", "readyz"):
        assert (await client.get(f"{root(client)}/{path}")).status == 404
        assert (await client.get(metrics.replace("metrics", path))).status == 200


async def test_requests_are_counted_by_template(resident: User, stack: Stack) -> None:
    webhook = await resident.new_webhook()
    (await resident.client.get(f"/webhooks/{webhook['id']}")).expect(200)
    await resident.client.send("PURGE", "/a/path/that/nobody/has")
    text = (await resident.client.get(stack.urls.metrics["api"])).octets.decode()
    labels = 'method="GET",route="/api/v1/webhooks/{id}",status="200"'
    assert f"conduit_api_requests_total{{{labels}}}" in text
    assert 'method="other",route="unmatched",status="404"' in text
    assert "conduit_api_request_seconds_bucket" in text
    assert webhook["id"] not in text
    assert "PURGE" not in text


def log_lines(stack: Stack, request_id: str) -> list[dict[str, Any]]:
    lines = map(orjson.loads, stack.log("api").read_bytes().splitlines())
    return [line for line in lines if line.get("request_id") == request_id]


async def test_a_request_has_one_log_line(user: User, stack: Stack) -> None:
    webhook = await user.new_webhook(secret="0123456789abcdef")
    headers = {"X-Request-Id": webhook["id"]}
    await user.client.get(f"/webhooks/{webhook['id']}?key=s3cret", headers=headers)
    [line] = await eventually(lambda: log_lines(stack, webhook["id"]), what="the log line")
    told = {name: line[name] for name in ("event", "method", "route", "status", "account_id")}
    assert told == {
        "event": "api.request",
        "method": "GET",
        "route": "/api/v1/webhooks/{id}",
        "status": 200,
        "account_id": user.id,
    }
    assert line["duration_ms"] > 0
    for secret in ("s3cret", "0123456789abcdef", user.session["access_token"]):
        assert secret not in stack.log("api").read_text()


async def test_a_connection_serves_many_requests_at_once_and_in_turn(resident: User) -> None:
    replies = await asyncio.gather(*(resident.client.get("/accounts/me") for _ in range(50)))
    assert {reply.status for reply in replies} == {200}
