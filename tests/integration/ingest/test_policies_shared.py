"""Policies of several webhooks, mails to several recipients, and policies that change."""

import pytest

from conduit.model.webhook import DeliveryMode, Webhook
from conduit.store.connection import Store
from conduit.store.smtp_policies import SmtpPolicies
from tests.integration.ingest.conftest import NewWebhook, Queued
from tests.integration.ingest.policies import (
    QUEUED,
    NewPolicy,
    Sender,
    attached,
    credential,
    secured,
)
from tests.support.polling import eventually
from tests.support.smtp import Client, Ingest, greeted

TAKEN = "250 2.1.5 OK"
OTHER_RULES = "452 4.5.3 Send this recipient's mail by itself: it is decided on by other rules"
NO_SPF = "550 5.7.23 SPF did not pass, which this address requires"
NO_DKIM = "550 5.7.20 No valid DKIM signature, which this address requires"
OTHER_NETWORK = "550 5.7.1 This address takes no mail from your network"
OTHER_CREDENTIALS = "550 5.7.1 Your credentials are not for this address"


async def test_one_policy_for_two_webhooks(
    policed: Ingest,
    new_policy: NewPolicy,
    new_webhook: NewWebhook,
    sender: Sender,
    queued: Queued,
) -> None:
    policy = await new_policy(require_dkim=True)
    webhooks = [await attached(new_webhook, policy) for _ in range(2)]
    addresses = [webhook.address for webhook in webhooks]
    content = sender.mail()
    async with greeted(policed.port) as client:
        assert await client.mail(content, *addresses, sender=sender.address) == NO_DKIM
        reply = await client.mail(sender.key().sign(content), *addresses, sender=sender.address)
    assert [line[4:].partition(" as ")[0] for line in reply.splitlines()] == ["2.0.0 queued"] * 2
    for webhook in webhooks:
        [event] = await queued.expect(webhook)
        assert event.delivery_id in reply


async def test_recipients_with_the_same_rules_share_a_mail(
    policed: Ingest, under_policy: NewWebhook, sender: Sender, queued: Queued
) -> None:
    """Networks and users are decided on at RCPT, so that they may differ; order is nothing."""
    domains = [sender.domain, "other.example"]
    rules = {"require_spf": True, "require_dkim": True}
    webhooks = [
        await under_policy(**rules, spf_domains=domains, dkim_domains=domains),
        await under_policy(
            **rules,
            spf_domains=domains[::-1],
            dkim_domains=domains[::-1],
            source_networks=["127.0.0.0/8"],
        ),
    ]
    sender.spf()
    content = sender.key().sign(sender.mail())
    async with greeted(policed.port) as client:
        addresses = [webhook.address for webhook in webhooks]
        reply = await client.mail(content, *addresses, sender=sender.address)
    assert reply.startswith("250-2.0.0 queued as ")
    for webhook in webhooks:
        await queued.expect(webhook)


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"require_spf": True}, id="SPF"),
        pytest.param({"require_dkim": True}, id="DKIM"),
        pytest.param({"require_dkim": True, "dkim_domains": ["a.example"]}, id="DKIM domains"),
    ],
)
async def test_a_recipient_with_other_rules_gets_a_mail_of_its_own(
    policed: Ingest,
    under_policy: NewWebhook,
    new_webhook: NewWebhook,
    sender: Sender,
    queued: Queued,
    fields: dict[str, object],
) -> None:
    first, other = await new_webhook(), await under_policy(**fields)
    sender.spf()
    content = sender.key(domain="a.example").sign(sender.mail())
    async with greeted(policed.port) as client:
        await client.expect(f"MAIL FROM:<{sender.address}>", "250")
        assert await client.command(f"RCPT TO:<{first.address}>") == TAKEN
        assert await client.command(f"RCPT TO:<{other.address}>") == OTHER_RULES
        assert await send(client, content) == f"250 2.0.0 queued as {await id_of(queued, first)}"
        reply = await client.mail(content, other.address, sender=sender.address)
        assert reply == f"250 2.0.0 queued as {await id_of(queued, other)}"


async def send(client: Client, content: bytes) -> str:
    await client.expect("DATA", "354")
    await client.send(content + b".\r\n")
    return await client.reply()


async def id_of(queued: Queued, webhook: Webhook) -> str:
    [event] = await queued.expect(webhook)
    return event.delivery_id


