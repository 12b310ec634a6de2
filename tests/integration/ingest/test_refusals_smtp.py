"""What was refused stands in the delivery log of the webhook that it was for."""

import asyncio
import signal
from collections.abc import Callable
from datetime import timedelta

import pytest

from conduit.model.delivery import Refusal
from conduit.model.webhook import Webhook
from conduit.store.connection import Store
from conduit.store.delivery_logs import DeliveryLogs
from tests.integration.ingest.conftest import NewWebhook
from tests.integration.ingest.policies import PROXY, Sender, credential, secured
from tests.support.dns import Trouble
from tests.support.polling import eventually
from tests.support.smtp import Ingest, greeted

PER_MINUTE = 3


@pytest.fixture
def logs(store: Store) -> DeliveryLogs:
    """The delivery logs that the API reads."""
    return DeliveryLogs(store, timedelta(days=30))


async def refusals(logs: DeliveryLogs, webhook: Webhook, count: int = 1) -> list[Refusal]:
    """Return what was refused for a webhook, oldest first, once there is so much."""

    async def found() -> list[Refusal]:
        page = await logs.page(webhook.id, 1, 100)
        entries = [entry for entry in page if isinstance(entry, Refusal)]
        return entries[::-1] if len(entries) >= count else []

    entries: list[Refusal] = await eventually(found, what=f"{count} refusals")
    assert len(entries) == count
    return entries


async def test_a_refused_recipient(
    policed: Ingest, under_policy: NewWebhook, logs: DeliveryLogs
) -> None:
    webhook = await under_policy(source_networks=["192.0.2.0/24"])
    header = b"PROXY TCP6 2001:db8::9 2001:db8::25 50000 25\r\n"
    async with greeted(policed.port, "EHLO mx.example", source=PROXY, header=header) as client:
        await client.expect("MAIL FROM:<Ann@Example.com>", "250")
        reply = await client.command(f"RCPT TO:<{webhook.address}>")
    [entry] = await refusals(logs, webhook)
    assert entry.smtp_reply == reply
    assert entry.reason == "source_not_allowed"
    assert (entry.sender, entry.recipients) == ("Ann@Example.com", (webhook.address,))
    assert (entry.helo, entry.remote_ip) == ("mx.example", "2001:db8::9")
    assert (entry.smtp_message_id, entry.others) == (None, 0)


async def test_every_recipient_that_is_refused(
    policed: Ingest, new_webhook: NewWebhook, under_policy: NewWebhook, logs: DeliveryLogs
) -> None:
    users = [credential("somebody", "else")]
    webhooks = {
        "inactive_webhook": await new_webhook(active=False),
        "domain_not_verified": await new_webhook(address="bob@unclaimed.example"),
        "auth_required": await under_policy(require_smtp_auth=True, credentials=users),
    }
    accepted, other = await new_webhook(), await under_policy(require_spf=True)
    replies = {}
    async with secured(policed.tls_port) as client:
        await client.expect("MAIL FROM:<>", "250")
        for reason, webhook in webhooks.items():
            replies[reason] = await client.command(f"RCPT TO:<{webhook.address}>")
        await client.expect(f"RCPT TO:<{accepted.address}>", "250")
        webhooks["other_decision"] = other
        replies["other_decision"] = await client.command(f"RCPT TO:<{other.address}>")
        for _ in range(2):  # three are allowed
            await client.expect(f"RCPT TO:<{accepted.address}>", "250")
        webhooks["too_many_recipients"] = await new_webhook()
        replies["too_many_recipients"] = await client.command(
            f"RCPT TO:<{webhooks['too_many_recipients'].address}>"
        )
    for reason, webhook in webhooks.items():
        [entry] = await refusals(logs, webhook)
        assert (entry.reason, entry.smtp_reply) == (reason, replies[reason])
        assert (entry.sender, entry.remote_ip) == ("", "127.0.0.1")
    assert await logs.page(accepted.id, 1, 10) == []


