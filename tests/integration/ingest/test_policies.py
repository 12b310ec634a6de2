"""Every reply that decides over a mail: who may send it, to whom, and what it must show."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from conduit.model.ids import Prefix, new_id
from conduit.model.webhook import DeliveryMode
from tests.integration.ingest.conftest import NewWebhook
from tests.integration.ingest.policies import (
    PROXY,
    QUEUED,
    Sender,
    credential,
    new_sender,
    secured,
)
from tests.support.dns import DnsServer, Trouble
from tests.support.polling import eventually
from tests.support.signing import SigningKey
from tests.support.smtp import Ingest, greeted

TAKEN = "250 2.1.5 OK"
UNKNOWN = "550 5.1.1 No such address here"
INACTIVE = "550 5.2.1 This address takes no mail at present"
UNVERIFIED = "450 4.2.1 This address takes no mail at present, try again later"
OTHER_NETWORK = "550 5.7.1 This address takes no mail from your network"
AUTH_REQUIRED = "530 5.7.0 Authentication required"
OTHER_CREDENTIALS = "550 5.7.1 Your credentials are not for this address"
NO_SPF = "550 5.7.23 SPF did not pass, which this address requires"
OTHER_SPF_DOMAIN = "550 5.7.23 SPF passed for a domain from which this address takes no mail"
NO_DKIM = "550 5.7.20 No valid DKIM signature, which this address requires"
OTHER_DKIM_DOMAIN = (
    "550 5.7.21 No valid DKIM signature of a domain from which this address takes mail"
)
NO_DNS = "451 4.4.3 DNS does not answer at present, try again later"
AWAY = "451 4.3.0 Temporary failure, try again later"
LOOP = "554 5.4.6 Mail loop: too many Received header fields"
OVER_RATE = "450 4.7.1 Too much mail for this address, try again later"

DAY = 86_400
PERMITTED = "v=spf1 ip4:127.0.0.1 -all"

Rules = dict[str, Any]
Prepare = Callable[[Sender], bytes]


@pytest.mark.parametrize(
    ("webhook", "reply"),
    [
        pytest.param({}, TAKEN, id="active"),
        pytest.param({"active": False}, INACTIVE, id="inactive"),
        pytest.param({"address": "bob@unverified.example"}, UNVERIFIED, id="domain not verified"),
        pytest.param(
            {"smtp_security_policy_id": new_id(Prefix.POLICY)}, AWAY, id="its policy is missing"
        ),
    ],
)
async def test_for_whom_there_is_mail(
    policed: Ingest, new_webhook: NewWebhook, webhook: Rules, reply: str
) -> None:
    address = (await new_webhook(**webhook)).address
    async with greeted(policed.port) as client:
        await client.expect("MAIL FROM:<ann@example.com>", "250 2.1.0 OK")
        assert await client.command(f"RCPT TO:<{address}>") == reply
        assert await client.command(f"RCPT TO:<not-{address}>") == UNKNOWN


async def test_a_policy_of_another_account_is_none(
    policed: Ingest, under_policy: NewWebhook, new_webhook: NewWebhook
) -> None:
    others = await under_policy()
    webhook = await new_webhook(smtp_security_policy_id=others.smtp_security_policy_id)
    async with greeted(policed.port) as client:
        await client.expect("MAIL FROM:<ann@example.com>", "250")
        assert await client.command(f"RCPT TO:<{webhook.address}>") == AWAY


@pytest.mark.parametrize(
    ("networks", "source", "reply"),
    [
        ([], "192.0.2.1", TAKEN),
        (["192.0.2.0/25"], "192.0.2.127", TAKEN),
        (["192.0.2.0/25"], "192.0.2.128", OTHER_NETWORK),
        (["198.51.100.7/32", "192.0.2.1/32"], "192.0.2.1", TAKEN),
        (["192.0.2.1/32"], "::ffff:192.0.2.1", TAKEN),
        (["192.0.2.1/32"], "::ffff:192.0.2.2", OTHER_NETWORK),
        (["2001:db8:1::/48"], "2001:db8:1:2::3", TAKEN),
        (["2001:db8:1::/48"], "2001:db8:2::3", OTHER_NETWORK),
        (["0.0.0.0/0"], "2001:db8::1", OTHER_NETWORK),
        (["::/0"], "192.0.2.1", OTHER_NETWORK),
        ([f"{PROXY}/32"], "192.0.2.1", OTHER_NETWORK),
    ],
)
async def test_from_which_networks_mail_is_taken(
    policed: Ingest, under_policy: NewWebhook, networks: list[str], source: str, reply: str
) -> None:
    webhook = await under_policy(source_networks=networks)
    family = "TCP6" if ":" in source else "TCP4"
    header = f"PROXY {family} {source} {source} 50000 25\r\n".encode()
    async with greeted(policed.port, source=PROXY, header=header) as client:
        await client.expect("MAIL FROM:<ann@example.com>", "250")
        assert await client.command(f"RCPT TO:<{webhook.address}>") == reply


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_the_address_of_a_connection_counts(
    new_ingest: Callable[..., Ingest], under_policy: NewWebhook, host: str
) -> None:
    own = await under_policy(source_networks=[host])
    other = await under_policy(source_networks=["127.0.0.2/31", "::2/127"])
    ingest = new_ingest(smtp_host=host)
    ingest.start()
    await asyncio.to_thread(ingest.wait_ready)
    async with greeted(ingest.port, host=host) as client:
        await client.expect("MAIL FROM:<ann@example.com>", "250")
        assert await client.command(f"RCPT TO:<{own.address}>") == TAKEN
        assert await client.command(f"RCPT TO:<{other.address}>") == OTHER_NETWORK


@pytest.mark.parametrize(
    ("username", "password", "reply"),
    [
        pytest.param(None, None, AUTH_REQUIRED, id="nobody"),
        pytest.param("{user}", "right", TAKEN, id="a user of the policy"),
        pytest.param("not-{user}", "other's", OTHER_CREDENTIALS, id="a user of another policy"),
        pytest.param("{user}", "other's", OTHER_CREDENTIALS, id="another's of the same name"),
    ],
)
async def test_whose_credentials_are_taken(
    policed: Ingest,
    under_policy: NewWebhook,
    user: str,
    username: str | None,
    password: str,
    reply: str,
) -> None:
    users = (credential(user, "right"), credential(f"{user}-2", "right"))
    others = (credential(f"not-{user}", "other's"), credential(user, "other's"))
    webhook = await under_policy(require_smtp_auth=True, credentials=users)
    await under_policy(credentials=others)
    async with secured(policed.tls_port) as client:
        if username is not None:
            got = await client.auth(username.format(user=user), password)
            assert got == "235 2.7.0 Authentication succeeded"
        await client.expect("MAIL FROM:<ann@example.com>", "250")
        assert await client.command(f"RCPT TO:<{webhook.address}>") == reply


async def test_whoever_authenticates_may_also_write_where_nobody_has_to(
    policed: Ingest, under_policy: NewWebhook, new_webhook: NewWebhook, user: str
) -> None:
    await under_policy(credentials=(credential(user, "right"),))
    open_ones = [await new_webhook(), await under_policy(require_spf=False)]
    async with secured(policed.tls_port) as client:
        assert (await client.auth(user, "right")).startswith("235 ")
        await client.expect("MAIL FROM:<ann@example.com>", "250")
        for webhook in open_ones:
            assert await client.command(f"RCPT TO:<{webhook.address}>") == TAKEN


def says(record: str | None) -> Prepare:
    """The domain has this SPF record."""

    def mail(sender: Sender) -> bytes:
        if record is not None:
            sender.spf(record)
        return sender.mail()

    return mail


def spf_servfail(sender: Sender) -> bytes:
    sender.dns.fail(sender.domain, Trouble.SERVFAIL)
    return sender.mail()


SPF: Rules = {"require_spf": True}


@pytest.mark.parametrize(
    ("rules", "mail", "reply"),
    [
        pytest.param(SPF, says(PERMITTED), QUEUED, id="pass"),
        pytest.param(SPF, says("v=spf1 -all"), NO_SPF, id="fail"),
        pytest.param(SPF, says("v=spf1 ~all"), NO_SPF, id="softfail"),
        pytest.param(SPF, says("v=spf1 ?all"), NO_SPF, id="neutral"),
        pytest.param(SPF, says(None), NO_SPF, id="none"),
        pytest.param(SPF, says("v=spf1 nonsense -all"), NO_SPF, id="permerror"),
        pytest.param(SPF, spf_servfail, NO_DNS, id="temperror"),
        pytest.param({}, says("v=spf1 -all"), QUEUED, id="not required"),
        pytest.param({}, spf_servfail, QUEUED, id="not required, DNS away"),
        pytest.param(
            {**SPF, "spf_domains": ["{domain}"]}, says(PERMITTED), QUEUED, id="domain listed"
        ),
        pytest.param(
            {**SPF, "spf_domains": ["example", "not-{domain}", "mail.{domain}"]},
            says(PERMITTED),
            OTHER_SPF_DOMAIN,
            id="domain not listed",
        ),
        pytest.param(
            {**SPF, "spf_domains": ["other.example"]},
            says("v=spf1 -all"),
            NO_SPF,
            id="domain not listed, fail",
        ),
    ],
)
async def test_what_spf_must_say(
    policed: Ingest,
    under_policy: NewWebhook,
    sender: Sender,
    rules: Rules,
    mail: Prepare,
    reply: str,
) -> None:
    assert (await reply_to(policed, under_policy, sender, rules, mail)).startswith(reply)


async def reply_to(
    policed: Ingest, under_policy: NewWebhook, sender: Sender, rules: Rules, mail: Prepare
) -> str:
    """Return the reply to a mail of this sender to a webhook with a policy with these rules."""
    webhook = await under_policy(**_of_domain(rules, sender.domain))
    async with greeted(policed.port) as client:
        return await client.mail(mail(sender), webhook.address, sender=sender.address, within=20)


def _of_domain(rules: Rules, domain: str) -> Rules:
    """Write the sender's domain into the lists."""
    return {
        name: [each.format(domain=domain) for each in value] if name.endswith("domains") else value
        for name, value in rules.items()
    }


