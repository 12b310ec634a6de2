"""Re-checks: verified domains outlast bad days, and are given up when the record is gone."""

import asyncio
from datetime import timedelta

from conduit.model.domain import Domain, challenge_name
from conduit.model.record import utc_now
from tests.integration.verifier.conftest import Claimant, Start
from tests.support.dns import DnsServer, Trouble
from tests.support.polling import eventually

DAY = 86_400
SOON = 0.05
"""An interval at which a claim is due again almost at once."""


async def test_a_verified_claim_is_checked_again_when_it_is_due(
    start: Start, claimant: Claimant
) -> None:
    due = await claimant.verified("due.example.com", missed=3)
    fresh = await claimant.claim("fresh.example.com", verified=True, checked_at=utc_now())
    unverified = await claimant.claim("unverified.example.com")
    claimant.publish(due)
    await start(verifier_recheck_interval=DAY)

    async def proven() -> bool:
        return (await claimant.kept(due)).missed == 0

    await eventually(proven, what="the re-check")
    kept = await claimant.kept(due)
    assert kept.verified
    assert kept.verified_at == due.verified_at
    assert kept.checked_at is not None
    assert kept.checked_at > utc_now() - timedelta(minutes=1)
    assert await claimant.kept(fresh) == fresh
    assert await claimant.kept(unverified) == unverified


async def test_a_record_that_is_gone_once_is_counted_and_the_claim_kept(
    start: Start, claimant: Claimant
) -> None:
    claim = await claimant.verified()
    await start(verifier_recheck_interval=DAY)
    kept = await _when_missed(claimant, claim, 1)
    assert kept.verified


async def test_a_record_that_stays_gone_ends_the_verification(
    start: Start, claimant: Claimant, dns_server: DnsServer
) -> None:
    claim = await claimant.verified()
    await start(verifier_recheck_interval=SOON, verifier_recheck_misses=3)

    async def lost() -> bool:
        return not (await claimant.kept(claim)).verified

    await eventually(lost, what="the loss")
    kept = await claimant.kept(claim)
    assert (kept.verified_at, kept.missed) == (None, 0)
    assert dns_server.asked(challenge_name(claim.name)) == 3


async def test_a_name_that_was_lost_is_free_for_the_next(start: Start, claimant: Claimant) -> None:
    former, next_owner = await claimant.verified(missed=6), await claimant.claim()
    claimant.publish(next_owner)
    await start(verifier_recheck_interval=DAY)

    async def free() -> bool:
        return (await claimant.check(next_owner)).problem is None

    await eventually(free, what="the name")
    assert not (await claimant.kept(former)).verified


async def test_a_record_that_is_back_ends_the_count(start: Start, claimant: Claimant) -> None:
    claim = await claimant.verified()
    await start(verifier_recheck_interval=SOON, verifier_recheck_misses=1_000)
    await _when_missed(claimant, claim, 2)
    claimant.publish(claim)

    async def proven() -> bool:
        return (await claimant.kept(claim)).missed == 0

    await eventually(proven, what="the end of the count")
    assert (await claimant.kept(claim)).verified


async def test_trouble_with_dns_neither_counts_nor_ends_the_count(
    start: Start, claimant: Claimant, dns_server: DnsServer
) -> None:
    claim = await claimant.verified(missed=2)
    name = challenge_name(claim.name)
    dns_server.fail(name, Trouble.SERVFAIL)
    await start(verifier_recheck_interval=SOON, verifier_recheck_misses=3)
    await eventually(lambda: dns_server.asked(name) >= 5, what="five re-checks")
    kept = await claimant.kept(claim)
    assert kept.verified
    assert kept.missed == 2


async def test_more_claims_than_a_batch_are_all_checked(
    start: Start, claimant: Claimant, dns_server: DnsServer
) -> None:
    claims = [await claimant.verified(f"n{number}.example.com") for number in range(45)]
    await start(verifier_recheck_interval=DAY)
    kept = await asyncio.gather(*(_when_missed(claimant, claim, 1) for claim in claims))
    assert all(claim.verified for claim in kept)


async def test_two_replicas_check_a_due_claim_once(
    start: Start, claimant: Claimant, dns_server: DnsServer
) -> None:
    claims = [await claimant.verified(f"n{number}.example.com") for number in range(30)]
    await asyncio.gather(start(), start(), start())
    kept = await asyncio.gather(*(_when_missed(claimant, claim, 1) for claim in claims))
    assert {claim.missed for claim in kept} == {1}
    assert len(dns_server.questions) == len(claims)


async def _when_missed(claimant: Claimant, claim: Domain, times: int) -> Domain:
    async def missed() -> Domain | None:
        kept = await claimant.kept(claim)
        return kept if kept.missed >= times else None

    kept = await eventually(missed, what=f"{times} missed re-checks of {claim.name}")
    assert kept is not None
    return kept
