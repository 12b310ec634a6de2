"""The mails about endpoints that fail: to one owner, on one occasion, about one or more webhooks.

They name an endpoint by its origin only, since the rest of a URL may be a secret, and mails are
read by more people than Conduit is.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from yarl import URL

from conduit.model.account import Account
from conduit.model.notice import Notice, Occasion
from conduit.model.webhook import Webhook
from conduit_api.mailer import Mail

NAMED = 20
"""Webhooks that one mail describes at most; the others are counted."""

_LONGEST_ERROR = 300  # characters

_LONGEST_NAME = 39
"""Characters that leave a subject on one line of 78 octets (RFC 5322 §2.1.1)."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What a mail is about: a webhook, and the notice about it."""

    notice: Notice
    webhook: Webhook


@dataclass(frozen=True, slots=True)
class _Text:
    """What is said on one occasion, before and after the webhooks."""

    of_one: str
    of_many: str
    opening: str
    ending: str


@dataclass(frozen=True, slots=True)
class NoticeWriter:
    """Writes these mails. `public_url` is where users reach Conduit, `hold` how long mail waits."""

    public_url: str
    hold: timedelta

    def mail(self, account: Account, subjects: Sequence[Subject]) -> Mail:
        """Return the mail about these webhooks, of which there is one at least."""
        first, text = subjects[0], _TEXTS[subjects[0].notice.occasion]
        zone = ZoneInfo(account.timezone)
        described = ["".join(self._lines(each, zone)) for each in subjects[:NAMED]]
        if (others := len(subjects) - NAMED) > 0:
            described.append(f"    and {others} more: {self.public_url}/app/webhooks\n")
        one = len(subjects) == 1
        return Mail(
            account.email,
            text.of_one.format(_name(first.webhook)) if one else text.of_many.format(len(subjects)),
            "\n".join([text.opening, *described, text.ending.format(hold=_lasting(self.hold))]),
            self._link(first.webhook) if one else f"{self.public_url}/app/webhooks",
        )

    def _lines(self, subject: Subject, zone: ZoneInfo) -> Iterator[str]:
        notice, webhook = subject.notice, subject.webhook
        yield f"    {webhook.address}\n"
        yield f"    Endpoint: {URL(webhook.target_url).origin()}\n"
        begun = "Gone since" if notice.occasion is Occasion.GONE else "Failing since"
        yield f"    {begun}: {_shown(notice.since, zone)}\n"
        if notice.error:
            yield f"    Last error: {_one_line(notice.error)}\n"
        if notice.pauses_at is not None:
            yield f"    Will be paused, unless it is back: {_shown(notice.pauses_at, zone)}\n"
        yield f"    {self._link(webhook)}\n"

    def _link(self, webhook: Webhook) -> str:
        return f"{self.public_url}/app/webhooks/{webhook.id}"


def _name(webhook: Webhook) -> str:
    """Return what a subject calls a webhook: its address, or its id if that is long or no ASCII."""
    address = webhook.address
    return address if len(address) <= _LONGEST_NAME and address.isascii() else webhook.id


def _lasting(time: timedelta) -> str:
    return f"{time.days} days" if time.days > 1 else f"{time.total_seconds() / 3600:g} hours"


def _shown(moment: datetime, zone: ZoneInfo) -> str:
    return f"{moment.astimezone(zone):%Y-%m-%d %H:%M} ({zone.key})"


def _one_line(error: str) -> str:
    """Return an error without what could pass for more of our own text: it has the endpoint's."""
    printable = "".join(character if character.isprintable() else " " for character in error)
    return " ".join(printable.split())[:_LONGEST_ERROR]


_TEXTS = {
    Occasion.FAILING: _Text(
        "Your webhook is failing: {}",
        "{} of your webhooks are failing",
        "Every call that Conduit has made here for some time has failed:\n",
        "Mail is taken as before, and Conduit goes on calling: once the endpoint answers with a\n"
        "2xx, what waits is delivered. A mail whose attempts are used up is marked as failed, and\n"
        "can be replayed while it is kept.\n\n"
        "When a webhook is paused, its mail is taken too, and waits, for up to {hold}, until you\n"
        "resume it. In sync mode senders are asked to come again later.\n\n"
        "What to do: look at the attempts under the link, and mend the endpoint. If you do not\n"
        "need the webhook any more, delete it.\n",
    ),
    Occasion.PAUSED: _Text(
        "Your webhook is paused: {}",
        "{} of your webhooks are paused",
        "Every call that Conduit has made here has failed, for so long that it makes no more:\n",
        "No mail is lost by this: it is taken as before and waits, for up to {hold}. In sync mode\n"
        "senders are asked to come again later. What had failed before can be replayed while it\n"
        "is kept.\n\n"
        "What to do: mend the endpoint, then resume the webhook under the link, or with\n"
        "POST /api/v1/webhooks/<id>/resume. All that waits is delivered then.\n",
    ),
    Occasion.GONE: _Text(
        "Your webhook is switched off: {}",
        "{} of your webhooks are switched off",
        "An endpoint that wants no more calls answers 410 Gone. That was the answer here, so\n"
        "Conduit calls no more:\n",
        "Mail is refused from now on, and stays with its senders. If this is as it should be,\n"
        "there is nothing to do. Otherwise mend the endpoint, and activate the webhook again\n"
        "under the link.\n",
    ),
}