async def test_the_others_rules_do_not_decide_over_the_first_ones_mail(
    policed: Ingest, under_policy: NewWebhook, new_webhook: NewWebhook, sender: Sender
) -> None:
    strict, lax = await under_policy(require_dkim=True), await new_webhook()
    async with greeted(policed.port) as client:
        for first, other, reply in ((strict, lax, NO_DKIM), (lax, strict, QUEUED)):
            await client.expect(f"MAIL FROM:<{sender.address}>", "250")
            assert await client.command(f"RCPT TO:<{first.address}>") == TAKEN
            assert await client.command(f"RCPT TO:<{other.address}>") == OTHER_RULES
            assert (await send(client, sender.mail())).startswith(reply)


async def test_who_is_refused_at_rcpt_leaves_the_rules_to_the_others(
    policed: Ingest, under_policy: NewWebhook, new_webhook: NewWebhook, sender: Sender
) -> None:
    elsewhere = await under_policy(require_dkim=True, source_networks=["192.0.2.0/24"])
    async with greeted(policed.port) as client:
        await client.expect(f"MAIL FROM:<{sender.address}>", "250")
        assert await client.command(f"RCPT TO:<{elsewhere.address}>") == OTHER_NETWORK
        assert await client.command(f"RCPT TO:<{(await new_webhook()).address}>") == TAKEN
        assert await client.command(f"RCPT TO:<{elsewhere.address}>") == OTHER_NETWORK
        assert (await send(client, sender.mail())).startswith(QUEUED)


async def test_endpoints_that_are_waited_for_get_mails_of_their_own(
    policed: Ingest, new_webhook: NewWebhook
) -> None:
    queued_one = await new_webhook()
    waited_for = [await new_webhook(delivery_mode=DeliveryMode.SYNC) for _ in range(2)]
    async with greeted(policed.port) as client:
        for first, other in ((queued_one, waited_for[0]), waited_for):
            await client.expect("MAIL FROM:<ann@example.com>", "250")
            assert await client.command(f"RCPT TO:<{first.address}>") == TAKEN
            assert await client.command(f"RCPT TO:<{other.address}>") == OTHER_RULES
            await client.expect("RSET", "250")


async def test_a_policy_that_changes_counts_within_seconds_in_the_same_session(
    policed: Ingest,
    new_policy: NewPolicy,
    new_webhook: NewWebhook,
    store: Store,
    sender: Sender,
) -> None:
    policies = SmtpPolicies(store)
    policy = await new_policy()
    webhook = await attached(new_webhook, policy)
    sender.spf("v=spf1 -all")
    async with greeted(policed.port) as client:

        async def reply() -> str:
            await client.expect(f"MAIL FROM:<{sender.address}>", "250")
            taken = await client.command(f"RCPT TO:<{webhook.address}>")
            if taken != TAKEN:
                await client.expect("RSET", "250")
                return taken
            return await send(client, sender.mail())

        async def is_refused() -> bool:
            return await reply() == expected

        assert (await reply()).startswith(QUEUED)
        changes: list[tuple[dict[str, object], str]] = [
            ({"require_spf": True}, NO_SPF),
            ({"require_spf": False, "require_dkim": True}, NO_DKIM),
            ({"source_networks": ["192.0.2.0/24"]}, OTHER_NETWORK),
        ]
        for fields, expected in changes:
            changed = policy.model_validate(policy.model_dump() | fields)
            policy = await policies.replace(changed)
            await eventually(is_refused, what=f"{expected!r}")


async def test_a_user_who_is_taken_out_is_out_in_the_same_session(
    policed: Ingest, new_policy: NewPolicy, new_webhook: NewWebhook, store: Store, user: str
) -> None:
    policy = await new_policy(require_smtp_auth=True, credentials=[credential(user, "right")])
    webhook = await attached(new_webhook, policy)
    rcpt = f"RCPT TO:<{webhook.address}>"
    async with secured(policed.tls_port) as client, secured(policed.tls_port) as later:
        assert (await client.auth(user, "right")).startswith("235 ")
        assert await first_reply(client, rcpt) == TAKEN
        others = {"credentials": (credential(f"not-{user}", "right"),)}
        await SmtpPolicies(store).replace(policy.model_copy(update=others))

        async def is_out() -> bool:
            return await first_reply(client, rcpt) == OTHER_CREDENTIALS

        await eventually(is_out, what="a refusal")
        assert await later.auth(user, "right") == ("535 5.7.8 Authentication credentials invalid")
        assert (await later.auth(f"not-{user}", "right")).startswith("235 ")
        assert await first_reply(later, rcpt) == TAKEN


async def first_reply(client: Client, rcpt: str) -> str:
    """Return the reply to the first recipient of a mail that is given up."""
    await client.expect("RSET", "250")
    await client.expect("MAIL FROM:<ann@example.com>", "250")
    return await client.command(rcpt)
