"""What was found out about a mail: in the event, and in the fields on top of the mail as kept."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from email import message_from_bytes
from email.message import Message
from email.utils import parsedate_to_datetime
from uuid import uuid4

import dkim
import pytest

from conduit.events import MailAccepted
from conduit.model.authentication import (
    ArcStatus,
    AuthResults,
    DkimStatus,
    DmarcStatus,
    SpfScope,
    SpfStatus,
)
from conduit.model.webhook import Webhook
from tests.integration.ingest.conftest import NewWebhook, Queued
from tests.integration.ingest.policies import QUEUED, Sender, credential, secured
from tests.support.dns import DnsServer, Trouble
from tests.support.polling import eventually
from tests.support.smtp import Ingest, greeted

HOSTNAME = "mx.conduit.example"
NO_DNS = "451 4.4.3 DNS does not answer at present, try again later"
Prepare = Callable[[Sender], bytes]


def kept(event: MailAccepted) -> Message:
    """Return the mail as it is kept."""
    assert event.raw is not None
    return message_from_bytes(event.raw)


def unfolded(mail: Message, name: str) -> str:
    """Return the only field of this name on one line."""
    [value] = mail.get_all(name, [])
    return re.sub(r"\r\n[ \t]", " ", value)


async def delivered(
    policed: Ingest, webhook: Webhook, queued: Queued, sender: Sender, content: bytes
) -> MailAccepted:
    """Send a mail and return its event."""
    async with greeted(policed.port) as client:
        reply = await client.mail(content, webhook.address, sender=sender.address, within=20)
    assert reply.startswith(QUEUED)
    [event] = await queued.expect(webhook)
    return event


async def results(
    policed: Ingest, webhook: Webhook, queued: Queued, sender: Sender, content: bytes
) -> AuthResults:
    """Send a mail and return what was found out about it."""
    event = await delivered(policed, webhook, queued, sender, content)
    assert event.authentication is not None
    return event.authentication


@dataclass(frozen=True)
class Way:
    """How a mail comes."""

    hello: str = "EHLO"
    tls: bool = False
    auth: bool = False
    parameters: str = ""


@pytest.mark.parametrize(
    ("way", "transport"),
    [
        (Way("HELO"), "SMTP"),
        (Way(), "ESMTP"),
        (Way(tls=True), "ESMTPS (TLSv1.3)"),
        (Way(tls=True, auth=True), "ESMTPSA (TLSv1.3)"),
        (Way(parameters=" SMTPUTF8"), "UTF8SMTP"),
        (Way(tls=True, auth=True, parameters=" SMTPUTF8"), "UTF8SMTPSA (TLSv1.3)"),
    ],
)
async def test_the_received_field_tells_how_a_mail_came(
    policed: Ingest, under_policy: NewWebhook, user: str, queued: Queued, way: Way, transport: str
) -> None:
    webhook = await under_policy(credentials=[credential(user, "right")])
    port = policed.tls_port if way.tls else policed.port
    async with greeted(port, f"{way.hello} client.example", tls=way.tls) as client:
        if way.auth:
            assert (await client.auth(user, "right")).startswith("235 ")
        await client.expect(f"MAIL FROM:<ann@example.com>{way.parameters}", "250")
        await client.expect(f"RCPT TO:<{webhook.address}>", "250")
        await client.expect("DATA", "354")
        await client.send(b"Subject: x\r\n\r\n.\r\n")
        assert (await client.reply()).startswith(QUEUED)
    [event] = await queued.expect(webhook)
    field, _, date = unfolded(kept(event), "Received").rpartition("; ")
    assert field == (
        f"from client.example ([127.0.0.1]) by {HOSTNAME} with {transport} "
        f"id {event.message_id} for <{webhook.address}>"
    )
    assert abs((parsedate_to_datetime(date) - event.received_at).total_seconds()) < 1


async def test_recipients_do_not_hear_of_one_another(
    policed: Ingest, new_webhook: NewWebhook, queued: Queued
) -> None:
    webhooks = [await new_webhook() for _ in range(2)]
    async with greeted(policed.port) as client:
        await client.mail(b"\r\n", *(webhook.address for webhook in webhooks))
    for webhook in webhooks:
        [event] = await queued.expect(webhook)
        assert " for " not in unfolded(kept(event), "Received")


async def test_what_passed_is_on_top_of_the_mail(
    policed: Ingest, under_policy: NewWebhook, sender: Sender, user: str, queued: Queued
) -> None:
    webhook = await under_policy(credentials=[credential(user, "right")], require_spf=True)
    sender.spf()
    sender.dmarc()
    key = sender.key()
    content = key.sign(sender.mail())
    async with secured(policed.tls_port) as client:
        await client.auth(user, "right")
        await client.mail(content, webhook.address, sender=sender.address)
    [event] = await queued.expect(webhook)
    mail, domain = kept(event), sender.domain
    assert mail.keys()[:3] == ["Authentication-Results", "Received", "DKIM-Signature"]
    assert unfolded(mail, "Authentication-Results") == (
        f"{HOSTNAME}; spf=pass smtp.mailfrom={domain}; "
        f"dkim=pass header.d={domain} header.s=s1 header.a=rsa-sha256; "
        f"dmarc=pass (p=reject) header.from={domain}; arc=none; auth=pass smtp.auth={user}"
    )
    assert event.raw is not None
    assert event.raw.endswith(content)
    assert dkim.verify(event.raw, dnsfunc=lambda *_, **__: key.text().encode())


async def test_what_did_not_pass_is_there_with_its_reason(
    policed: Ingest, webhook: Webhook, sender: Sender, queued: Queued
) -> None:
    sender.spf("v=spf1 -all")
    sender.dmarc()
    content = sender.ed25519().sign(sender.mail()).replace(b"Hello", b"Hallo")
    field = unfolded(
        kept(await delivered(policed, webhook, queued, sender, content)), "Authentication-Results"
    )
    assert f'spf=fail reason="the SPF record of {sender.domain} does not permit 127.0.0.1"' in field
    assert re.search(r'; dkim=fail reason="[^"]+" header\.d=', field)
    assert "header.a=ed25519-sha256; dmarc=fail (p=reject) reason=" in field


async def test_results_that_claim_to_be_ours_are_gone_and_others_stay(
    policed: Ingest, webhook: Webhook, sender: Sender, queued: Queued
) -> None:
    forged = (
        f"Authentication-Results: {HOSTNAME}; dkim=pass header.d=bank.example\r\n"
        f"authentication-results : ({HOSTNAME})\r\n\t{HOSTNAME.upper()}. 1;\r\n\tspf=pass\r\n"
        'Authentication-Results: "mx.conduit\\.example"; dmarc=pass\r\n'
    )
    foreign = "Authentication-Results: mx.other.example; spf=pass\r\n"
    content = (forged + foreign + forged).encode() + sender.mail()
    event = await delivered(policed, webhook, queued, sender, content)
    ours, *others = kept(event).get_all("Authentication-Results", [])
    assert ours.startswith(f"{HOSTNAME};")
    assert others == ["mx.other.example; spf=pass"]
    assert event.raw is not None
    assert event.raw.endswith(b"\r\n" + foreign.encode() + sender.mail())
    assert b"bank.example" not in event.raw


async def test_spf_signatures_dmarc_and_arc_are_in_the_event(
    policed: Ingest, webhook: Webhook, sender: Sender, queued: Queued
) -> None:
    sender.spf()
    sender.dmarc("v=DMARC1; p=quarantine")
    content = sender.key().sign(sender.mail())
    content = sender.key(selector="broken").sign(content).replace(b"s=broken", b"s=gone")
    found = await results(policed, webhook, queued, sender, content)
    assert found.spf.status is SpfStatus.PASS
    assert (found.spf.scope, found.spf.domain) == (SpfScope.MAIL_FROM, sender.domain)
    assert [(each.status, each.selector) for each in found.dkim] == [
        (DkimStatus.PERMERROR, "gone"),
        (DkimStatus.PASS, "s1"),
    ]
    assert (found.dmarc.status, found.dmarc.policy) == (DmarcStatus.PASS, "quarantine")
    assert found.arc.status is ArcStatus.NONE


def author(name: str) -> Callable[[Sender], bytes]:
    """A mail that SPF and a signature vouch for, of an author in another domain."""

    def mail(sender: Sender) -> bytes:
        sender.spf()
        other = name.format(domain=sender.domain)
        content = sender.mail().replace(f"<{sender.address}>".encode(), f"<ann@{other}>".encode())
        return sender.key().sign(content)

    return mail


def spf_only(sender: Sender) -> bytes:
    sender.spf()
    return sender.mail()


def signature_only(sender: Sender) -> bytes:
    return sender.key().sign(sender.mail())


def third_party_signature(sender: Sender) -> bytes:
    return sender.key(domain=f"not-{sender.domain}").sign(sender.mail())


def neither(sender: Sender) -> bytes:
    return sender.mail()


def open_spf(sender: Sender) -> bytes:
    sender.dns.fail(sender.domain, Trouble.SERVFAIL)
    return sender.mail()


def two_authors(sender: Sender) -> bytes:
    return b"From: eve@evil.example\r\n" + author("{domain}")(sender)


RELAXED, STRICT = "v=DMARC1; p=reject", "v=DMARC1; p=reject; sp=none; adkim=s; aspf=s"


@pytest.mark.parametrize(
    ("record", "mail", "expected"),
    [
        (RELAXED, author("{domain}"), (DmarcStatus.PASS, "reject")),
        (RELAXED, spf_only, (DmarcStatus.PASS, "reject")),
        (RELAXED, signature_only, (DmarcStatus.PASS, "reject")),
        (RELAXED, neither, (DmarcStatus.FAIL, "reject")),
        (RELAXED, third_party_signature, (DmarcStatus.FAIL, "reject")),
        (RELAXED, author("sub.{domain}"), (DmarcStatus.PASS, "reject")),
        (STRICT, author("sub.{domain}"), (DmarcStatus.FAIL, "none")),
        (STRICT, author("{domain}"), (DmarcStatus.PASS, "reject")),
        (RELAXED, author("not-{domain}"), (DmarcStatus.NONE, None)),
        (None, author("{domain}"), (DmarcStatus.NONE, None)),
        (RELAXED, two_authors, (DmarcStatus.NONE, None)),
        (RELAXED, open_spf, (DmarcStatus.TEMPERROR, "reject")),
        ("v=DMARC1; p=perhaps", spf_only, (DmarcStatus.PERMERROR, None)),
    ],
)
async def test_dmarc(
    policed: Ingest,
    webhook: Webhook,
    sender: Sender,
    queued: Queued,
    record: str | None,
    mail: Prepare,
    expected: tuple[DmarcStatus, str | None],
) -> None:
    if record is not None:
        sender.dmarc(record)
    found = (await results(policed, webhook, queued, sender, mail(sender))).dmarc
    assert (found.status, found.policy) == expected


async def test_dmarc_of_a_domain_whose_dns_fails_is_open(
    policed: Ingest, webhook: Webhook, sender: Sender, queued: Queued
) -> None:
    sender.dns.fail(f"_dmarc.{sender.domain}", Trouble.SERVFAIL)
    found = await results(policed, webhook, queued, sender, spf_only(sender))
    assert found.dmarc.status is DmarcStatus.TEMPERROR


def forwarded(sender: Sender, hops: int = 2) -> bytes:
    content = sender.key().sign(sender.mail())
    for number in range(hops):
        content = sender.key(domain=f"list{number}-{sender.domain}").seal(content)
    return content


def forwarded_and_changed(sender: Sender) -> bytes:
    return forwarded(sender).replace(b"Hello", b"Hallo")


def forwarded_without_a_key(sender: Sender) -> bytes:
    content = forwarded(sender)
    sender.dns.remove(f"s1._domainkey.list1-{sender.domain}")
    return content


def forwarded_with_an_open_key(sender: Sender) -> bytes:
    content = forwarded(sender)
    sender.dns.fail(f"s1._domainkey.list1-{sender.domain}", Trouble.SERVFAIL)
    return content


@pytest.mark.parametrize(
    ("mail", "status"),
    [
        (forwarded, ArcStatus.PASS),
        (forwarded_and_changed, ArcStatus.FAIL),
        (forwarded_without_a_key, ArcStatus.FAIL),
        (forwarded_with_an_open_key, ArcStatus.TEMPERROR),
    ],
)
async def test_arc(
    policed: Ingest,
    webhook: Webhook,
    sender: Sender,
    queued: Queued,
    mail: Prepare,
    status: ArcStatus,
) -> None:
    event = await delivered(policed, webhook, queued, sender, mail(sender))
    assert event.authentication is not None
    found = event.authentication.arc
    assert (found.status, found.instances) == (status, 2)
    assert found.domain == f"list1-{sender.domain}"
    assert f"; arc={status} (i=2 d=" in unfolded(kept(event), "Authentication-Results")


async def test_a_mail_too_large_for_the_bus_is_looked_into_too(
    policed: Ingest, under_policy: NewWebhook, sender: Sender, queued: Queued
) -> None:
    webhook = await under_policy(require_dkim=True)
    content = sender.key().sign(sender.mail("x" * 998 + "\r\n" + "Hello.\r\n" * 100_000))
    found = await results(policed, webhook, queued, sender, content)
    assert [each.status for each in found.dkim] == [DkimStatus.PASS]


async def test_where_only_policies_ask_nothing_is_looked_into_without_one(
    new_ingest: Callable[..., Ingest],
    new_webhook: NewWebhook,
    under_policy: NewWebhook,
    sender: Sender,
    dns: DnsServer,
    queued: Queued,
) -> None:
    asks = [await under_policy(require_spf=True), await under_policy(require_dkim=True)]
    asks_nothing = [await new_webhook(), await under_policy(source_networks=["127.0.0.1"])]
    forged = b"Authentication-Results: localhost; dkim=pass header.d=bank.example\r\n"
    sender.spf()
    content = sender.key().sign(sender.mail())
    with new_ingest(smtp_authentication="policy", dns_servers=dns.address) as ingest:
        for webhook in asks_nothing:
            event = await delivered(ingest, webhook, queued, sender, forged + content)
            assert event.authentication is None
            assert "Authentication-Results" not in kept(event)
        assert dns.questions == []
        for webhook in asks:
            found = await results(ingest, webhook, queued, sender, content)
            assert found.spf.status is SpfStatus.PASS
            assert [each.status for each in found.dkim] == [DkimStatus.PASS]
        assert dns.asked(f"_dmarc.{sender.domain}") == 1


async def test_what_dns_said_is_not_asked_for_again(
    policed: Ingest, under_policy: NewWebhook, sender: Sender, dns: DnsServer
) -> None:
    webhook = await under_policy(require_spf=True, require_dkim=True)
    sender.spf(f"v=spf1 include:_spf.{sender.domain} -all")
    dns.set_txt(f"_spf.{sender.domain}", f"v=spf1 a:out.{sender.domain} -all")
    dns.set(f"out.{sender.domain}", "A", "127.0.0.1")
    content = sender.key().sign(sender.mail())
    asked = 0
    for number in range(3):
        async with greeted(policed.port, f"EHLO client{number}.example") as client:
            own = f"ann{number}@{sender.domain}"
            reply = await client.mail(content, webhook.address, sender=own)
        assert reply.startswith(QUEUED)
        asked = asked or len(dns.questions)
        assert len(dns.questions) == asked
    names = [name for name, _, _ in dns.questions]
    expected = ("", "_spf.", "out.", "s1._domainkey.", "_dmarc.")
    assert sorted(names) == sorted(f"{name}{sender.domain}." for name in expected)


async def test_what_dns_said_is_asked_for_again_in_its_time(
    policed: Ingest, under_policy: NewWebhook, sender: Sender, dns: DnsServer
) -> None:
    webhook = await under_policy(require_spf=True)
    dns.set(sender.domain, "TXT", '"v=spf1 -all"', ttl=1)

    async def reply() -> str:
        async with greeted(policed.port) as client:
            own = f"{uuid4().hex}@{sender.domain}"
            return await client.mail(sender.mail(), webhook.address, sender=own)

    assert (await reply()).startswith("550 5.7.23 ")
    sender.spf()

    async def is_taken() -> bool:
        return (await reply()).startswith(QUEUED)

    await eventually(is_taken, what="a 250 with the new record")
    assert dns.asked(sender.domain) == 2


async def test_the_time_for_all_of_it_is_bounded(
    new_ingest: Callable[..., Ingest],
    webhook: Webhook,
    under_policy: NewWebhook,
    sender: Sender,
    dns: DnsServer,
    queued: Queued,
) -> None:
    """One question alone would be given up after five seconds."""
    content = forwarded(sender)
    strict = await under_policy(require_dkim=True)
    for name in ("", "_dmarc.", "s1._domainkey.", "s1._domainkey.list1-"):
        dns.fail(f"{name}{sender.domain}", Trouble.SILENCE)
    limited = new_ingest(
        smtp_authentication="always",
        smtp_authentication_timeout="1",
        dns_servers=dns.address,
    )
    with limited as ingest:
        found = await results(ingest, webhook, queued, sender, content)
        async with greeted(ingest.port) as client:
            reply = await client.mail(content, strict.address, sender=sender.address)
    assert reply == NO_DNS
    assert found.spf.status is SpfStatus.TEMPERROR
    assert [each.status for each in found.dkim] == [DkimStatus.TEMPERROR]
    assert found.dmarc.status is DmarcStatus.TEMPERROR
    assert found.arc.status is ArcStatus.TEMPERROR
    assert found.dmarc.problem == "not found out within 1 s"
