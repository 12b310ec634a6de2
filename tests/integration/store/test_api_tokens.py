"""API tokens on every server: found by their hash, their use noted now and then."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from conduit.errors import DuplicateKey
from conduit.model.api_token import ApiToken, Scope
from conduit.model.ids import Prefix, new_id
from conduit.model.record import utc_now
from conduit.store.api_tokens import USE_NOTED, ApiTokens
from conduit.store.connection import Store


@pytest.fixture
def tokens(store: Store) -> ApiTokens:
    """The API tokens."""
    return ApiTokens(store)


def token(**changes: Any) -> ApiToken:
    now = utc_now()
    fields: dict[str, Any] = {
        "id": new_id(Prefix.TOKEN),
        "created_at": now,
        "updated_at": now,
        "account_id": "acc_1",
        "name": "ci",
        "hint": "abcd",
        "token_hash": uuid4().hex,
        "scopes": (Scope.READ, Scope.WRITE),
        "allowed_ips": ("192.0.2.0/24",),
    }
    return ApiToken(**fields | changes)


async def test_a_token_is_found_by_its_hash_and_by_its_owner(tokens: ApiTokens) -> None:
    kept = token(expires_at=utc_now())
    await tokens.insert(kept)
    assert await tokens.of_hash(kept.token_hash) == kept
    assert await tokens.owned("acc_1", kept.id) == kept
    assert await tokens.owned("acc_2", kept.id) is None
    assert not await tokens.delete_owned("acc_2", kept.id)
    with pytest.raises(DuplicateKey):
        await tokens.insert(token(token_hash=kept.token_hash))


async def test_use_is_noted_at_most_once_a_minute(tokens: ApiTokens) -> None:
    kept, now = token(), utc_now()
    await tokens.insert(kept)
    for moment, noted in (
        (now, now),
        (now + USE_NOTED / 2, now),
        (now + USE_NOTED, now + USE_NOTED),
    ):
        read = await tokens.of_hash(kept.token_hash)
        assert read is not None
        await tokens.note_use(read, moment)
        found = await tokens.of_hash(kept.token_hash)
        assert found is not None
        assert found.last_used_at == noted


async def test_uses_at_once_do_not_disturb_each_other(tokens: ApiTokens) -> None:
    kept, now = token(), utc_now()
    await tokens.insert(kept)
    await asyncio.gather(*(tokens.note_use(kept, now) for _ in range(8)))
    found = await tokens.of_hash(kept.token_hash)
    assert found is not None
    assert (found.last_used_at, found.version) == (now, 1)


async def test_a_use_does_not_bring_a_revoked_token_back(tokens: ApiTokens) -> None:
    kept = token()
    await tokens.insert(kept)
    assert await tokens.delete_owned("acc_1", kept.id)
    await tokens.note_use(kept, utc_now() + timedelta(hours=1))
    assert await tokens.of_hash(kept.token_hash) is None


async def test_an_account_s_tokens_are_forgotten(tokens: ApiTokens) -> None:
    for account in ("acc_1", "acc_1", "acc_2"):
        await tokens.insert(token(account_id=account))
    await tokens.forget("acc_1")
    assert await tokens.of_account("acc_1") == []
    assert len(await tokens.of_account("acc_2")) == 1
