"""One mail while its commands arrive (RFC 5321 §3.3), and who sends it."""

from dataclasses import dataclass, field

from conduit.mail.address import Address
from conduit.model.envelope import Envelope
from conduit.model.webhook import Webhook
from conduit_smtp_ingest.policy import DataRules, user_for


@dataclass(frozen=True, slots=True)
class Client:
    """What is known of who is connected.

    `extended`: it said EHLO. `satisfied` has the ids of the policies whose user it is.
    """

    remote_ip: str
    helo: str = ""
    extended: bool = False
    tls: str | None = None
    authenticated_as: str | None = None
    satisfied: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Recipient:
    """An accepted RCPT, the webhook that it leads to, and the tag in its address."""

    address: Address
    webhook: Webhook
    tag: str | None = None


@dataclass(slots=True)
class Transaction:
    """A sender and the recipients so far, who all share `rules`, those of the first one."""

    sender: Address | None
    utf8: bool
    recipients: list[Recipient] = field(default_factory=list)
    rules: DataRules = field(default_factory=DataRules)

    @property
    def shared(self) -> bool:
        """Whether the mail is for more than one account."""
        first, *further = self.recipients
        return any(one.webhook.account_id != first.webhook.account_id for one in further)

    @property
    def only_recipient(self) -> str | None:
        """The recipient, unless there are several, who must not hear of one another."""
        return str(self.recipients[0].address) if len(self.recipients) == 1 else None

    def envelopes(self, client: Client) -> list[tuple[Webhook, Envelope]]:
        """Return each webhook with its envelope: a mail is delivered once to each."""
        of_webhook: dict[str, list[Recipient]] = {}
        for recipient in self.recipients:
            of_webhook.setdefault(recipient.webhook.id, []).append(recipient)
        return [
            (recipients[0].webhook, envelope(self.sender, client, recipients))
            for recipients in of_webhook.values()
        ]


def envelope(sender: Address | None, client: Client, recipients: list[Recipient]) -> Envelope:
    """Return the envelope of a mail to recipients who lead to one webhook."""
    addresses = dict.fromkeys(str(recipient.address) for recipient in recipients)
    return Envelope(
        mail_from="" if sender is None else str(sender),
        recipients=tuple(addresses),
        helo=client.helo,
        remote_ip=client.remote_ip,
        tls=client.tls,
        authenticated_as=user_for(recipients[0].webhook, client),
        tag=next((recipient.tag for recipient in recipients if recipient.tag), None),
    )
