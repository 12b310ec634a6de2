"""Which addresses take mail, and which webhook gets it: domains, tags, catch-alls, spellings."""

import asyncio
from collections.abc import Awaitable, Callable
from uuid import uuid4

import pytest

from conduit.model.ids import Prefix, new_id
from conduit.model.webhook import DeliveryMode, Webhook
from conduit.store.connection import Store
from conduit.store.domains import Domains
from tests.integration.ingest.conftest import NewWebhook, Queued, insert_claim
from tests.support.polling import eventually
from tests.support.smtp import Client, Ingest, greeted

UNKNOWN = "550 5.1.1 "
LATER = "450 4.2.1 "
INTERNAL = "451 4.3.0 "
BY_ITSELF = "452 4.5.3 Send this recipient's mail by itself"

NewAddress = Callable[[str], Awaitable[Webhook]]


@pytest.fixture
def domain() -> str:
    """A name that nobody has claimed."""
    return f"{uuid4().hex}.example.com"


@pytest.fixture
async def new_address(store: Store, new_webhook: NewWebhook, domain: str) -> NewAddress:
    """Register webhooks by their local parts, of one account that has verified the domain."""
    account = new_id(Prefix.ACCOUNT)
    await insert_claim(store, domain, account)

    async def register(local: str) -> Webhook:
        return await new_webhook(address=f"{local}@{domain}", account_id=account)

    return register


async def send_utf8(client: Client, address: str) -> str:
    """Send a mail to an address outside ASCII; return the reply to it, or to the recipient."""
    await client.expect("MAIL FROM:<ann@example.com> SMTPUTF8", "250")
    reply = await client.command(f"RCPT TO:<{address}>")
    if not reply.startswith("250 "):
        return reply
    await client.expect("DATA", "354")
    return await client.command(b"\r\n.")


async def reply_to(ingest: Ingest, address: str) -> str:
    async with greeted(ingest.port) as client:
        await client.expect("MAIL FROM:<ann@example.com>", "250")
        return await client.command(f"RCPT TO:<{address}>")


async def test_a_verified_domain_takes_mail(
    ingest: Ingest, store: Store, new_webhook: NewWebhook, queued: Queued, domain: str
) -> None:
    webhook = await new_webhook(address=f"alerts@{domain}")
    await insert_claim(store, domain, webhook.account_id)
    async with greeted(ingest.port) as client:
        assert (await client.mail(b"\r\n", f"Alerts@{domain.upper()}")).startswith("250 ")
    await queued.expect(webhook)


async def test_a_domain_that_lost_its_verification_makes_mail_wait(
    ingest: Ingest, store: Store, new_webhook: NewWebhook, domain: str
) -> None:
    webhook = await new_webhook(address=f"alerts@{domain}")
    claim = await insert_claim(store, domain, webhook.account_id)
    assert (await reply_to(ingest, webhook.address)).startswith("250 ")
    claim = await Domains(store).replace(claim.model_copy(update={"verified": False}))

    async def waits() -> bool:
        return (await reply_to(ingest, webhook.address)).startswith(LATER)

    await eventually(waits, what="the deferral")
    await Domains(store).replace(claim.model_copy(update={"verified": True}))

    async def flows() -> bool:
        return (await reply_to(ingest, webhook.address)).startswith("250 ")

    await eventually(flows, what="the acceptance")


async def test_a_leftover_of_a_former_owner_takes_none_of_the_new_owners_mail(
    ingest: Ingest, store: Store, new_webhook: NewWebhook, queued: Queued, domain: str
) -> None:
    leftover = await new_webhook(address=f"alerts@{domain}")
    await insert_claim(store, domain, new_id(Prefix.ACCOUNT))
    assert (await reply_to(ingest, leftover.address)).startswith(UNKNOWN)
    await queued.expect_none(leftover)


async def test_mail_under_a_policy_that_is_gone_waits(
    ingest: Ingest, new_webhook: NewWebhook, queued: Queued
) -> None:
    webhook = await new_webhook(smtp_security_policy_id=new_id(Prefix.POLICY))
    assert (await reply_to(ingest, webhook.address)).startswith(INTERNAL)
    await queued.expect_none(webhook)


async def test_a_mail_to_a_tagged_address_tells_the_tag_and_the_whole_address(
    ingest: Ingest, webhook: Webhook, queued: Queued
) -> None:
    tagged = webhook.address.replace("@", "+Ticket-7@")
    async with greeted(ingest.port) as client:
        reply = await client.mail(b"\r\n", tagged)
    [event] = await queued.expect(webhook)
    assert reply == f"250 2.0.0 queued as {event.delivery_id}"
    assert event.envelope.tag == "Ticket-7"
    assert event.envelope.recipients == (tagged,)


