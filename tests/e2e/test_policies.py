"""A policy made over the API, mail that keeps to it, and mail that does not."""

from dataclasses import replace
from pathlib import Path
from uuid import uuid4

from conduit_local.receiver import Receiver
from conduit_local.stack import Stack
from tests.support.dns import DnsServer
from tests.support.signing import SigningKey
from tests.support.swaks import Swaks
from tests.support.user import User

MAIL = b"From: Ann <ann@%b>\r\nMessage-ID: <1@%b>\r\nSubject: Order\r\n\r\nTwo, please.\r\n"
NO_DKIM = "550 5.7.20 No valid DKIM signature, which this address requires"


async def test_only_a_mail_that_shows_what_its_policy_demands_arrives(
    stack: Stack, user: User, receiver: Receiver, dns: DnsServer, tmp_path: Path
) -> None:
    domain, name = f"{uuid4().hex}.example", f"printer-{uuid4().hex}"
    key = replace(SigningKey.rsa(), domain=domain)
    dns.set_txt(*key.record)
    dns.set_txt(domain, "v=spf1 ip4:127.0.0.0/8 -all")
    dns.set_txt(f"_dmarc.{domain}", "v=DMARC1; p=reject")
    demands = {
        "name": "ours",
        "require_smtp_auth": True,
        "smtp_credentials": f"{name}:open sesame",
        "require_spf": True,
        "require_dkim": True,
        "allowed_dkim_domains": domain,
    }
    policy = await user.call("POST", "/smtp-policies", demands)
    webhook = await user.webhook(receiver.url, smtp_security_policy_id=policy["id"])
    unsigned = MAIL.replace(b"%b", domain.encode())
    signed, plain = tmp_path / "signed", tmp_path / "plain"
    plain.write_bytes(unsigned)
    signed.write_bytes(key.sign(unsigned))
    login = ("--tls", "--auth", "--auth-user", name, "--auth-password", "open sesame")
    swaks, sender = Swaks(stack), f"ann@{domain}"
    tagged = webhook["address"].replace("@", "+2026@")

    code, dialogue = await swaks.send(tagged, *login, "--data", f"@{plain}", sender=sender)
    assert code != 0
    assert NO_DKIM in dialogue
    code, dialogue = await swaks.send(tagged, *login, "--data", f"@{signed}", sender=sender)
    assert code == 0, dialogue
    [call] = await receiver.wait_for(1)
    payload = call.json()
    assert payload["tag"] == "2026"
    assert payload["to"] == [tagged]
    assert payload["envelope"]["authenticated_as"] == name
    assert payload["authentication"] == {
        "spf": {"result": "pass", "scope": "mailfrom", "domain": domain},
        "dkim": [{"result": "pass", "domain": domain, "selector": "s1", "algorithm": "rsa-sha256"}],
        "dmarc": {"result": "pass", "domain": domain, "policy": "reject"},
        "arc": {"result": "none", "instances": 0},
    }

    refused, delivered = await user.logs(webhook, 2)
    assert (delivered["status"], delivered["delivery_id"]) == ("delivered", call.webhook_id)
    assert (refused["status"], refused["reason"]) == ("refused", "dkim_not_passed")
    assert refused["smtp_reply"] == NO_DKIM
    assert refused["sender"] == delivered["sender"] == sender
    assert (refused["recipients"], refused["remote_ip"]) == ([tagged], "127.0.0.1")
    [only] = await user.call("GET", f"/webhooks/{webhook['id']}/logs?status=refused")
    assert only["id"] == refused["id"]
    assert receiver.requests == [call]
