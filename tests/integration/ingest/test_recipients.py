"""Which addresses take mail: whose domain it is, and what the webhook's policy asks for."""

from uuid import uuid4

import pytest

from conduit.model.ids import Prefix, new_id
from conduit.store.connection import Store
from conduit.store.domains import Domains
from tests.integration.ingest.conftest import NewWebhook, Queued, insert_claim
from tests.support.polling import eventually
from tests.support.smtp import Ingest, greeted

UNKNOWN = "550 5.1.1 "
LATER = "450 4.2.1 "
INTERNAL = "451 4.3.0 "


@pytest.fixture
def domain() -> str:
    """A name that nobody has claimed."""
    return f"{uuid4().hex}.example.com"


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