async def test_exact_beats_tag_beats_catch_all(
    ingest: Ingest, new_address: NewAddress, queued: Queued, domain: str
) -> None:
    everything, orders, one = [await new_address(local) for local in ("*", "orders", "orders+1")]
    async with greeted(ingest.port) as client:
        for local in ("Orders+1", "orders+two", "anybody+3", "POSTMASTER"):
            assert (await client.mail(b"\r\n", f"{local}@{domain}")).startswith("250 ")
    [exact] = await queued.expect(one)
    [tagged] = await queued.expect(orders)
    caught = await queued.expect(everything, 2)
    assert (exact.envelope.tag, exact.envelope.recipients) == (None, (f"Orders+1@{domain}",))
    assert (tagged.envelope.tag, tagged.envelope.recipients) == ("two", (f"orders+two@{domain}",))
    assert [event.envelope.tag for event in caught] == ["3", None]
    assert caught[1].envelope.recipients == (f"POSTMASTER@{domain}",)


async def test_a_catch_all_does_not_extend_to_names_below_its_domain_or_to_lost_ones(
    ingest: Ingest, new_address: NewAddress, new_webhook: NewWebhook, domain: str
) -> None:
    await new_address("*")
    unverified = await new_webhook(address=f"*@{uuid4().hex}.example.com")
    assert (await reply_to(ingest, f"anybody@{domain}")).startswith("250 ")
    assert (await reply_to(ingest, f"anybody@sub.{domain}")).startswith(UNKNOWN)
    anybody = unverified.address.replace("*", "anybody")
    assert (await reply_to(ingest, anybody)).startswith(LATER)


async def test_a_switched_off_webhook_is_not_passed_over_for_the_catch_all(
    ingest: Ingest, new_address: NewAddress, new_webhook: NewWebhook, domain: str
) -> None:
    everything = await new_address("*")
    await new_webhook(address=f"off@{domain}", account_id=everything.account_id, active=False)
    for local in ("off", "off+tag"):
        assert (await reply_to(ingest, f"{local}@{domain}")).startswith("550 5.2.1 ")


async def test_one_mail_to_several_webhooks_is_one_delivery_and_one_line_each(
    ingest: Ingest, new_webhook: NewWebhook, queued: Queued
) -> None:
    webhooks = [await new_webhook() for _ in range(3)]
    addresses = [webhook.address for webhook in webhooks]
    async with greeted(ingest.port) as client:
        reply = await client.mail(b"Subject: all\r\n\r\n", *addresses)
    events = [event for webhook in webhooks for event in await queued.expect(webhook)]
    ids = [event.delivery_id for event in events]
    assert [line[4:] for line in reply.split("\n")] == [f"2.0.0 queued as {one}" for one in ids]
    assert [event.envelope.recipients for event in events] == [(one,) for one in addresses]
    assert len({event.message_id for event in events}) == 1
    for event, other in zip(events, addresses[1:] + addresses[:1], strict=True):
        assert event.raw is not None
        assert other.encode() not in event.raw


async def test_several_tags_of_a_webhook_in_one_mail_are_one_delivery_with_the_first_tag(
    ingest: Ingest, webhook: Webhook, queued: Queued
) -> None:
    first, second = (webhook.address.replace("@", f"+{tag}@") for tag in ("one", "two"))
    async with greeted(ingest.port) as client:
        reply = await client.mail(b"\r\n", webhook.address, first, second)
    [event] = await queued.expect(webhook)
    assert reply == f"250 2.0.0 queued as {event.delivery_id}"
    assert event.envelope.recipients == (webhook.address, first, second)
    assert event.envelope.tag == "one"


@pytest.mark.parametrize("local", ["Alerts", "ALERTS", '"alerts"', '"Al\\erts"'])
async def test_case_and_quotes_are_the_same_address(
    ingest: Ingest, new_address: NewAddress, queued: Queued, domain: str, local: str
) -> None:
    webhook = await new_address("alerts")
    async with greeted(ingest.port) as client:
        assert (await client.mail(b"\r\n", f"{local}@{domain.upper()}")).startswith("250 ")
    await queued.expect(webhook)


@pytest.mark.parametrize("local", ["jos\u00e9", "jose\u0301", "JOS\u00c9", "JOSE\u0301+caf\u00e9"])
async def test_composed_and_decomposed_letters_are_the_same_address(
    ingest: Ingest, new_address: NewAddress, queued: Queued, domain: str, local: str
) -> None:
    webhook = await new_address("jos\u00e9")
    async with greeted(ingest.port) as client:
        assert (await send_utf8(client, f"{local}@{domain}")).startswith("250 2.0.0 ")
    [event] = await queued.expect(webhook)
    assert event.envelope.recipients == (f"{local}@{domain}",)
    assert event.envelope.tag == (local.partition("+")[2] or None)


