"""What we write on top of a mail: that it came through here, and what was found out about it."""

from datetime import datetime

from conduit.mail.trace import (
    authentication_results_field,
    protocol_keyword,
    received_field,
    with_fields,
    without_own_results,
)
from conduit.model.authentication import AuthResults
from conduit_smtp_ingest.policy import user_for
from conduit_smtp_ingest.transaction import Client, Transaction


def stamped(
    raw: bytes,
    transaction: Transaction,
    client: Client,
    results: AuthResults | None,
    *,
    hostname: str,
    message_id: str,
    received_at: datetime,
) -> bytes:
    """Return the mail as it is kept and delivered.

    Results that claim to be ours go (RFC 8601 §5), whether we have any or not.
    """
    protocol = protocol_keyword(
        extended=client.extended,
        tls=client.tls is not None,
        authenticated=client.authenticated_as is not None,
        utf8=transaction.utf8,
    )
    fields = [
        received_field(
            helo=client.helo,
            remote_ip=client.remote_ip,
            hostname=hostname,
            protocol=protocol,
            message_id=message_id,
            recipient=transaction.only_recipient,
            received_at=received_at,
            tls=client.tls,
        )
    ]
    if results is not None:
        fields.insert(
            0, authentication_results_field(hostname, results, _user(transaction, client))
        )
    return with_fields(without_own_results(raw, hostname), *fields)


def _user(transaction: Transaction, client: Client) -> str | None:
    """Return who authenticated, if all who get the mail may know."""
    users = {user_for(recipient.webhook, client) for recipient in transaction.recipients}
    return users.pop() if len(users) == 1 else None