@pytest.mark.parametrize(
    ("record", "reply"), [(PERMITTED, QUEUED), ("v=spf1 -all", NO_SPF), (None, NO_SPF)]
)
async def test_a_mail_without_a_sender_is_its_hosts(
    policed: Ingest, under_policy: NewWebhook, sender: Sender, record: str | None, reply: str
) -> None:
    webhook = await under_policy(require_spf=True, spf_domains=[f"mx.{sender.domain}"])
    sender.spf("v=spf1 -all")
    if record is not None:
        sender.dns.set_txt(f"mx.{sender.domain}", record)
    async with greeted(policed.port, f"EHLO MX.{sender.domain}") as client:
        got = await client.mail(sender.mail(), webhook.address, sender="")
    assert got.startswith(reply)


def unsigned(sender: Sender) -> bytes:
    return sender.mail()


def rsa(sender: Sender) -> bytes:
    return sender.key().sign(sender.mail())


def small_rsa(sender: Sender) -> bytes:
    return sender.key(1024).sign(sender.mail())


def tiny_rsa(sender: Sender) -> bytes:
    return sender.key(512).sign(sender.mail())


def ed25519(sender: Sender) -> bytes:
    return sender.ed25519().sign(sender.mail())


def other_header(sender: Sender) -> bytes:
    return rsa(sender).replace(b"Subject: Greetings", b"Subject: Winnings")


