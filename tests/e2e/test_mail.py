"""What a developer sees: mail sent with swaks arrives as a signed call and stands in the log."""

import base64
from pathlib import Path
from typing import Any

from conduit_local.receiver import Received, Receiver
from conduit_local.signatures import conduit_is_valid, standard_is_valid
from conduit_local.stack import Stack
from tests.support.swaks import Swaks
from tests.support.user import User


async def deliver(
    stack: Stack, user: User, receiver: Receiver, *options: str
) -> tuple[Received, dict[str, Any]]:
    """Send a mail to a new webhook; return the call and its log entry, both checked."""
    webhook = await user.webhook(receiver.url)
    code, dialogue = await Swaks(stack).send(webhook["address"], *options)
    assert code == 0, dialogue
    [call] = await receiver.wait_for(1)
    assert f"250 2.0.0 queued as {call.webhook_id}" in dialogue
    assert conduit_is_valid(webhook["secret"], call.headers, call.body)
    assert standard_is_valid(webhook["secret"], call.headers, call.body)
    [entry] = await user.logs(webhook, 1)
    assert entry["http_status"] == 200
    assert entry["sender"] == "ann@example.com"
    assert entry["smtp_message_id"] == call.json()["message_id"]
    assert entry["delivery_id"] == call.webhook_id
    return call, entry


async def test_a_plain_mail(stack: Stack, user: User, receiver: Receiver) -> None:
    call, _ = await deliver(
        stack, user, receiver, "--header", "Subject: Hello", "--body", "It works.", "--tls"
    )
    payload = call.json()
    assert payload["subject"] == "Hello"
    assert payload["text"].rstrip() == "It works."
    assert payload["from"] == "ann@example.com"
    assert payload["envelope"]["tls"].startswith("TLSv1.")
    assert "attachments" not in payload or payload["attachments"] == []


async def test_a_utf8_subject_and_an_attachment(
    stack: Stack, user: User, receiver: Receiver, tmp_path: Path
) -> None:
    attached = tmp_path / "Zählung.csv"
    attached.write_bytes("größe,1\n".encode())
    call, _ = await deliver(
        *(stack, user, receiver),
        *("--header", "Subject: Grüße aus Köln ☕", "--body", "Siehe Anlage."),
        *("--attach-name", "Zählung.csv", "--attach-type", "text/csv", "--attach", f"@{attached}"),
    )
    payload = call.json()
    assert payload["subject"] == "Grüße aus Köln ☕"
    assert payload["text"].rstrip() == "Siehe Anlage."
    [attachment] = payload["attachments"]
    assert attachment["filename"] == "Zählung.csv"
    assert attachment["content_type"] == "text/csv"
    assert base64.b64decode(attachment["content"]) == "größe,1\n".encode()


async def test_a_mail_that_is_nothing_but_an_attachment(
    stack: Stack, user: User, receiver: Receiver, tmp_path: Path
) -> None:
    mail = tmp_path / "mail"
    mail.write_text(
        "From: ann@example.com\nMessage-ID: <2@example.com>\nSubject: Scan\nMIME-Version: 1.0\n"
        'Content-Type: application/pdf; name="scan.pdf"\nContent-Transfer-Encoding: base64\n'
        'Content-Disposition: attachment; filename="scan.pdf"\n\nJVBERi0xLjc=\n'
    )
    call, _ = await deliver(stack, user, receiver, "--data", f"@{mail}")
    payload = call.json()
    assert "text" not in payload
    assert "html" not in payload
    [attachment] = payload["attachments"]
    assert attachment["filename"] == "scan.pdf"
    assert base64.b64decode(attachment["content"]) == b"%PDF-1.7"


async def test_a_large_mail(stack: Stack, user: User, receiver: Receiver, tmp_path: Path) -> None:
    attached = tmp_path / "large.bin"
    attached.write_bytes(bytes(range(256)) * 20_000)
    call, _ = await deliver(stack, user, receiver, "--attach", f"@{attached}")
    [attachment] = call.json()["attachments"]
    assert base64.b64decode(attachment["content"]) == attached.read_bytes()


