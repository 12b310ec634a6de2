"""An endpoint that is dead for long: its owner hears of it, and mends it, and no mail is lost."""

import asyncio
import re
from collections.abc import Iterator
from typing import Any

import pytest

from conduit_local.receiver import Receiver
from conduit_local.stack import Stack
from tests.integration.api.mailbox import Mailbox
from tests.support.polling import eventually
from tests.support.swaks import Swaks
from tests.support.user import User

SETTINGS = {
    "CONDUIT_FAILING_NOTICE_AFTER": "3",
    "CONDUIT_FAILING_PAUSE_AFTER": "15",
    "CONDUIT_BREAKER_FAILURES": "3",
    "CONDUIT_BREAKER_PAUSE": "0.5",
    "CONDUIT_BREAKER_LONGEST_PAUSE": "1",
    "CONDUIT_RETRY_DELAYS": ",".join(["1"] * 60),
    "CONDUIT_RETRY_JITTER": "0",
    # What is paused is kept, whatever else is not.
    "CONDUIT_MESSAGE_RETENTION_DAYS": "0",
}
BEFORE, MEANWHILE = 3, 6
SOON = 60
"""Far more seconds than anything here takes, for a machine that is busy."""

_QUEUED = re.compile(r"250 2\.0\.0 queued as (dlv_\w+)")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack that loses patience within seconds."""
    with Stack.isolated(tmp_path_factory.mktemp("impatient"), settings=SETTINGS) as stack:
        yield stack


async def accepted(stack: Stack, webhook: dict[str, Any], count: int) -> set[str]:
    """Send mails that must be accepted; return the ids of their deliveries."""
    ids = set()
    for _ in range(count):
        code, dialogue = await Swaks(stack).send(webhook["address"])
        assert code == 0, dialogue
        match = _QUEUED.search(dialogue)
        assert match is not None, dialogue
        ids.add(match[1])
    return ids


async def deliveries(user: User, webhook: dict[str, Any]) -> dict[str, Any]:
    """Return what is on record, by id."""
    page = await user.call("GET", f"/webhooks/{webhook['id']}/deliveries?page_size=100")
    return {delivery["id"]: delivery for delivery in page}


async def told(stack: Stack, user: User, count: int) -> list[str]:
    """Return the subjects of the mails that the owner has got, once there are so many."""
    email = (await user.call("GET", "/accounts/me"))["email"]
    mailbox = Mailbox(stack.data_dir / "mail")

    def found() -> list[str]:
        subjects = [mail["Subject"] for mail in mailbox.mails(email)]
        return subjects if len(subjects) >= count else []

    return await eventually(found, within=SOON, what=f"{count} mails to the owner")


async def all_held(user: User, webhook: dict[str, Any], ids: set[str]) -> None:
    """Wait until all mails wait in the store."""

    async def held() -> bool:
        found = await deliveries(user, webhook)
        return found.keys() == ids and all("held_since" in each for each in found.values())

    await eventually(held, within=SOON, what="all mails to be held")
    for delivery in (await deliveries(user, webhook)).values():
        assert delivery["state"] == "pending"
        assert "next_attempt_at" not in delivery


async def all_delivered(user: User, webhook: dict[str, Any], ids: set[str]) -> None:
    """Wait until all mails are on record as delivered."""

    async def delivered() -> bool:
        found = await deliveries(user, webhook)
        return found.keys() == ids and {each["state"] for each in found.values()} == {"delivered"}

    await eventually(delivered, within=SOON, what="all mails to be delivered")
    assert not any("held_since" in each for each in (await deliveries(user, webhook)).values())


async def paused(stack: Stack, user: User, receiver: Receiver) -> tuple[dict[str, Any], set[str]]:
    """Have a webhook paused for its dead endpoint; return it and the mails that wait."""
    webhook = await user.webhook(receiver.url)
    await receiver.close()
    ids = await accepted(stack, webhook, BEFORE)
    assert await told(stack, user, 2) == [
        f"Your webhook is failing: {webhook['id']}",
        f"Your webhook is paused: {webhook['id']}",
    ]
    shown = await user.call("GET", f"/webhooks/{webhook['id']}")
    assert shown["active"] is True
    assert shown["failing_since"] < shown["paused_at"]
    ids |= await accepted(stack, webhook, MEANWHILE)
    await all_held(user, webhook, ids)
    return webhook, ids


@pytest.mark.timeout(240)
async def test_its_owner_is_told_it_is_mended_and_all_mail_arrives(
    stack: Stack, user: User, receiver: Receiver
) -> None:
    webhook, ids = await paused(stack, user, receiver)
    await receiver.open()
    resumed = await user.call("POST", f"/webhooks/{webhook['id']}/resume")
    assert "paused_at" not in resumed
    assert "failing_since" not in resumed
    calls = await receiver.wait_for(len(ids), timeout=SOON)
    await all_delivered(user, webhook, ids)
    assert sorted(call.webhook_id for call in receiver.requests) == sorted(ids), calls
    assert len(await told(stack, user, 2)) == 2
    log = await user.call("GET", "/accounts/me/audit-log?limit=50")
    of_webhook = [entry["action"] for entry in log[::-1] if entry.get("subject") == webhook["id"]]
    assert of_webhook == ["webhook.created", "webhook.paused", "webhook.resumed"]


@pytest.mark.timeout(240)
async def test_a_dispatcher_that_is_killed_meanwhile_loses_none(
    stack: Stack, user: User, receiver: Receiver
) -> None:
    webhook, ids = await paused(stack, user, receiver)
    await asyncio.to_thread(stack.kill, "dispatcher")
    await receiver.open()
    await user.call("POST", f"/webhooks/{webhook['id']}/resume")
    await receiver.wait_for(1, timeout=SOON)
    await asyncio.to_thread(stack.kill, "dispatcher")
    await receiver.wait_until(
        lambda calls: {call.webhook_id for call in calls} == ids, timeout=SOON
    )
    await all_delivered(user, webhook, ids)
    await asyncio.to_thread(stack.wait_ready)
