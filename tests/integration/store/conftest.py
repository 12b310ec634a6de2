"""The store on every server at hand: the embedded one always, others where they are installed."""

from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import uuid4

import pytest

from conduit.model.account import Account
from conduit.model.domain import Domain, new_verification_token
from conduit.model.ids import Prefix, new_id
from conduit.model.record import utc_now
from conduit.model.webhook import Sealed, Webhook
from conduit.settings import StoreSettings
from conduit.store.connection import Store, open_store
from conduit.store.indexes import ensure_indexes
from tests.support.store_servers import StoreServer, at_hand


@pytest.fixture(scope="session", params=at_hand())
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[StoreServer]:
    """A server that lives through the session."""
    with StoreServer(request.param, tmp_path_factory.mktemp(request.param)) as server:
        yield server


@pytest.fixture
def settings(server: StoreServer) -> StoreSettings:
    """How to reach the server, with a database of this test's own."""
    return StoreSettings(
        mongodb_url=server.url, mongodb_database=f"test_{uuid4().hex}", store_timeout=2
    )


@pytest.fixture
async def store(settings: StoreSettings) -> AsyncIterator[Store]:
    """An open store with its indexes."""
    async with open_store(settings) as store:
        await ensure_indexes(store)
        yield store


def _base(prefix: Prefix) -> dict[str, Any]:
    now = utc_now()
    return {"id": new_id(prefix), "created_at": now, "updated_at": now}


def account(**fields: Any) -> Account:
    """Return an account that is in no store yet."""
    email = f"{uuid4().hex}@example.com"
    return Account(**{**_base(Prefix.ACCOUNT), "email": email, "password_hash": "hash"} | fields)


def webhook(**fields: Any) -> Webhook:
    """Return a webhook that is in no store yet."""
    defaults: dict[str, Any] = {
        "account_id": "acc_1",
        "address": f"{uuid4().hex}@example.com",
        "target_url": "https://example.com/hook",
        "secret": Sealed("sealed"),
    }
    return Webhook(**{**_base(Prefix.WEBHOOK), **defaults} | fields)


def domain(**fields: Any) -> Domain:
    """Return a claim that is in no store yet."""
    defaults = {
        "account_id": new_id(Prefix.ACCOUNT),
        "name": "example.com",
        "verification_token": new_verification_token(),
    }
    return Domain(**{**_base(Prefix.DOMAIN), **defaults} | fields)
