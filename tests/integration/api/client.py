"""The API as a stranger sees it: requests over HTTP, each client with an address of its own."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from itertools import count
from typing import Any
from uuid import uuid4

from aiohttp import ClientSession

PASSWORD = "correct horse battery"

_addresses = count(1)


def new_address() -> str:
    """Return a loopback address that no other client of these tests has."""
    number = next(_addresses)
    return f"127.{1 + number // 65536}.{number // 256 % 256}.{number % 256}"


def new_email() -> str:
    """Return an address that no account has."""
    return f"user-{uuid4().hex}@example.com"


@dataclass(frozen=True)
class Reply:
    """An answer, read to its end."""

    status: int
    headers: Mapping[str, str]
    octets: bytes

    @property
    def json(self) -> Any:
        """The body."""
        return json.loads(self.octets)

    @property
    def failure(self) -> tuple[int, str]:
        """Status and code of an error, whose form is checked."""
        assert self.headers["Content-Type"].startswith("application/json")
        assert set(self.json) == {"error", "code"}
        assert self.json["error"]
        return self.status, self.json["code"]

    def expect(self, status: HTTPStatus | int) -> Any:
        """Return the body of an answer that must have this status."""
        assert self.status == status, self.octets
        return self.json if self.octets else None


@dataclass(frozen=True)
class Client:
    """Somebody, signed in or not."""

    http: ClientSession
    base: str
    token: str | None = None

    async def get(self, path: str, **options: Any) -> Reply:
        """Send a GET."""
        return await self.send("GET", path, **options)

    async def post(self, path: str, body: object = None) -> Reply:
        """Send a POST."""
        return await self.send("POST", path, body)

    async def put(self, path: str, body: object) -> Reply:
        """Send a PUT."""
        return await self.send("PUT", path, body)

    async def delete(self, path: str, body: object = None) -> Reply:
        """Send a DELETE."""
        return await self.send("DELETE", path, body)

    async def send(self, method: str, path: str, body: object = None, **options: Any) -> Reply:
        """Send a request with a JSON body, if any; `path` begins after `/api/v1`."""
        headers = dict(options.pop("headers", {}))
        if self.token is not None:
            headers.setdefault("Authorization", f"Bearer {self.token}")
        if body is not None:
            options["json"] = body
        url = path if path.startswith("http") else f"{self.base}{path}"
        async with self.http.request(method, url, headers=headers, **options) as response:
            return Reply(response.status, response.headers, await response.read())

    def with_token(self, token: str | None) -> "Client":
        """Return the same client with another access token."""
        return replace(self, token=token)

    async def sign_up(self, email: str) -> Any:
        """Make an account and return it."""
        return (await self.post("/accounts", {"email": email, "password": PASSWORD})).expect(201)

    async def sign_in(self, email: str, password: str = PASSWORD) -> Reply:
        """Try to sign in."""
        return await self.post("/sessions", {"email": email, "password": password})


@dataclass(frozen=True)
class User:
    """Somebody with an account, signed in."""

    account: Mapping[str, Any]
    session: Mapping[str, Any]
    client: Client

    @property
    def id(self) -> str:
        """The account's id."""
        return str(self.account["id"])

    @property
    def email(self) -> str:
        """The account's e-mail address."""
        return str(self.account["email"])

    async def new_webhook(self, **fields: object) -> Any:
        """Register a webhook and return it."""
        body = {"target_url": "https://example.com/hook"} | fields
        return (await self.client.post("/webhooks", body)).expect(201)

    async def new_policy(self, **fields: object) -> Any:
        """Make an SMTP policy and return it."""
        return (await self.client.post("/smtp-policies", {"name": "office"} | fields)).expect(201)

    async def new_token(self, **fields: object) -> Any:
        """Make an API token and return it, its secret included."""
        return (await self.client.post("/api-tokens", {"name": "ci"} | fields)).expect(201)

    async def new_domain(self, name: str | None = None) -> Any:
        """Claim a domain and return the claim."""
        body = {"name": name or f"{uuid4().hex}.example.com"}
        return (await self.client.post("/domains", body)).expect(201)
