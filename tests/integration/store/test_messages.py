"""Kept mails on every server: in chunks, in batches, held while needed, and gone when told."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from conduit.model.ids import Prefix, new_id
from conduit.model.message import Message
from conduit.store.connection import Store
from conduit.store.messages import CHUNK, UNDER_WAY, Messages

RETENTION = timedelta(days=5)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def messages(store: Store) -> Messages:
    """The kept mails."""
    return Messages(store, RETENTION)


def mail(raw: bytes = b"Subject: a\r\n\r\n\x00\xff") -> Message:
    return Message(new_id(Prefix.MESSAGE), NOON, raw)


async def chunks(store: Store, message: Message) -> list[dict[str, Any]]:
    found = store.collection("messages").find({"_id": {"$regex": f"^{message.id}:"}})
    return await found.sort([("_id", 1)]).to_list(None)


@pytest.mark.parametrize("size", [0, 1, CHUNK, CHUNK + 1, 2 * CHUNK + 5])
async def test_a_mail_is_found_octet_for_octet(messages: Messages, size: int) -> None:
    kept = mail(bytes(range(256)) * (size // 256) + bytes(size % 256))
    await messages.put(kept)
    assert await messages.get(kept.id) == kept.raw


async def test_a_batch_passes_over_what_is_there(messages: Messages, store: Store) -> None:
    one, two = mail(b"one"), mail(b"two")
    await messages.keep([one])
    await messages.keep([one, two])
    assert [await messages.get(each.id) for each in (one, two)] == [b"one", b"two"]
    [chunk] = await chunks(store, one)
    assert chunk["expires_at"] == NOON + RETENTION


async def test_without_retention_only_what_travels_by_reference_is_kept(store: Store) -> None:
    messages, small, large = Messages(store, timedelta(0)), mail(), mail()
    await messages.keep([small])
    await messages.put(large)
    assert await messages.get(small.id) is None
    assert await messages.get(large.id) == large.raw
    assert (await chunks(store, large))[0]["expires_at"] == NOON + UNDER_WAY


async def test_what_is_needed_is_held_in_all_its_chunks(messages: Messages, store: Store) -> None:
    large, small, gone = mail(bytes(CHUNK + 1)), mail(), mail()
    await messages.keep([large, small])
    until = NOON + timedelta(days=9)
    held = await messages.hold([large.id, small.id, gone.id], until)
    assert held == {large.id, small.id}
    documents = [*await chunks(store, large), *await chunks(store, small)]
    assert [document["expires_at"] for document in documents] == [until + UNDER_WAY] * 3


async def test_nothing_is_held_for_a_shorter_time_than_before(
    messages: Messages, store: Store
) -> None:
    kept = mail()
    await messages.keep([kept])
    assert await messages.hold([kept.id], NOON - timedelta(days=9)) == {kept.id}
    assert (await chunks(store, kept))[0]["expires_at"] == NOON + RETENTION


@pytest.mark.parametrize("retention", [timedelta(0), RETENTION])
async def test_what_waits_in_the_store_is_put_there_whatever_the_retention(
    store: Store, retention: timedelta
) -> None:
    messages, waiting, there = Messages(store, retention), mail(bytes(CHUNK + 1)), mail()
    until = NOON + timedelta(days=14)
    await messages.put(there)
    for each in (waiting, there):
        await messages.put_until(each, until)
        assert await messages.get(each.id) == each.raw
        kept = {document["expires_at"] for document in await chunks(store, each)}
        assert kept == {until + UNDER_WAY}


async def test_what_is_forgotten_leaves_nothing(messages: Messages, store: Store) -> None:
    forgotten, other = mail(bytes(CHUNK + 1)), mail()
    await messages.keep([forgotten, other])
    await messages.forget([forgotten.id])
    assert await chunks(store, forgotten) == []
    assert await messages.kept([forgotten.id, other.id]) == {other.id: 1}


async def test_a_mail_with_a_chunk_missing_is_not_found(messages: Messages, store: Store) -> None:
    kept = mail(bytes(CHUNK + 1))
    await messages.keep([kept])
    await store.collection("messages").delete_one({"_id": f"{kept.id}:1"})
    assert await messages.get(kept.id) is None