def other_body(sender: Sender) -> bytes:
    return rsa(sender).replace(b"Hello.", b"Hallo.")


def another_subject(sender: Sender) -> bytes:
    return b"Subject: Urgent\r\n" + rsa(sender)


def expired(sender: Sender) -> bytes:
    now = int(time.time())
    return sender.key().sign(sender.mail(), tags={"t": str(now - 2 * DAY), "x": str(now - DAY)})


def expires(sender: Sender) -> bytes:
    return sender.key().sign(sender.mail(), tags={"x": str(int(time.time()) + DAY)})


def with_length(sender: Sender) -> bytes:
    return sender.key().sign(sender.mail(), length=True)


def appended_to(sender: Sender) -> bytes:
    return with_length(sender) + b"And click here.\r\n"


def third_party(sender: Sender) -> bytes:
    return sender.key(domain=f"mailer-{sender.domain}").sign(sender.mail())


def also_third_party(sender: Sender) -> bytes:
    return sender.key(domain=f"mailer-{sender.domain}").sign(rsa(sender))


def one_of_two(sender: Sender) -> bytes:
    return sender.key(selector="list").sign(other_header(sender))


def behind_five_others(sender: Sender) -> bytes:
    return b"DKIM-Signature: v=1; d=junk.example\r\n" * 5 + rsa(sender)


def behind_four_others(sender: Sender) -> bytes:
    return b"DKIM-Signature: v=1; d=junk.example\r\n" * 4 + rsa(sender)


def of_a_subdomain(sender: Sender) -> bytes:
    return sender.key().sign(sender.mail(), tags={"i": f"@sub.{sender.domain}"})


def of_a_subdomain_against_its_key(sender: Sender) -> bytes:
    return with_key(t="s")(sender, of_a_subdomain)


