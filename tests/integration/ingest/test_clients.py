"""Mails of other people's SMTP clients and servers."""

import asyncio
import re
import shutil
import smtplib
from collections.abc import AsyncIterator, Callable, Iterator
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from pathlib import Path
from uuid import uuid4

import pytest

from conduit.mail.address import parse_address
from conduit.model.webhook import Webhook
from conduit.store.connection import Store
from conduit.store.domains import Domains
from conduit_local.ports import Ports
from tests.integration.ingest.conftest import NewWebhook, Queued, insert_claim
from tests.integration.ingest.policies import Sender, credential
from tests.support import postfix
from tests.support.dns import DnsServer
from tests.support.polling import eventually
from tests.support.postfix import Postfix
from tests.support.smtp import Ingest, any_certificate

PASSWORD = "p a:s\\s"


def message(address: str) -> EmailMessage:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "ann@example.com", address, "Grüße"
    mail.set_content(".\n..\nÄpfel\n" + "x" * 70 + "\n")
    mail.add_attachment(bytes(range(256)) * 50, "application", "octet-stream", filename="ä.bin")
    mail.set_boundary("boundary")  # else it is another one each time that the mail is written
    return mail


@pytest.fixture
def username() -> str:
    """A user name that nobody else has."""
    return f"{uuid4().hex}@office"


@pytest.fixture
async def guarded(under_policy: NewWebhook, username: str) -> Webhook:
    """A webhook whose mail needs a user name and a password."""
    users = (credential(username, PASSWORD),)
    return await under_policy(require_smtp_auth=True, credentials=users)


Connect = Callable[[Ingest], smtplib.SMTP]


def in_the_clear(ingest: Ingest) -> smtplib.SMTP:
    return smtplib.SMTP("127.0.0.1", ingest.port, "client.example", timeout=10)


def with_starttls(ingest: Ingest) -> smtplib.SMTP:
    client = in_the_clear(ingest)
    client.starttls(context=any_certificate())
    return client


def in_tls(ingest: Ingest) -> smtplib.SMTP:
    return smtplib.SMTP_SSL(
        "127.0.0.1", ingest.tls_port, "client.example", timeout=10, context=any_certificate()
    )


@pytest.mark.parametrize("connect", [in_the_clear, with_starttls, in_tls])
async def test_smtplib_delivers(
    ingest: Ingest, webhook: Webhook, queued: Queued, connect: Connect
) -> None:
    mail = message(webhook.address)

    def send() -> None:
        with connect(ingest) as client:
            assert client.send_message(mail) == {}

    await asyncio.to_thread(send)
    event = await queued.expect_content(webhook, mail.as_bytes(policy=SMTP))
    assert (event.envelope.tls is None) == (connect is in_the_clear)


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
@pytest.mark.parametrize("connect", [with_starttls, in_tls])
async def test_smtplib_delivers_with_a_password(
    ingest: Ingest,
    guarded: Webhook,
    username: str,
    queued: Queued,
    connect: Connect,
    mechanism: str,
) -> None:
    mail = message(guarded.address)

    def send() -> None:
        with connect(ingest) as client:
            client.user, client.password = username, PASSWORD
            with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
                client.send_message(mail)
            assert refused.value.recipients[guarded.address][0] == 530
            client.auth(mechanism, getattr(client, f"auth_{mechanism.lower()}"))
            assert client.send_message(mail) == {}

    await asyncio.to_thread(send)
    event = await queued.expect_content(guarded, mail.as_bytes(policy=SMTP))
    assert event.envelope.authenticated_as == username