async def test_every_mail_that_is_refused(
    policed: Ingest, under_policy: NewWebhook, sender: Sender, logs: DeliveryLogs
) -> None:
    plain = sender.mail()
    loop = b"Received: from a by b\r\n" * 100 + plain
    third = sender.key(domain="mailer.example").sign(plain)
    open_key = sender.key(selector="open").sign(plain)
    sender.dns.fail(f"open._domainkey.{sender.domain}", Trouble.SERVFAIL)
    sender.spf()
    domains = ["other.example"]
    mails: dict[str, tuple[dict[str, object], bytes]] = {
        "spf_domain_not_allowed": ({"require_spf": True, "spf_domains": domains}, plain),
        "dkim_not_passed": ({"require_dkim": True}, plain),
        "dkim_domain_not_allowed": ({"require_dkim": True, "dkim_domains": domains}, third),
        "dns_failure": ({"require_dkim": True}, open_key),
        "mail_loop": ({}, loop),
        "line_too_long": ({}, plain + b"x" * 70_000 + b"\r\n"),
    }
    sent = {}
    async with greeted(policed.port) as client:
        for reason, (rules, content) in mails.items():
            webhook = await under_policy(**rules)
            sent[reason] = (
                webhook,
                await client.mail(content, webhook.address, sender=sender.address),
            )
    for reason, (webhook, reply) in sent.items():
        [entry] = await refusals(logs, webhook)
        assert (entry.reason, entry.smtp_reply) == (reason, reply)
        assert (entry.sender, entry.recipients) == (sender.address, (webhook.address,))
        read = None if reason == "line_too_long" else f"<1@{sender.domain}>"
        assert entry.smtp_message_id == read


async def test_a_mail_for_two_webhooks_is_in_the_logs_of_both(
    policed: Ingest, under_policy: NewWebhook, sender: Sender, logs: DeliveryLogs
) -> None:
    webhooks = [await under_policy(require_spf=True) for _ in range(2)]
    async with greeted(policed.port) as client:
        addresses = [webhook.address for webhook in webhooks]
        reply = await client.mail(sender.mail(), *addresses, sender=sender.address)
    for webhook in webhooks:
        [entry] = await refusals(logs, webhook)
        assert (entry.smtp_reply, entry.recipients) == (reply, (webhook.address,))


async def test_unknown_addresses_leave_nothing(
    policed: Ingest, new_webhook: NewWebhook, store: Store, logs: DeliveryLogs
) -> None:
    inactive = await new_webhook(active=False)
    async with greeted(policed.port) as client:
        await client.expect("MAIL FROM:<nobody@knows.example>", "250")
        for address in ("nobody@incoming.localhost", "nobody@nowhere.example", "Postmaster"):
            await client.expect(f"RCPT TO:<{address}>", "550 5.1.1 ")
        await client.expect(f"RCPT TO:<{inactive.address}>", "550 5.2.1 ")
    await refusals(logs, inactive)
    of_this = {"sender": "nobody@knows.example"}
    assert await store.collection("delivery_logs").count_documents(of_this) == 1


async def test_of_many_within_a_minute_the_rest_are_counted(
    new_ingest: Callable[..., Ingest], new_webhook: NewWebhook, logs: DeliveryLogs
) -> None:
    flooded, other = [await new_webhook(active=False) for _ in range(2)]
    ingest = new_ingest(smtp_refusals_per_minute=str(PER_MINUTE))
    ingest.start()
    await asyncio.to_thread(ingest.wait_ready)
    async with greeted(ingest.port) as client:
        await client.expect("MAIL FROM:<ann@example.com>", "250")
        for _ in range(50):
            await client.expect(f"RCPT TO:<{flooded.address}>", "550 5.2.1 ")
        await client.expect(f"RCPT TO:<{other.address}>", "550 5.2.1 ")
    await refusals(logs, flooded, PER_MINUTE)
    await refusals(logs, other)
    ingest.signal(signal.SIGTERM)
    assert await asyncio.to_thread(ingest.exit_code) == 0
    entries = await refusals(logs, flooded, PER_MINUTE + 1)
    assert [entry.others for entry in entries] == [0] * PER_MINUTE + [50 - PER_MINUTE - 1]
    await refusals(logs, other)


async def test_what_a_sender_says_is_kept_as_it_is_but_not_all_of_it(
    policed: Ingest, new_webhook: NewWebhook, logs: DeliveryLogs
) -> None:
    inactive = await new_webhook(active=False)
    senders = {"x" * 900: f"{'y' * 60}@example.com", "[$where]": "\"{'$gt': ''}\"@example.com"}
    for helo, sender in senders.items():
        async with greeted(policed.port, f"EHLO {helo}") as client:
            await client.expect(f"MAIL FROM:<{sender}>", "250")
            await client.expect(f"RCPT TO:<{inactive.address}>", "550 5.2.1 ")
    entries = await refusals(logs, inactive, 2)
    assert [entry.helo for entry in entries] == ["x" * 255, "[$where]"]
    assert [entry.sender for entry in entries] == list(senders.values())
