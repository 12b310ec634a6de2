"""Checks on request: what DNS shows decides, and the answer tells the user what to do."""

import asyncio
import time

import pytest

from conduit.errors import BrokerUnavailable
from conduit.events import DomainChecked
from conduit.model.domain import challenge_name
from conduit.model.record import utc_now
from tests.integration.verifier.conftest import Claimant, Start
from tests.support.dns import DnsServer, Trouble
from tests.support.polling import eventually


async def test_a_published_token_verifies_the_claim(start: Start, claimant: Claimant) -> None:
    await start()
    claim = await claimant.claim()
    claimant.publish(claim)
    before = utc_now()
    assert await claimant.check(claim) == DomainChecked(claim.id, problem=None)
    kept = await claimant.kept(claim)
    assert kept.verified
    assert kept.verified_at is not None
    assert before <= kept.verified_at <= utc_now()
    assert kept.checked_at == kept.verified_at


async def test_the_token_may_stand_beside_other_records(start: Start, claimant: Claimant) -> None:
    await start()
    claim = await claimant.claim()
    claimant.publish(claim, "v=spf1 -all", "something else")
    assert (await claimant.check(claim)).problem is None


async def test_the_strings_of_a_record_are_joined(
    start: Start, claimant: Claimant, dns_server: DnsServer
) -> None:
    await start()
    claim = await claimant.claim()
    token = claim.verification_token
    dns_server.set(challenge_name(claim.name), "TXT", f'"{token[:7]}" "{token[7:]}"')
    assert (await claimant.check(claim)).problem is None


async def test_the_record_may_be_an_alias(
    start: Start, claimant: Claimant, dns_server: DnsServer
) -> None:
    await start()
    claim = await claimant.claim()
    dns_server.set(challenge_name(claim.name), "CNAME", "elsewhere.example.net.")
    dns_server.set_txt("elsewhere.example.net.", claim.verification_token)
    assert (await claimant.check(claim)).problem is None


async def test_an_answer_too_large_for_udp_is_fetched_over_tcp(
    start: Start, claimant: Claimant, dns_server: DnsServer
) -> None:
    await start()
    claim = await claimant.claim()
    claimant.publish(claim, *(f"{number}" * 200 for number in range(10)))
    assert (await claimant.check(claim)).problem is None
    assert [transport for _, _, transport in dns_server.questions] == ["udp", "tcp"]


async def test_a_name_that_does_not_exist_is_a_problem_that_says_what_to_create(
    start: Start, claimant: Claimant
) -> None:
    await start()
    claim = await claimant.claim()
    checked = await claimant.check(claim)
    assert checked.problem is not None
    assert "no TXT record at _conduit-verify.mail.example.com" in checked.problem
    assert claim.verification_token in checked.problem
    kept = await claimant.kept(claim)
    assert not kept.verified
    assert kept.checked_at is not None


async def test_a_name_without_txt_records_is_the_same_problem(
    start: Start, claimant: Claimant, dns_server: DnsServer
) -> None:
    await start()
    claim = await claimant.claim()
    dns_server.set(challenge_name(claim.name), "A", "192.0.2.1")
    checked = await claimant.check(claim)
    assert checked.problem is not None
    assert "no TXT record" in checked.problem


@pytest.mark.parametrize("found", ["conduit-verify-of-somebody-else", "", "x" * 300])
async def test_another_value_is_a_problem_that_says_what_was_found(
    start: Start, claimant: Claimant, dns_server: DnsServer, found: str
) -> None:
    await start()
    claim = await claimant.claim()
    dns_server.set_txt(challenge_name(claim.name), found)
    checked = await claimant.check(claim)
    assert checked.problem is not None
    assert f"is '{found[:80]}'" in checked.problem
    assert claim.verification_token in checked.problem
    assert not (await claimant.kept(claim)).verified


async def test_a_part_of_the_token_does_not_verify(
    start: Start, claimant: Claimant, dns_server: DnsServer
) -> None:
    await start()
    claim = await claimant.claim()
    dns_server.set_txt(
        challenge_name(claim.name), claim.verification_token[:-1], f"{claim.verification_token} "
    )
    assert (await claimant.check(claim)).problem is not None


