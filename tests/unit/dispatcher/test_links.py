"""Links to attachments: how long they are good, and that the mail is kept first."""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

from pydantic import SecretBytes

from conduit.model.message import Message
from conduit.security.attachment_links import AttachmentLink, AttachmentLinks
from conduit.webhook.attachments import Links
from conduit_dispatcher.links import GONE, LEAST, NOT_KEPT, LinkMaker
from tests.unit.webhook.test_payload import EVENT

DAY = timedelta(days=1)
SIGNER = AttachmentLinks({"k": SecretBytes(b"k" * 32)}, "https://conduit.example.com")
RECEIVED = EVENT.received_at


class Kept:
    """The mails of a store in memory."""

    def __init__(self, retention: timedelta) -> None:
        self.until: dict[str, datetime] = {}
        self.maker = LinkMaker(SIGNER, self, retention)
        self._retention = retention

    async def keep(self, messages: Sequence[Message]) -> None:
        for message in messages:
            self.until.setdefault(message.id, message.received_at + self._retention)

    async def extend(self, message_ids: Collection[str], until: datetime) -> set[str]:
        found = set(message_ids) & self.until.keys()
        self.until |= {each: max(self.until[each], until) for each in found}
        return found


async def test_links_are_good_for_as_long_as_the_mail_is_kept() -> None:
    kept = Kept(3 * DAY)
    links = await kept.maker.links_to(EVENT, RECEIVED)
    assert isinstance(links, Links)
    assert kept.until == {EVENT.message_id: RECEIVED + 3 * DAY}
    assert links.expires_at == (RECEIVED + 3 * DAY).replace(microsecond=0)
    url = urlsplit(links.url_of(2))
    expires = int(links.expires_at.timestamp())
    link = AttachmentLink(EVENT.webhook_id, EVENT.message_id, 2, expires)
    assert SIGNER.is_signed(link, parse_qs(url.query)["signature"][0])


async def test_a_late_call_keeps_the_mail_a_while_longer() -> None:
    kept, now = Kept(DAY), RECEIVED + 2 * DAY
    links = await kept.maker.links_to(EVENT, now)
    assert isinstance(links, Links)
    assert links.expires_at == (now + LEAST).replace(microsecond=0)
    assert kept.until[EVENT.message_id] >= links.expires_at


async def test_a_mail_that_travels_by_reference_is_there_already() -> None:
    kept = Kept(3 * DAY)
    kept.until[EVENT.message_id] = RECEIVED + DAY
    links = await kept.maker.links_to(EVENT.by_reference(), RECEIVED)
    assert isinstance(links, Links)
    assert kept.until[EVENT.message_id] >= links.expires_at


async def test_there_is_no_link_to_what_is_gone() -> None:
    assert await Kept(3 * DAY).maker.links_to(EVENT.by_reference(), RECEIVED) == GONE


async def test_there_is_no_link_where_no_mail_is_kept() -> None:
    kept = Kept(timedelta(0))
    assert await kept.maker.links_to(EVENT, datetime.now(UTC)) == NOT_KEPT
    assert kept.until == {}
