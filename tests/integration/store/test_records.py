"""Records on every server: whole documents, unique keys, and changes that are never lost."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from conduit.errors import DuplicateKey, VersionConflict
from conduit.model.domain import Domain
from conduit.model.record import utc_now
from conduit.model.webhook import Sealed
from conduit.store.batched import MOST
from conduit.store.connection import Store
from conduit.store.domains import Domains
from conduit.store.webhooks import Webhooks
from tests.integration.store.conftest import domain, webhook


async def test_what_was_inserted_is_found_as_it_was(store: Store) -> None:
    webhooks, inserted = Webhooks(store), webhook(rate_limit=60, active=False)
    await webhooks.insert(inserted)
    assert await webhooks.of_id(inserted.id) == inserted
    assert await webhooks.of_address(inserted.address) == inserted


async def test_webhooks_are_found_by_several_addresses_at_once(store: Store) -> None:
    webhooks, kept = Webhooks(store), [webhook(rate_limit=number) for number in range(3)]
    for each in kept:
        await webhooks.insert(each)
    asked = [kept[2].address, "nobody@example.com", kept[0].address, kept[0].address]
    assert await webhooks.of_addresses(asked) == {each.address: each for each in kept[::2]}
    assert await webhooks.of_addresses([]) == {}


async def test_webhooks_are_found_by_their_ids_whoever_owns_them(store: Store) -> None:
    webhooks = Webhooks(store)
    kept = [webhook(account_id=f"acc_{number}") for number in range(3)]
    for each in kept:
        await webhooks.insert(each)
    asked = [kept[0].id, kept[2].id, *(f"wh_{number}" for number in range(MOST))]
    assert await webhooks.of_ids(asked) == {each.id: each for each in kept[::2]}
    assert await webhooks.of_ids([]) == {}


async def test_what_is_large_in_a_webhook_is_not_read_for_its_address(store: Store) -> None:
    headers = {"X-Key": Sealed("a" * 16_384)}
    webhooks, kept = (
        Webhooks(store),
        webhook(payload_template="{}" * 32_768, custom_headers=headers),
    )
    await webhooks.insert(kept)
    small = kept.model_copy(update={"payload_template": None, "custom_headers": {}})
    assert await webhooks.of_addresses([kept.address]) == {kept.address: small}
    assert await webhooks.of_address(kept.address) == kept


async def test_what_is_not_there_is_none(store: Store) -> None:
    assert await Webhooks(store).of_id("wh_none") is None


async def test_header_names_may_have_dots_and_dollars(store: Store) -> None:
    headers = {"X.Api.Key": Sealed("a"), "$where": Sealed("b"), "": Sealed("c")}
    webhooks, inserted = Webhooks(store), webhook(custom_headers=headers)
    await webhooks.insert(inserted)
    changed = await webhooks.replace(inserted.model_copy(update={"active": False}))
    found = await webhooks.of_id(inserted.id)
    assert found == changed
    assert found is not None
    assert found.custom_headers == headers


async def test_moments_keep_their_zone_and_their_milliseconds(store: Store) -> None:
    moment = datetime(2026, 3, 1, 12, 30, 15, 123_000, tzinfo=UTC)
    domains, inserted = Domains(store), domain(verified_at=moment)
    await domains.insert(inserted)
    found = await domains.of_id(inserted.id)
    assert found is not None
    assert found.verified_at == moment
    assert found.verified_at.utcoffset() == timedelta(0)
    assert found.created_at == inserted.created_at


async def test_a_replace_counts_the_version_and_moves_the_date(store: Store) -> None:
    webhooks, inserted = Webhooks(store), webhook()
    await webhooks.insert(inserted)
    changed = await webhooks.replace(inserted.model_copy(update={"target_url": "https://b.test"}))
    assert (inserted.version, changed.version) == (0, 1)
    assert changed.updated_at >= inserted.updated_at
    assert await webhooks.of_id(inserted.id) == changed


async def test_a_replace_of_what_was_changed_meanwhile_is_refused(store: Store) -> None:
    webhooks, read = Webhooks(store), webhook()
    await webhooks.insert(read)
    first = await webhooks.replace(read.model_copy(update={"rate_limit": 1}))
    with pytest.raises(VersionConflict):
        await webhooks.replace(read.model_copy(update={"rate_limit": 2}))
    assert await webhooks.of_id(read.id) == first


async def test_a_replace_of_what_was_removed_meanwhile_is_refused(store: Store) -> None:
    webhooks, read = Webhooks(store), webhook()
    await webhooks.insert(read)
    assert await webhooks.delete_owned(read.account_id, read.id)
    with pytest.raises(VersionConflict):
        await webhooks.replace(read)
    assert await webhooks.of_id(read.id) is None


async def test_of_replaces_at_once_one_wins(store: Store) -> None:
    webhooks, read = Webhooks(store), webhook()
    await webhooks.insert(read)
    results = await asyncio.gather(
        *(webhooks.replace(read.model_copy(update={"rate_limit": n})) for n in range(8)),
        return_exceptions=True,
    )
    won = [result for result in results if not isinstance(result, BaseException)]
    assert len(won) == 1
    assert sum(isinstance(result, VersionConflict) for result in results) == 7
    assert await webhooks.of_id(read.id) == won[0]


async def test_an_address_is_unique_over_all_accounts(store: Store) -> None:
    webhooks, first = Webhooks(store), webhook()
    await webhooks.insert(first)
    with pytest.raises(DuplicateKey, match="address"):
        await webhooks.insert(webhook(account_id="acc_2", address=first.address))


async def test_a_replace_cannot_take_an_address_either(store: Store) -> None:
    webhooks, first, second = Webhooks(store), webhook(), webhook()
    await webhooks.insert(first)
    await webhooks.insert(second)
    with pytest.raises(DuplicateKey, match="address"):
        await webhooks.replace(second.model_copy(update={"address": first.address}))
    assert await webhooks.of_id(second.id) == second


async def test_of_inserts_of_one_address_at_once_one_wins(store: Store) -> None:
    webhooks = Webhooks(store)
    results = await asyncio.gather(
        *(webhooks.insert(webhook(address="same@example.com")) for _ in range(8)),
        return_exceptions=True,
    )
    assert results.count(None) == 1
    assert sum(isinstance(result, DuplicateKey) for result in results) == 7


async def test_only_the_owner_finds_and_deletes(store: Store) -> None:
    webhooks, kept = Webhooks(store), webhook()
    await webhooks.insert(kept)
    assert await webhooks.owned("acc_other", kept.id) is None
    assert not await webhooks.delete_owned("acc_other", kept.id)
    assert await webhooks.owned(kept.account_id, kept.id) == kept
    assert await webhooks.delete_owned(kept.account_id, kept.id)
    assert not await webhooks.delete_owned(kept.account_id, kept.id)


async def test_find_all_sorts_and_stops_at_its_limit(store: Store) -> None:
    webhooks = Webhooks(store)
    kept = [webhook(rate_limit=number) for number in (3, 1, 2)]
    for each in kept:
        await webhooks.insert(each)
    await webhooks.insert(webhook(account_id="acc_other", rate_limit=0))
    found = await webhooks.find_all({"account_id": "acc_1"}, [("rate_limit", 1)], 2)
    assert [each.rate_limit for each in found] == [1, 2]
    found = await webhooks.find_all({"account_id": "acc_1"}, [("rate_limit", -1)], 10)
    assert [each.rate_limit for each in found] == [3, 2, 1]


async def test_fields_of_a_newer_version_are_ignored(store: Store) -> None:
    webhooks, kept = Webhooks(store), webhook()
    await webhooks.insert(kept)
    await store.collection("webhooks").update_one({"_id": kept.id}, {"$set": {"new_field": 1}})
    assert await webhooks.of_id(kept.id) == kept


async def test_an_account_claims_a_name_once_and_others_may_claim_it_too(store: Store) -> None:
    domains, first = Domains(store), domain()
    await domains.insert(first)
    await domains.insert(domain())
    with pytest.raises(DuplicateKey):
        await domains.insert(domain(account_id=first.account_id))


async def test_a_name_has_one_verified_owner(store: Store) -> None:
    domains, claims = Domains(store), [domain() for _ in range(3)]
    for claim in claims:
        await domains.insert(claim)
    results = await asyncio.gather(
        *(domains.replace(_verified(claim)) for claim in claims), return_exceptions=True
    )
    won = [result for result in results if isinstance(result, Domain)]
    assert len(won) == 1
    assert sum(isinstance(result, DuplicateKey) for result in results) == 2
    assert await domains.verified_owner("example.com") == won[0]


async def test_a_name_that_was_given_up_can_be_verified_by_another(store: Store) -> None:
    domains, first, second = Domains(store), domain(), domain()
    await domains.insert(first)
    await domains.insert(second)
    owner = await domains.replace(_verified(first))
    with pytest.raises(DuplicateKey):
        await domains.replace(_verified(second))
    await domains.replace(owner.model_copy(update={"verified": False}))
    assert (await domains.replace(_verified(second))).verified


async def test_verified_claims_are_due_the_oldest_first(store: Store) -> None:
    domains, now = Domains(store), utc_now()
    ages = {"new.test": 1, "older.test": 30, "oldest.test": 40, "old.test": 25}
    for name, hours in ages.items():
        checked_at = now - timedelta(hours=hours)
        await domains.insert(domain(name=name, verified=True, checked_at=checked_at))
    await domains.insert(domain(name="unverified.test", checked_at=now - timedelta(days=9)))
    due = await domains.due_for_check(now - timedelta(hours=24), 2)
    assert [claim.name for claim in due] == ["oldest.test", "older.test"]


def _verified(claim: Domain) -> Domain:
    return claim.model_copy(update={"verified": True})