@pytest.mark.parametrize("trouble", Trouble)
async def test_trouble_with_dns_is_a_problem_of_its_own_and_changes_nothing(
    start: Start, claimant: Claimant, dns_server: DnsServer, trouble: Trouble
) -> None:
    await start(verifier_dns_timeout=0.5)
    claim = await claimant.claim()
    claimant.publish(claim)
    dns_server.fail(challenge_name(claim.name), trouble)
    started = time.monotonic()
    checked = await claimant.check(claim)
    assert time.monotonic() - started < 1.5
    assert checked.problem is not None
    assert "try again" in checked.problem
    assert await claimant.kept(claim) == claim
    dns_server.heal(challenge_name(claim.name))
    assert (await claimant.check(claim)).problem is None


async def test_a_silent_server_is_passed_over_for_the_next(
    start: Start, claimant: Claimant, dns_server: DnsServer
) -> None:
    async with DnsServer() as silent:
        await start(dns_servers=f"{silent.address},{dns_server.address}")
        claim = await claimant.claim()
        silent.fail(challenge_name(claim.name), Trouble.SILENCE)
        claimant.publish(claim)
        assert (await claimant.check(claim)).problem is None


async def test_a_domain_of_another_account_is_taken(start: Start, claimant: Claimant) -> None:
    await start()
    owner, late = await claimant.claim(), await claimant.claim()
    claimant.publish(owner, late.verification_token)
    assert not (await claimant.check(owner)).taken
    checked = await claimant.check(late)
    assert checked.taken
    assert checked.problem == "Another account has verified this domain."
    assert not (await claimant.kept(late)).verified
    assert (await claimant.kept(owner)).verified


async def test_of_two_claims_checked_at_once_one_is_taken(start: Start, claimant: Claimant) -> None:
    await start()
    await start()
    claims = [await claimant.claim() for _ in range(4)]
    claimant.publish(claims[0], *(claim.verification_token for claim in claims[1:]))
    answers = await asyncio.gather(*map(claimant.check, claims))
    assert sorted(answer.taken for answer in answers) == [False, True, True, True]


async def test_checks_of_one_claim_at_once_agree(start: Start, claimant: Claimant) -> None:
    await start()
    await start()
    claim = await claimant.claim()
    claimant.publish(claim)
    answers = await asyncio.gather(*(claimant.check(claim) for _ in range(5)))
    assert {answer.problem for answer in answers} == {None}


async def test_asking_does_not_harm_a_verified_claim_nor_put_off_its_re_check(
    start: Start, claimant: Claimant
) -> None:
    await start()
    claim = await claimant.claim()
    claimant.publish(claim)
    await claimant.check(claim)
    verified = await claimant.kept(claim)
    claimant.withdraw(claim)
    assert (await claimant.check(claim)).problem is not None
    assert await claimant.kept(claim) == verified


async def test_a_claim_that_was_given_up_is_said_to_be_gone(
    start: Start, claimant: Claimant
) -> None:
    await start()
    claim = await claimant.claim()
    await claimant.domains.delete_owned(claim.account_id, claim.id)
    checked = await claimant.check(claim)
    assert checked == DomainChecked(claim.id, "This claim does not exist any more.")


async def test_the_caller_s_deadline_ends_a_check_that_takes_long(
    start: Start, claimant: Claimant, dns_server: DnsServer
) -> None:
    await start(verifier_dns_timeout=1)
    claim = await claimant.claim()
    dns_server.fail(challenge_name(claim.name), Trouble.SILENCE)
    with pytest.raises(BrokerUnavailable):
        await claimant.check(claim, deadline=0.3)


async def test_without_a_verifier_the_deadline_ends_the_call(claimant: Claimant) -> None:
    claim = await claimant.claim()
    with pytest.raises(BrokerUnavailable):
        await claimant.check(claim, deadline=0.2)


async def test_a_stop_answers_what_is_in_flight(
    start: Start, claimant: Claimant, dns_server: DnsServer
) -> None:
    lifecycle = await start(verifier_dns_timeout=0.5)
    claim = await claimant.claim()
    dns_server.fail(challenge_name(claim.name), Trouble.SILENCE)
    call = asyncio.create_task(claimant.check(claim))
    await eventually(lambda: dns_server.asked(challenge_name(claim.name)), what="the question")
    await lifecycle.release()
    assert (await call).problem is not None