async def test_letters_that_only_look_alike_are_another_address(
    ingest: Ingest, new_address: NewAddress, domain: str
) -> None:
    await new_address("stra\u00dfe")
    async with greeted(ingest.port) as client:
        assert (await send_utf8(client, f"strasse@{domain}")).startswith(UNKNOWN)


async def test_an_address_outside_ascii_needs_smtputf8(
    ingest: Ingest, new_address: NewAddress, domain: str
) -> None:
    webhook = await new_address("jos\u00e9")
    assert (await reply_to(ingest, webhook.address)).startswith("501 5.1.3 ")


@pytest.mark.parametrize("label", ["b\u00fccher", "B\u00dcCHER", "bu\u0308cher", "xn--bcher-kva"])
async def test_a_domain_is_the_same_in_its_letters_and_in_ascii(
    ingest: Ingest,
    store: Store,
    new_webhook: NewWebhook,
    queued: Queued,
    domain: str,
    label: str,
) -> None:
    webhook = await new_webhook(address=f"alerts@xn--bcher-kva.{domain}")
    await insert_claim(store, f"xn--bcher-kva.{domain}", webhook.account_id)
    async with greeted(ingest.port) as client:
        assert (await send_utf8(client, f"alerts@{label}.{domain}")).startswith("250 2.0.0 ")
    [event] = await queued.expect(webhook)
    assert event.envelope.recipients == (f"alerts@{label}.{domain}",)


@pytest.mark.parametrize("path", ["postmaster", "Postmaster", "alerts@[127.0.0.1]"])
async def test_an_address_without_a_domain_is_nobodys(ingest: Ingest, path: str) -> None:
    assert (await reply_to(ingest, path)).startswith(UNKNOWN)


@pytest.mark.parametrize("mode", [DeliveryMode.SYNC, DeliveryMode.SYNC_THEN_QUEUED])
async def test_a_webhook_whose_sender_waits_shares_a_mail_with_no_other(
    ingest: Ingest, new_webhook: NewWebhook, webhook: Webhook, mode: DeliveryMode
) -> None:
    waiting, other = [await new_webhook(delivery_mode=mode) for _ in range(2)]
    tagged = waiting.address.replace("@", "+tag@")
    async with greeted(ingest.port) as client:
        await client.expect("MAIL FROM:<ann@example.com>", "250")
        await client.expect(f"RCPT TO:<{waiting.address}>", "250")
        await client.expect(f"RCPT TO:<{webhook.address}>", BY_ITSELF)
        await client.expect(f"RCPT TO:<{other.address}>", BY_ITSELF)
        await client.expect(f"RCPT TO:<{tagged}>", "250")
        await client.expect("RSET", "250")
        await client.expect("MAIL FROM:<ann@example.com>", "250")
        await client.expect(f"RCPT TO:<{webhook.address}>", "250")
        await client.expect(f"RCPT TO:<{waiting.address}>", BY_ITSELF)


async def test_the_first_recipient_gets_the_mail_although_a_further_one_must_wait(
    ingest: Ingest, new_webhook: NewWebhook, webhook: Webhook, queued: Queued
) -> None:
    waiting = await new_webhook(delivery_mode=DeliveryMode.SYNC)
    async with greeted(ingest.port) as client:
        await client.expect("MAIL FROM:<ann@example.com>", "250")
        await client.expect(f"RCPT TO:<{webhook.address}>", "250")
        await client.expect(f"RCPT TO:<{waiting.address}>", BY_ITSELF)
        await client.expect("DATA", "354")
        assert (await client.command(b"\r\n.")).startswith("250 2.0.0 queued")
    [event] = await queued.expect(webhook)
    assert event.envelope.recipients == (webhook.address,)


async def test_a_webhook_whose_sender_waits_gets_a_mail_to_two_of_its_addresses_once(
    new_ingest: Callable[..., Ingest], new_webhook: NewWebhook, queued: Queued
) -> None:
    ingest = new_ingest(smtp_sync_then_queued_timeout="0.1")
    ingest.start()
    await asyncio.to_thread(ingest.wait_ready)
    webhook = await new_webhook(delivery_mode=DeliveryMode.SYNC_THEN_QUEUED)
    tagged = webhook.address.replace("@", "+tag@")
    async with greeted(ingest.port) as client:
        reply = await client.mail(b"\r\n", webhook.address, tagged)
    [event] = await queued.expect(webhook)
    assert reply == f"250 2.0.0 queued as {event.delivery_id}"
    assert event.envelope.recipients == (webhook.address, tagged)
    assert event.envelope.tag == "tag"