def with_key(**tags: str) -> Callable[..., bytes]:
    """Publish the key with these tags."""

    def mail(sender: Sender, signed: Prepare = rsa) -> bytes:
        content = signed(sender)
        sender.dns.set_txt(f"s1._domainkey.{sender.domain}", SigningKey.rsa().text(**tags))
        return content

    return mail


def key_removed(sender: Sender) -> bytes:
    content = rsa(sender)
    sender.dns.remove(f"s1._domainkey.{sender.domain}")
    return content


def key_servfail(sender: Sender) -> bytes:
    content = rsa(sender)
    sender.dns.fail(f"s1._domainkey.{sender.domain}", Trouble.SERVFAIL)
    return content


DKIM: Rules = {"require_dkim": True}
OWN: Rules = {**DKIM, "dkim_domains": ["{domain}"]}
MAILER: Rules = {**DKIM, "dkim_domains": ["example", "mailer-{domain}"]}


@pytest.mark.parametrize(
    ("rules", "mail", "reply"),
    [
        (DKIM, unsigned, NO_DKIM),
        (DKIM, rsa, QUEUED),
        (DKIM, small_rsa, QUEUED),
        (DKIM, tiny_rsa, NO_DKIM),
        (DKIM, ed25519, QUEUED),
        (DKIM, other_header, NO_DKIM),
        (DKIM, other_body, NO_DKIM),
        (DKIM, another_subject, NO_DKIM),
        (DKIM, expired, NO_DKIM),
        (DKIM, expires, QUEUED),
        (DKIM, with_length, QUEUED),
        (DKIM, appended_to, NO_DKIM),
        (DKIM, third_party, QUEUED),
        (OWN, third_party, OTHER_DKIM_DOMAIN),
        (MAILER, third_party, QUEUED),
        (OWN, also_third_party, QUEUED),
        (MAILER, rsa, OTHER_DKIM_DOMAIN),
        (MAILER, other_body, NO_DKIM),
        (DKIM, one_of_two, QUEUED),
        (DKIM, behind_four_others, QUEUED),
        (DKIM, behind_five_others, NO_DKIM),
        (DKIM, of_a_subdomain, QUEUED),
        (DKIM, of_a_subdomain_against_its_key, NO_DKIM),
        pytest.param(DKIM, with_key(t="y"), NO_DKIM, id="the key is for testing"),
        pytest.param(DKIM, with_key(p=""), NO_DKIM, id="the key is revoked"),
        (DKIM, key_removed, NO_DKIM),
        (DKIM, key_servfail, NO_DNS),
        ({}, other_body, QUEUED),
        ({}, key_servfail, QUEUED),
    ],
)
async def test_what_signatures_must_show(
    policed: Ingest,
    under_policy: NewWebhook,
    sender: Sender,
    rules: Rules,
    mail: Prepare,
    reply: str,
) -> None:
    assert (await reply_to(policed, under_policy, sender, rules, mail)).startswith(reply)


def permitted(mail: Prepare) -> Prepare:
    """SPF passes, and the mail is this one."""

    def both(sender: Sender) -> bytes:
        sender.spf()
        return mail(sender)

    return both


def forbidden(mail: Prepare) -> Prepare:
    """SPF fails, and the mail is this one."""

    def both(sender: Sender) -> bytes:
        sender.spf("v=spf1 -all")
        return mail(sender)

    return both


def unanswered(mail: Prepare) -> Prepare:
    """DNS fails for SPF, and the mail is this one."""

    def both(sender: Sender) -> bytes:
        content = mail(sender)
        sender.dns.fail(sender.domain, Trouble.SERVFAIL)
        return content

    return both


@pytest.mark.parametrize(
    ("mail", "reply"),
    [
        pytest.param(permitted(rsa), QUEUED, id="both"),
        pytest.param(permitted(unsigned), NO_DKIM, id="SPF only"),
        pytest.param(forbidden(rsa), NO_SPF, id="DKIM only"),
        pytest.param(forbidden(unsigned), NO_SPF, id="neither"),
        pytest.param(permitted(key_servfail), NO_DNS, id="DKIM open"),
        pytest.param(unanswered(rsa), NO_DNS, id="SPF open"),
        pytest.param(unanswered(other_body), NO_DKIM, id="SPF open, no DKIM"),
        pytest.param(forbidden(key_servfail), NO_SPF, id="DKIM open, no SPF"),
    ],
)
async def test_spf_and_signatures_together(
    policed: Ingest, under_policy: NewWebhook, sender: Sender, mail: Prepare, reply: str
) -> None:
    rules = {**SPF, **OWN, "spf_domains": ["{domain}"]}
    assert (await reply_to(policed, under_policy, sender, rules, mail)).startswith(reply)


