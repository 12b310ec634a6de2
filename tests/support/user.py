"""A developer who uses Conduit over its REST API."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import aiohttp

from tests.support.polling import PATIENCE, eventually


class User:
    """Calls the API with an access token; any refusal fails the test."""

    def __init__(self, session: aiohttp.ClientSession, base: str) -> None:
        self._session = session
        self._base = base

    async def call(self, method: str, path: str, body: object = None) -> Any:
        """Call an operation and return its decoded answer."""
        async with self._session.request(method, self._base + path, json=body) as response:
            text = await response.text()
            assert response.ok, f"{method} {path}: {response.status} {text}"
            return await response.json() if text else None

    async def sign_up(self) -> None:
        """Make an account and sign in."""
        credentials = {"email": f"{uuid4().hex}@example.com", "password": "correct horse battery"}
        await self.call("POST", "/accounts", credentials)
        tokens = await self.call("POST", "/sessions", credentials)
        self._session.headers["Authorization"] = f"Bearer {tokens['access_token']}"

    async def webhook(self, target_url: str, **fields: Any) -> dict[str, Any]:
        """Create a webhook; its answer has the secret."""
        created: dict[str, Any] = await self.call(
            "POST", "/webhooks", {"target_url": target_url, **fields}
        )
        return created

    async def logs(
        self, webhook: dict[str, Any], count: int, within: float = PATIENCE
    ) -> list[dict[str, Any]]:
        """Return the newest page of a webhook's log, oldest first, once it has `count` entries."""

        async def found() -> list[dict[str, Any]]:
            page = await self.call("GET", f"/webhooks/{webhook['id']}/logs?page_size=100")
            return page[::-1] if len(page) >= count else []

        entries: list[dict[str, Any]] = await eventually(
            found, within=within, what=f"{count} log entries"
        )
        return entries


@asynccontextmanager
async def open_user(base: str) -> AsyncIterator[User]:
    """Return a new user, signed in."""
    async with aiohttp.ClientSession() as session:
        user = User(session, base)
        await user.sign_up()
        yield user
