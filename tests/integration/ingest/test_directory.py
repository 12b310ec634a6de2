"""The directory on a real store: what the API registers is found, and changes work in time."""

from collections.abc import Awaitable, Callable
from uuid import uuid4

import pytest

from conduit.mail.address import parse_address
from conduit.model.ids import Prefix, new_id
from conduit.model.webhook import Webhook
from conduit.store.connection import Store
from conduit.store.domains import Domains
from conduit.store.webhooks import Webhooks
from conduit_smtp_ingest.directory import Directory, Found
from tests.integration.ingest.conftest import NewWebhook, insert_claim
from tests.support.polling import eventually

Find = Callable[[str], Awaitable[Found | None]]


@pytest.fixture
def find(store: Store) -> Find:
    """A directory that remembers next to nothing."""
    directory = Directory(Webhooks(store).of_addresses, Domains(store).verified_by, seconds=0.01)
    return lambda address: directory.find(parse_address(address))


@pytest.fixture
def domain() -> str:
    """A name that nobody has claimed."""
    return f"{uuid4().hex}.example.com"


def told(found: Found | None) -> tuple[str, str | None] | None:
    return None if found is None else (found.webhook.id, found.tag)


async def test_exact_beats_tag_beats_catch_all(
    find: Find, store: Store, new_webhook: NewWebhook, domain: str
) -> None:
    account = new_id(Prefix.ACCOUNT)
    await insert_claim(store, domain, account)

    async def at(local: str) -> Webhook:
        return await new_webhook(address=f"{local}@{domain}", account_id=account)

    everything, orders, one = [await at(local) for local in ("*", "orders", "orders+1")]
    assert told(await find(f"Orders+1@{domain.upper()}")) == (one.id, None)
    assert told(await find(f"Orders+Two@{domain}")) == (orders.id, "Two")
    assert told(await find(f"anybody+3@{domain}")) == (everything.id, "3")
    assert await find(f"anybody@sub.{domain}") is None


async def test_a_public_address_takes_tags(find: Find, webhook: Webhook) -> None:
    found = await find(webhook.address.replace("@", "+Ticket-7@"))
    assert found == Found(webhook, None, "Ticket-7")


async def test_a_deleted_webhooks_mail_is_the_catch_alls(
    find: Find, store: Store, new_webhook: NewWebhook, domain: str
) -> None:
    everything = await new_webhook(address=f"*@{domain}")
    orders = await new_webhook(address=f"orders@{domain}", account_id=everything.account_id)
    await insert_claim(store, domain, everything.account_id)
    assert told(await find(orders.address)) == (orders.id, None)
    await Webhooks(store).delete_owned(orders.account_id, orders.id)

    async def caught() -> bool:
        return told(await find(orders.address)) == (everything.id, None)

    await eventually(caught, what="the catch-all")


async def test_a_former_owners_webhooks_give_way_to_the_new_owners(
    find: Find, store: Store, new_webhook: NewWebhook, domain: str
) -> None:
    leftover = await new_webhook(address=f"orders@{domain}")
    found = await find(leftover.address)
    assert found == Found(leftover, None, None)
    everything = await new_webhook(address=f"*@{domain}")
    await insert_claim(store, domain, everything.account_id)

    async def caught() -> bool:
        return told(await find(leftover.address)) == (everything.id, None)

    await eventually(caught, what="the new owner's catch-all")