async def test_an_unknown_address(stack: Stack) -> None:
    code, dialogue = await Swaks(stack).send("nobody@incoming.localhost")
    assert code != 0
    assert "550 5.1.1 " in dialogue


async def test_a_mail_over_the_limit(
    stack: Stack, user: User, receiver: Receiver, tmp_path: Path
) -> None:
    webhook = await user.webhook(receiver.url)
    mail = tmp_path / "mail"
    mail.write_text("Subject: large\n\n" + ("x" * 99 + "\n") * 300_000)
    code, dialogue = await Swaks(stack).send(
        webhook["address"], "--data", f"@{mail}", "--suppress-data"
    )
    assert code != 0
    assert "552 5.3.4 " in dialogue
    assert receiver.requests == []


async def test_an_endpoint_that_was_down_gets_the_mail_later_under_the_same_id(
    stack: Stack, user: User, receiver: Receiver
) -> None:
    webhook = await user.webhook(receiver.url)
    await receiver.close()
    code, dialogue = await Swaks(stack).send(webhook["address"])
    assert code == 0, dialogue
    [first] = await user.logs(webhook, 1)
    assert "http_status" not in first
    assert "cannot connect" in first["error"]
    await receiver.open()
    [call] = await receiver.wait_for(1, timeout=20)
    entries = await user.logs(webhook, 2)
    assert {entry["delivery_id"] for entry in entries} == {call.webhook_id}
    assert [entry["attempt"] for entry in entries] == list(range(1, len(entries) + 1))
    assert entries[-1]["http_status"] == 200


async def test_a_deactivated_webhook_takes_no_mail(
    stack: Stack, user: User, receiver: Receiver
) -> None:
    webhook = await user.webhook(receiver.url)
    await user.call("PUT", f"/webhooks/{webhook['id']}", {"active": False})
    code, dialogue = await Swaks(stack).send(webhook["address"])
    assert code != 0
    assert "550 5.2.1 " in dialogue


async def test_a_webhook_under_a_policy_takes_mail_of_its_users_only(
    stack: Stack, user: User, receiver: Receiver
) -> None:
    policy = await user.call(
        "POST",
        "/smtp-policies",
        {"name": "devices", "require_smtp_auth": True, "smtp_credentials": "scanner:open sesame"},
    )
    webhook = await user.webhook(receiver.url, smtp_security_policy_id=policy["id"])
    swaks, credentials = Swaks(stack), ("--tls", "--auth", "PLAIN", "--auth-user", "scanner")
    code, dialogue = await swaks.send(webhook["address"], "--tls")
    assert (code != 0, "530 5.7.0 " in dialogue) == (True, True), dialogue
    code, dialogue = await swaks.send(webhook["address"], *credentials, "--auth-password", "guess")
    assert (code != 0, "535 5.7.8 " in dialogue) == (True, True), dialogue
    code, dialogue = await swaks.send(
        webhook["address"], *credentials, "--auth-password", "open sesame"
    )
    assert code == 0, dialogue
    [call] = await receiver.wait_for(1)
    assert call.json()["envelope"]["authenticated_as"] == "scanner"


async def test_a_simulated_mail_is_shaped_signed_and_logged_as_any_other(
    stack: Stack, user: User, receiver: Receiver
) -> None:
    template = '{"text": {{toJson .Subject}}, "who": "{{.From}}"}'
    webhook = await user.webhook(receiver.url, payload_template=template, active=False)
    rotated = await user.call("POST", f"/webhooks/{webhook['id']}/rotate-secret")
    mail = {"from": "ann@example.com", "subject": "Grüße"}
    done = await user.call("POST", f"/webhooks/{webhook['id']}/simulate", mail)
    assert (done["http_status"], done["simulated"]) == (200, True)
    [call] = receiver.requests
    assert call.json() == {"text": "Grüße", "who": "ann@example.com"}
    for secret in (webhook["secret"], rotated["secret"]):
        assert standard_is_valid(secret, call.headers, call.body)
    assert conduit_is_valid(rotated["secret"], call.headers, call.body)
    [entry] = await user.logs(webhook, 1)
    assert entry["simulated"] is True
    assert entry["delivery_id"] == call.webhook_id
