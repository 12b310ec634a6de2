"""Mails too large for the bus on every server: whole or not there, and gone by themselves."""

from datetime import UTC, datetime, timedelta

import pytest

from conduit.model.message import Message
from conduit.store.connection import Store
from conduit.store.messages import CHUNK, Messages

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def messages(store: Store) -> Messages:
    """The collection of messages."""
    return Messages(store, timedelta(days=3))


@pytest.mark.parametrize("size", [1, CHUNK - 1, CHUNK, CHUNK + 1, 25 * 1024 * 1024])
async def test_a_mail_comes_back_as_it_went_in(messages: Messages, size: int) -> None:
    raw = (bytes(range(256)) * (size // 256 + 1))[:size]
    await messages.put(Message("msg_1", NOON, raw))
    assert await messages.get("msg_1") == raw


async def test_an_unknown_mail_is_not_there(messages: Messages) -> None:
    assert await messages.get("msg_1") is None


async def test_a_mail_that_has_lost_a_part_is_not_there(store: Store, messages: Messages) -> None:
    await messages.put(Message("msg_1", NOON, bytes(2 * CHUNK)))
    await store.collection("messages").delete_one({"_id": "msg_1:1"})
    assert await messages.get("msg_1") is None


async def test_every_part_has_its_end(store: Store, messages: Messages) -> None:
    await messages.put(Message("msg_1", NOON, bytes(2 * CHUNK)))
    documents = await store.collection("messages").find().to_list(10)
    assert [document["expires_at"] for document in documents] == [NOON + timedelta(days=3)] * 2
