"""Every mail that the tests have, through a dispatcher: it arrives, or the log says why not."""

import asyncio
from collections.abc import Mapping, Sequence

from conduit.events import MailAccepted
from conduit.mail.parse import parse
from conduit.model.webhook import Webhook
from conduit.webhook import payload
from conduit_local.receiver import Receiver
from tests.support.corpus import corpus
from tests.support.made_mails import Made
from tests.support.mailroom import Mailroom
from tests.support.polling import eventually

ATTACHMENT_LIMIT = 10 * 1024 * 1024  # the dispatcher's default
AT_A_TIME = 50
WITHIN = 60
FRAGILE = '{"subject": "{{.Subject}}"}'
"""A template that gives no JSON for some subjects."""


async def accepted(
    mailroom: Mailroom, webhook: Webhook, mails: Sequence[Made]
) -> Mapping[str, MailAccepted]:
    """Put mails on the queue; return their events by name."""
    events: dict[str, MailAccepted] = {}
    for start in range(0, len(mails), AT_A_TIME):
        some = mails[start : start + AT_A_TIME]
        done = await asyncio.gather(*(mailroom.accept(webhook, mail.raw) for mail in some))
        events |= {mail.name: event for mail, event in zip(some, done, strict=True)}
    return events


async def test_each_mail_arrives(mailroom: Mailroom, receiver: Receiver) -> None:
    webhook = await mailroom.webhook(receiver.url)
    mails = list(corpus())
    async with asyncio.timeout(WITHIN):
        events = await accepted(mailroom, webhook, mails)
        calls = await receiver.wait_for(len(mails), timeout=None)
    bodies = {call.webhook_id: call.body for call in calls}
    assert len(calls) == len(bodies) == len(mails)
    for event in events.values():
        made = payload.build(parse(event.raw or b""), event, attachment_limit=ATTACHMENT_LIMIT)
        assert bodies[event.delivery_id] == made


async def test_what_does_not_arrive_has_its_reason_in_the_log(
    mailroom: Mailroom, receiver: Receiver
) -> None:
    webhook = await mailroom.webhook(receiver.url, payload_template=FRAGILE)
    mails = [mail for mail in corpus() if mail.name.startswith("subject-")]
    events = await accepted(mailroom, webhook, mails)
    reasons: dict[str, str | None] = {}

    async def all_tried() -> bool:
        for name, event in events.items():
            for attempt in await mailroom.logs.of_delivery(event.delivery_id):
                reasons[name] = attempt.error
        return len(reasons) == len(mails)

    await eventually(all_tried, within=WITHIN, what="an attempt for each mail")
    arrived = {call.webhook_id: call.json() for call in receiver.requests}
    for name, event in events.items():
        assert (event.delivery_id in arrived) == (reasons[name] is None)
    failed = {name for name, reason in reasons.items() if reason is not None}
    assert failed == {"subject-quoted"}
    assert all("not JSON" in (reasons[name] or "") for name in failed)
