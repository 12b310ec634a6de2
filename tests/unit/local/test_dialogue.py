"""The demo's mail says what it should; its dialogue is shown line by line."""

from email import message_from_bytes
from email.policy import default

from conduit_local.dialogue import mail


def test_the_mail_has_an_umlaut_and_an_attachment() -> None:
    message = message_from_bytes(mail("webhook-1@incoming.localhost").as_bytes(), policy=default)
    assert message["Subject"] == "Grüße from SMTP"
    assert message["To"] == "webhook-1@incoming.localhost"
    assert [part.get_filename() for part in message.iter_attachments()] == ["table.csv"]
