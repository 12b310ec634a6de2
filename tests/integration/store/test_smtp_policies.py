"""Policies on every server, the webhooks that use them, and the domains that webhooks are on."""

from ipaddress import ip_network

import pytest

from conduit.errors import VersionConflict
from conduit.model.ids import Prefix, new_id
from conduit.model.policy import Credential, SmtpPolicy
from conduit.model.record import utc_now
from conduit.store.connection import Store
from conduit.store.domains import Domains
from conduit.store.smtp_policies import PolicyUser, SmtpPolicies
from conduit.store.webhooks import Webhooks
from tests.integration.store.conftest import domain, webhook


def policy(**fields: object) -> SmtpPolicy:
    now = utc_now()
    known: dict[str, object] = {
        "id": new_id(Prefix.POLICY),
        "created_at": now,
        "updated_at": now,
        "account_id": "acc_1",
        "name": "office",
    }
    return SmtpPolicy.model_validate(known | fields)


async def test_a_policy_is_found_as_it_was(store: Store) -> None:
    inserted = policy(
        source_networks=(ip_network("10.0.0.0/8"), ip_network("2001:db8::/32")),
        require_smtp_auth=True,
        credentials=(Credential(username="alice.b$", password_hash="$2b$10$x"),),
        spf_domains=("example.com",),
    )
    policies = SmtpPolicies(store)
    await policies.insert(inserted)
    assert await policies.owned("acc_1", inserted.id) == inserted
    assert await policies.owned("acc_2", inserted.id) is None
    assert await policies.of_account("acc_1") == [inserted]
    assert await policies.has_room("acc_1")


async def test_a_policy_that_was_touched_is_not_deleted(store: Store) -> None:
    policies, inserted = SmtpPolicies(store), policy()
    await policies.insert(inserted)
    assert await policies.touch("acc_1", inserted.id)
    assert not await policies.touch("acc_2", inserted.id)
    assert not await policies.delete_unchanged(inserted)
    with pytest.raises(VersionConflict):
        await policies.replace(inserted)
    touched = await policies.owned("acc_1", inserted.id)
    assert touched is not None
    assert touched == inserted.model_copy(update={"version": inserted.version + 1})
    assert await policies.delete_unchanged(touched)
    assert not await policies.touch("acc_1", inserted.id)


async def test_users_of_a_name_are_found_in_all_accounts_the_oldest_policy_s_first(
    store: Store,
) -> None:
    policies = SmtpPolicies(store)
    alice, carol = (Credential(username=name, password_hash=f"hash of {name}") for name in "ac")
    for one in [
        policy(id="pol_3", credentials=(alice,)),
        policy(id="pol_1", credentials=(carol, alice), require_spf=True),
        policy(id="pol_2", credentials=(carol,)),
        policy(id="pol_5", account_id="acc_2", credentials=(alice,)),
        policy(id="pol_4"),
    ]:
        await policies.insert(one)
    found = (
        PolicyUser("pol_1", "acc_1", "hash of a"),
        PolicyUser("pol_3", "acc_1", "hash of a"),
        PolicyUser("pol_5", "acc_2", "hash of a"),
    )
    assert await policies.with_username("a", 10) == found
    assert await policies.with_username("a", 2) == found[:2]
    for stranger in ("A", "a ", "", "b", "$a", "hash of a"):
        assert await policies.with_username(stranger, 10) == ()


async def test_a_user_who_was_taken_out_of_a_policy_is_not_found(store: Store) -> None:
    policies = SmtpPolicies(store)
    inserted = policy(credentials=(Credential(username="a", password_hash="h"),))
    await policies.insert(inserted)
    await policies.replace(inserted.model_copy(update={"credentials": ()}))
    assert await policies.with_username("a", 10) == ()


async def test_the_users_of_a_policy_are_found(store: Store) -> None:
    webhooks = Webhooks(store)
    users = [webhook(smtp_security_policy_id="pol_1") for _ in range(3)]
    for one in [*users, webhook(), webhook(smtp_security_policy_id="pol_2")]:
        await webhooks.insert(one)
    await webhooks.insert(webhook(smtp_security_policy_id="pol_1", account_id="acc_2"))
    assert await webhooks.with_policy("acc_1", "pol_1", 10) == users
    assert await webhooks.with_policy("acc_1", "pol_1", 2) == users[:2]


async def test_the_webhooks_on_a_domain_are_found(store: Store) -> None:
    webhooks = Webhooks(store)
    on_it = [webhook(address=f"{name}@mail.example.com") for name in ("a", "b@c")]
    others = ["a@sub.mail.example.com", "a@mailxexample.com", "a@mail.example.com.net"]
    for one in [*on_it, *(webhook(address=address) for address in others)]:
        await webhooks.insert(one)
    await webhooks.insert(webhook(address="x@mail.example.com", account_id="acc_2"))
    assert await webhooks.on_domain("acc_1", "mail.example.com", 10) == on_it
    assert await webhooks.on_domain("acc_1", "mail.example.com", 1) == on_it[:1]
    assert await webhooks.has_room("acc_1")


async def test_who_has_verified_a_name_is_told(store: Store) -> None:
    domains = Domains(store)
    assert await domains.verified_by("example.com") is None
    await domains.insert(domain(account_id="acc_1"))
    assert await domains.verified_by("example.com") is None
    await domains.insert(domain(account_id="acc_2", verified=True))
    assert await domains.verified_by("example.com") == "acc_2"