async def swaks(to: str, *options: str) -> str:
    """Send a mail, which must be taken; return the dialogue."""
    program = shutil.which("swaks")
    assert program is not None, "swaks is not installed: .ci/run installs it on Debian"
    process = await asyncio.create_subprocess_exec(
        program,
        *("--from", "ann@example.com", "--to", to, "--body", "from swaks", *options),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(process.communicate(), 20)
    dialogue = output.decode(errors="replace")
    assert process.returncode == 0, dialogue
    return dialogue


@pytest.mark.parametrize(
    "options",
    [[], ["--tls"], ["--pipeline"], ["--tls", "--pipeline"], ["--tls-on-connect"]],
    ids=" ".join,
)
async def test_swaks_delivers(
    ingest: Ingest, webhook: Webhook, queued: Queued, options: list[str]
) -> None:
    port = ingest.tls_port if "--tls-on-connect" in options else ingest.port
    dialogue = await swaks(webhook.address, "--server", f"127.0.0.1:{port}", *options)
    [event] = await queued.expect(webhook)
    assert f"250 2.0.0 queued as {event.delivery_id}" in dialogue
    assert event.raw is not None
    assert b"from swaks\r\n" in event.raw
    assert (event.envelope.tls is not None) == bool({"--tls", "--tls-on-connect"} & set(options))


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
@pytest.mark.parametrize("tls", ["--tls", "--tls-on-connect"])
async def test_swaks_delivers_with_a_password(
    ingest: Ingest, guarded: Webhook, username: str, queued: Queued, tls: str, mechanism: str
) -> None:
    port = ingest.tls_port if tls == "--tls-on-connect" else ingest.port
    await swaks(
        guarded.address,
        *("--server", f"127.0.0.1:{port}", tls, "--auth", mechanism),
        *("--auth-user", username, "--auth-password", PASSWORD),
    )
    [event] = await queued.expect(guarded)
    assert event.envelope.authenticated_as == username


@pytest.mark.parametrize("options", [["-d"], []], ids=["connections kept", "connections new"])
async def test_smtp_source_delivers(
    ingest: Ingest, webhook: Webhook, queued: Queued, options: list[str], tmp_path: Path
) -> None:
    program = shutil.which("smtp-source", path="/usr/sbin:/usr/bin:/usr/local/sbin")
    assert program is not None, "smtp-source is missing: install Debian's postfix"
    mail = tmp_path / "mail"
    mail.write_bytes(b"Subject: load\n\n.dot\n" + b"x" * 70 + b"\n")
    process = await asyncio.create_subprocess_exec(
        *(program, *options, "-s", "5", "-m", "50", "-F", str(mail)),
        *("-f", "ann@example.com", "-t", webhook.address, f"127.0.0.1:{ingest.port}"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 0, output.decode(errors="replace")
    events = await queued.expect(webhook, 50)
    assert len({event.delivery_id for event in events}) == 50
    content = mail.read_bytes().replace(b"\n", b"\r\n") + b"\r\n"  # smtp-source adds a line
    assert {event.raw[-len(content) :] for event in events if event.raw} == {content}


@pytest.fixture(scope="module")
def mta(policed_ingest: Ingest) -> Iterator[Postfix]:
    """A Postfix that sends on what it gets."""
    with postfix.relay(Ports.free().smtp, policed_ingest.port) as mta:
        yield mta


class Way:
    """What Postfix logs about the mail that a test hands to it."""

    def __init__(self, mta: Postfix) -> None:
        self._mta = mta
        self._before = len(self._all())

    def _all(self) -> list[str]:
        return self._mta.log.read_text(errors="surrogateescape").splitlines()

    def lines(self) -> list[str]:
        """Return what its client has logged since."""
        return [line for line in self._all()[self._before :] if "/smtp[" in line]

    def status(self, address: str) -> list[str]:
        """Return what became of each attempt to deliver to an address."""
        about = [line for line in self.lines() if f"to=<{address}>" in line]
        return [line.partition("status=")[2] for line in about]

    def dialogue(self) -> list[str]:
        """Return `C` for each command of a mail and `S` for each reply line, as they went."""
        said = [re.search(r": ([<>]) 127\.0\.0\.1\[[^:]+:\d+: (.*)", line) for line in self.lines()]
        return [f"{'C' if match[1] == '>' else 'S'}: {match[2]}" for match in said if match]


@pytest.fixture
async def way(mta: Postfix, policed: Ingest, dns: DnsServer) -> AsyncIterator[Way]:
    """The way of this test's mail through Postfix to the ingest."""
    way = Way(mta)
    yield way
    print("\n".join(way.dialogue()))


def hand_over(mta: Postfix, mail: EmailMessage, sender: str, *recipients: str) -> None:
    """Give a mail to Postfix."""
    with smtplib.SMTP("127.0.0.1", mta.port, "client.example", timeout=10) as client:
        client.ehlo()
        content, options = mail.as_bytes(policy=SMTPUTF8), ["SMTPUTF8", "BODY=8BITMIME"]
        assert client.sendmail(sender, recipients, content, options) == {}


async def test_postfix_relays_over_tls_with_pipelining_and_smtputf8(
    mta: Postfix, store: Store, new_webhook: NewWebhook, queued: Queued, way: Way
) -> None:
    address = f"größe@münchen-{uuid4().hex}.example"
    webhook = await new_webhook(address=parse_address(address).key)
    await insert_claim(store, webhook.address.partition("@")[2], webhook.account_id)
    mail = message(address)
    await asyncio.to_thread(hand_over, mta, mail, "jürgen@example.com", address)
    [event] = await queued.expect(webhook)
    assert event.envelope.mail_from == "jürgen@example.com"
    assert event.envelope.recipients == (address,)
    assert event.envelope.helo == "postfix.example"
    assert event.envelope.tls == "TLSv1.3"
    assert event.raw is not None
    assert event.raw.endswith(mail.as_bytes(policy=SMTPUTF8).partition(b"\r\n\r\n")[2])
    assert b"\tby mx.conduit.example with UTF8SMTPS (TLSv1.3) id" in event.raw
    await eventually(lambda: way.status(address), what="what Postfix says of it")
    assert way.status(address)[0].startswith(f"sent (250 2.0.0 queued as {event.delivery_id}")
    sides = [line[0] for line in way.dialogue()]
    begun = next(n for n, line in enumerate(way.dialogue()) if line.startswith("C: MAIL FROM:<"))
    assert sides[begun : begun + 6] == ["C", "C", "C", "S", "S", "S"], "not pipelined"


async def test_postfix_sends_the_mail_again_to_whom_other_rules_are_for(
    *,
    mta: Postfix,
    webhook: Webhook,
    under_policy: NewWebhook,
    queued: Queued,
    sender: Sender,
    way: Way,
) -> None:
    sender.spf()
    checked = await under_policy(require_spf=True)
    mail, addresses = message("undisclosed:;"), (webhook.address, checked.address)
    await asyncio.to_thread(hand_over, mta, mail, sender.address, *addresses)
    for one in (webhook, checked):
        [event] = await queued.expect(one)
        assert event.envelope.recipients == (one.address,)
    await eventually(lambda: len(way.status(checked.address)) == 2, what="the second attempt")
    deferred, sent = way.status(checked.address)
    assert deferred.startswith("deferred (")
    assert "452 4.5.3 Send this recipient's mail by itself" in deferred
    assert sent.startswith("sent (250 2.0.0 queued as")
    [only] = way.status(webhook.address)
    assert only.startswith("sent (250 2.0.0 queued as")


async def test_postfix_tries_again_what_was_deferred(
    mta: Postfix, store: Store, new_webhook: NewWebhook, queued: Queued, way: Way
) -> None:
    domain = f"{uuid4().hex}.example.com"
    webhook = await new_webhook(address=f"alerts@{domain}")
    claim = await insert_claim(store, domain, webhook.account_id)
    claim = await Domains(store).replace(claim.model_copy(update={"verified": False}))
    await asyncio.to_thread(
        hand_over, mta, message(webhook.address), "ann@example.com", webhook.address
    )
    await eventually(lambda: way.status(webhook.address), what="the deferral")
    assert "450 4.2.1" in way.status(webhook.address)[0]
    await Domains(store).replace(claim.model_copy(update={"verified": True}))
    await queued.expect(webhook)
    await eventually(
        lambda: way.status(webhook.address)[-1].startswith("sent (250 2.0.0"), what="the delivery"
    )