async def test_all_demands_at_once(
    policed: Ingest, under_policy: NewWebhook, sender: Sender, user: str
) -> None:
    webhook = await under_policy(
        source_networks=["192.0.2.0/24", "127.0.0.0/8"],
        require_smtp_auth=True,
        credentials=[credential(user, "right")],
        require_spf=True,
        require_dkim=True,
        dkim_domains=[sender.domain],
    )
    sender.spf()
    rcpt = f"RCPT TO:<{webhook.address}>"
    header = b"PROXY TCP4 198.51.100.1 198.51.100.1 50000 25\r\n"
    async with greeted(policed.port, source=PROXY, header=header) as client:
        await client.expect(f"MAIL FROM:<{sender.address}>", "250")
        assert await client.command(rcpt) == OTHER_NETWORK
    async with secured(policed.tls_port) as client:
        await client.expect(f"MAIL FROM:<{sender.address}>", "250")
        assert await client.command(rcpt) == AUTH_REQUIRED
        await client.expect("RSET", "250")
        assert (await client.auth(user, "right")).startswith("235 ")
        address, own = webhook.address, sender.address
        assert await client.mail(unsigned(sender), address, sender=own) == NO_DKIM
        assert await client.mail(third_party(sender), address, sender=own) == OTHER_DKIM_DOMAIN
        assert await client.mail(rsa(sender), address, sender=f"a@x.{sender.domain}") == NO_SPF
        assert (await client.mail(rsa(sender), address, sender=own)).startswith(QUEUED)


async def test_a_mail_that_is_too_large_or_in_a_loop(
    policed: Ingest, new_webhook: NewWebhook, sender: Sender
) -> None:
    address = (await new_webhook()).address
    async with greeted(policed.port) as client:
        too_large = f"MAIL FROM:<{sender.address}> SIZE={25 * 1024 * 1024 + 1}"
        assert await client.command(too_large) == "552 5.3.4 Message too large"
        hop = b"Received: from a.example by b.example; Fri, 21 Nov 2025 14:00:00 +0000\r\n"
        assert (await client.mail(hop * 99 + sender.mail(), address)).startswith(QUEUED)
        assert await client.mail(hop * 100 + sender.mail(), address) == LOOP


async def test_over_the_rate_of_an_endpoint_that_is_waited_for(
    policed: Ingest, new_webhook: NewWebhook, sender: Sender
) -> None:
    """Nobody delivers here, so that one sender waits, and takes the only place."""
    address = (await new_webhook(delivery_mode=DeliveryMode.SYNC)).address
    async with greeted(policed.port) as first, greeted(policed.port) as second:
        for client in (first, second):
            await client.begin(address, sender=sender.address)
            await client.send(sender.mail() + b".\r\n")
        replies = {asyncio.ensure_future(client.reply(within=30)) for client in (first, second)}
        told, waiting = await asyncio.wait(replies, return_when=asyncio.FIRST_COMPLETED)
        assert [reply.result() for reply in told] == [OVER_RATE]
        assert len(waiting) == 1
        for reply in waiting:
            reply.cancel()
        await asyncio.wait(waiting)


async def test_a_silent_dns_server_keeps_nobody_else_waiting(
    policed: Ingest, under_policy: NewWebhook, new_webhook: NewWebhook, dns: DnsServer
) -> None:
    spf, dkim = new_sender(dns), new_sender(dns)
    contents = {spf: spf.mail(), dkim: rsa(dkim)}
    silent = [spf.domain, f"s1._domainkey.{dkim.domain}"]
    for name in silent:
        dns.fail(name, Trouble.SILENCE)
    webhooks = {spf: await under_policy(**SPF), dkim: await under_policy(**DKIM)}
    bystander = await new_webhook()

    async def sent(sender: Sender) -> str:
        async with greeted(policed.port) as client:
            address = webhooks[sender].address
            return await client.mail(contents[sender], address, sender=sender.address, within=30)

    deferred = [asyncio.ensure_future(sent(sender)) for sender in (spf, dkim)]
    await eventually(lambda: all(map(dns.asked, silent)), what="the questions")
    taken = 0
    async with greeted(policed.port) as other:
        while not all(reply.done() for reply in deferred):
            assert (await other.mail(b"\r\n", bystander.address, sender="")).startswith(QUEUED)
            taken += 1
            await asyncio.wait(deferred, timeout=0.1)
    assert [await reply for reply in deferred] == [NO_DNS, NO_DNS]
    assert taken > 5
