"""All indexes, declared as data and created at each service's start, idempotently.

Retention is a date in each document (`expires_at`) that a TTL index reads, so that changing a
retention setting changes no index.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence

from pymongo import ASCENDING, DESCENDING, IndexModel

from conduit.errors import StoreUnavailable
from conduit.store.connection import Store, translated

log = logging.getLogger(__name__)

EXPIRY = IndexModel([("expires_at", ASCENDING)], expireAfterSeconds=0)


def unique(*fields: str) -> IndexModel:
    """An index that refuses a second document with the same values in these fields."""
    return IndexModel([(field, ASCENDING) for field in fields], unique=True)


INDEXES: Mapping[str, Sequence[IndexModel]] = {
    "accounts": (unique("email"), IndexModel([("deleted_at", ASCENDING)])),
    "password_resets": (unique("token_hash"), EXPIRY),
    "email_confirmations": (unique("token_hash"), EXPIRY),
    "sign_in_challenges": (IndexModel([("account_id", ASCENDING)]), EXPIRY),
    "sessions": (
        unique("family_hash"),
        IndexModel([("account_id", ASCENDING)]),
        EXPIRY,
    ),
    "api_tokens": (
        unique("token_hash"),
        IndexModel([("account_id", ASCENDING), ("_id", ASCENDING)]),
    ),
    "webhooks": (
        unique("address"),
        IndexModel([("account_id", ASCENDING), ("_id", ASCENDING)]),
    ),
    "smtp_policies": (
        IndexModel([("account_id", ASCENDING), ("_id", ASCENDING)]),
        IndexModel([("credentials.username", ASCENDING), ("_id", ASCENDING)]),
    ),
    "domains": (
        unique("account_id", "name"),
        IndexModel(
            [("name", ASCENDING)],
            name="one_verified_owner",
            unique=True,
            partialFilterExpression={"verified": True},
        ),
        IndexModel([("verified", ASCENDING), ("checked_at", ASCENDING)]),
    ),
    "deliveries": (
        IndexModel([("webhook_id", ASCENDING), ("received_at", DESCENDING), ("_id", DESCENDING)]),
        IndexModel(
            [
                ("webhook_id", ASCENDING),
                ("state", ASCENDING),
                ("received_at", DESCENDING),
                ("_id", DESCENDING),
            ]
        ),
        IndexModel([("webhook_id", ASCENDING), ("smtp_message_id", ASCENDING)]),
        IndexModel(
            [("webhook_id", ASCENDING), ("held_at", ASCENDING)],
            name="held",
            partialFilterExpression={"held_at": {"$exists": True}},
        ),
        EXPIRY,
    ),
    "delivery_logs": (
        unique("delivery_id", "number"),
        IndexModel([("webhook_id", ASCENDING), ("attempted_at", DESCENDING), ("_id", DESCENDING)]),
        IndexModel(
            [
                ("webhook_id", ASCENDING),
                ("result", ASCENDING),
                ("attempted_at", DESCENDING),
                ("_id", DESCENDING),
            ]
        ),
        IndexModel([("webhook_id", ASCENDING), ("smtp_message_id", ASCENDING)]),
        EXPIRY,
    ),
    "messages": (EXPIRY,),
    "slots": (EXPIRY,),
    "endpoint_health": (IndexModel([("failing_since", ASCENDING)]),),
    "holdings": (IndexModel([("leased_until", ASCENDING)]),),
    "notices": (
        IndexModel([("due_at", ASCENDING)]),
        IndexModel([("webhook_id", ASCENDING)]),
        EXPIRY,
    ),
    "audit_log": (
        IndexModel([("account_id", ASCENDING), ("at", DESCENDING), ("_id", DESCENDING)]),
        EXPIRY,
    ),
}


async def ensure_indexes(store: Store) -> None:
    """Create the indexes that are missing, waiting as long as MongoDB is away."""
    while True:
        try:
            return await _create(store)
        except StoreUnavailable as error:
            log.warning("store.awaited", extra={"error": str(error)})
            await asyncio.sleep(1)


async def _create(store: Store) -> None:
    for name, models in INDEXES.items():
        with translated():
            await store.collection(name).create_indexes(list(models))
