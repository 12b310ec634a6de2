"""Owners are told once of endpoints that fail, and no webhook is paused that should not be."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from uuid import uuid4

import pytest

from conduit.errors import StoreUnavailable
from conduit.model.notice import Notice, gone_notice
from conduit.settings import StoreSettings
from conduit.store.connection import Store, open_store
from conduit.store.indexes import ensure_indexes
from conduit.store.notices import Notices
from conduit_api.mail_carriers import RelayUnavailable
from conduit_api.mailer import MailRefused
from conduit_local.stack import Stack
from tests.integration.api.failing import DAY, ERROR, HOUR, MINUTE, NOON, Interrupted, Owners


@pytest.fixture
async def own_store(stack: Stack) -> AsyncIterator[Store]:
    """A database at which no service looks."""
    settings = StoreSettings(mongodb_url=stack.urls.mongodb, mongodb_database=uuid4().hex)
    async with open_store(settings) as store:
        await ensure_indexes(store)
        yield store


@pytest.fixture
async def owners(own_store: Store) -> Owners:
    """Who has webhooks there."""
    return Owners(own_store)


async def test_after_a_day_of_failing_the_owner_is_told_once(owners: Owners) -> None:
    account = await owners.account()
    webhook = await owners.failing(DAY, account)
    replica = owners.replica()
    for minute in range(3):
        await replica.round(NOON + minute * MINUTE)
    for hour in (1, 2, 3):
        await owners.fails_on(webhook, NOON + hour * HOUR)
        await replica.round(NOON + hour * HOUR)
    [mail] = owners.post.mails
    assert mail.to == account.email
    assert mail.subject == f"Your webhook is failing: {webhook.address}"
    assert mail.link == f"https://conduit.example.com/app/webhooks/{webhook.id}"
    assert ERROR in mail.text
    assert (await owners.kept(webhook)).paused_at is None


async def test_before_that_nobody_is_told(owners: Owners) -> None:
    await owners.failing(DAY - MINUTE)
    await owners.replica().round(NOON)
    assert owners.post.mails == []


async def test_after_five_days_the_webhook_is_paused_and_its_owner_told_so(owners: Owners) -> None:
    webhook = await owners.failing(4 * DAY)
    replica = owners.replica()
    await replica.round(NOON)
    await owners.fails_on(webhook, NOON + DAY)
    for hour in range(3):
        await replica.round(NOON + DAY + hour * HOUR)
    assert owners.post.subjects() == [
        f"Your webhook is failing: {webhook.address}",
        f"Your webhook is paused: {webhook.address}",
    ]
    kept = await owners.kept(webhook)
    assert kept.paused_at == NOON + DAY
    assert kept == webhook.model_copy(
        update={"paused_at": NOON + DAY, "version": 1, "updated_at": kept.updated_at}
    )
    [entry] = await owners.pauses_on_record(webhook)
    assert (entry.subject, entry.remote_ip) == (webhook.id, "")
    assert entry.details == {"failing_since": (NOON - 4 * DAY).isoformat()}


async def test_nothing_is_paused_where_that_is_not_wanted(owners: Owners) -> None:
    webhook = await owners.failing(50 * DAY)
    await owners.replica(paused_after=None).round(NOON)
    assert (await owners.kept(webhook)).paused_at is None
    assert "paused" not in owners.post.mails[0].text.partition("When a webhook")[0]


async def test_a_new_time_of_failing_is_told_anew(owners: Owners) -> None:
    webhook = await owners.failing(DAY)
    replica = owners.replica()
    await replica.round(NOON)
    await owners.healths.forget([webhook.id])  # it took a mail
    await owners.fail(webhook, DAY, until=NOON + 3 * DAY)
    await replica.round(NOON + 3 * DAY)
    assert len(owners.post.mails) == 2


async def test_replicas_at_once_tell_and_pause_once(owners: Owners) -> None:
    told = [await owners.failing(DAY) for _ in range(10)]
    paused = [await owners.failing(6 * DAY) for _ in range(10)]
    replicas = [owners.replica() for _ in range(4)]
    for minute in range(3):
        now = NOON + minute * MINUTE
        await asyncio.gather(*(replica.round(now) for replica in replicas))
    assert sorted(owners.post.subjects()) == sorted(
        [f"Your webhook is failing: {webhook.address}" for webhook in told]
        + [f"Your webhook is paused: {webhook.address}" for webhook in paused]
    )
    for webhook in paused:
        assert (await owners.kept(webhook)).version == 1
        assert len(await owners.pauses_on_record(webhook)) == 1


async def test_several_webhooks_of_one_owner_are_one_mail(owners: Owners) -> None:
    account, other = await owners.account(), await owners.account()
    webhooks = [await owners.failing(DAY, account) for _ in range(3)]
    alone = await owners.failing(DAY, other)
    await owners.replica().round(NOON)
    assert sorted((mail.to, mail.subject) for mail in owners.post.mails) == sorted(
        [
            (account.email, "3 of your webhooks are failing"),
            (other.email, f"Your webhook is failing: {alone.address}"),
        ]
    )
    text = next(mail.text for mail in owners.post.mails if mail.to == account.email)
    assert all(webhook.address in text for webhook in webhooks)
    assert alone.address not in text


async def test_a_relay_that_is_away_postpones_mails_and_pauses_all_the_same(
    owners: Owners,
) -> None:
    webhook = await owners.failing(6 * DAY)
    owners.post.away = RelayUnavailable("451 later")
    replica = owners.replica()
    await replica.round(NOON)
    assert (await owners.kept(webhook)).paused_at == NOON
    owners.post.away = None
    await replica.round(NOON + MINUTE)
    assert owners.post.mails == []  # it may be somebody's still
    await replica.round(NOON + 11 * MINUTE)
    await replica.round(NOON + 22 * MINUTE)
    assert owners.post.subjects() == [f"Your webhook is paused: {webhook.address}"]


async def test_a_mail_that_must_wait_holds_up_no_other(owners: Owners) -> None:
    account = await owners.account()
    waiting = await owners.failing(3 * DAY, account)
    other = await owners.failing(DAY)
    owners.post.failures[account.email] = RelayUnavailable("450 mailbox full")
    await owners.replica().round(NOON)
    assert owners.post.subjects() == [f"Your webhook is failing: {other.address}"]
    owners.post.failures.clear()
    await owners.replica().round(NOON + 11 * MINUTE)
    assert owners.post.subjects()[1:] == [f"Your webhook is failing: {waiting.address}"]


async def test_a_fault_of_one_mail_is_told_and_holds_up_no_other(
    owners: Owners, caplog: pytest.LogCaptureFixture
) -> None:
    account = await owners.account()
    await owners.failing(3 * DAY, account)
    other = await owners.failing(DAY)
    owners.post.failures[account.email] = ValueError("nobody foresaw this")
    await owners.replica().round(NOON)
    assert owners.post.subjects() == [f"Your webhook is failing: {other.address}"]
    assert "notice.failed" in caplog.messages


async def test_a_mail_that_waits_for_days_is_given_up(
    owners: Owners, caplog: pytest.LogCaptureFixture
) -> None:
    await owners.failing(DAY)
    owners.post.away = RelayUnavailable("451 later")
    replica = owners.replica()
    await replica.round(NOON)
    await replica.courier.round(NOON + 3 * DAY)
    assert caplog.messages == ["notice.postponed", "notice.given_up"]
    owners.post.away = None
    await replica.courier.round(NOON + 4 * DAY)
    assert owners.post.mails == []


async def test_a_mail_that_is_refused_is_not_sent_again(
    owners: Owners, caplog: pytest.LogCaptureFixture
) -> None:
    await owners.failing(DAY)
    owners.post.away = MailRefused("550 no such user")
    await owners.replica().round(NOON)
    owners.post.away = None
    await owners.replica().round(NOON + DAY / 2)
    assert owners.post.mails == []
    assert "mail.refused" in caplog.messages


class Crashing(Notices):
    """Notices of a replica that ends when it is about to note that a mail was handed over."""

    async def done(self, notice_ids: Sequence[str]) -> None:
        raise StoreUnavailable(f"this replica ends with {len(notice_ids)} under way")


async def test_a_crash_after_the_mail_repeats_it_and_before_it_loses_none(
    owners: Owners, own_store: Store
) -> None:
    await owners.failing(DAY)
    with pytest.raises(StoreUnavailable):
        await owners.replica(notices=Crashing(own_store)).round(NOON)
    await owners.replica().round(NOON + MINUTE)
    assert len(owners.post.mails) == 1
    await owners.replica().round(NOON + 11 * MINUTE)
    await owners.replica().round(NOON + 22 * MINUTE)
    assert len(owners.post.mails) == 2
    [notice] = await own_store.collection("notices").find({}).to_list(None)
    assert notice["due_at"] is None


class Unwritable(Notices):
    """Notices of a replica that ends when it is about to write one."""

    async def add(self, notice: Notice) -> None:
        raise StoreUnavailable(f"this replica ends before it writes {notice.id}")


async def test_a_crash_after_the_pause_leaves_its_owner_told(
    owners: Owners, own_store: Store
) -> None:
    webhook = await owners.failing(6 * DAY)
    with pytest.raises(StoreUnavailable):
        await owners.replica(notices=Unwritable(own_store)).watch.round(NOON)
    assert (await owners.kept(webhook)).paused_at == NOON
    await owners.replica().round(NOON + 2 * HOUR)
    assert owners.post.subjects() == [f"Your webhook is paused: {webhook.address}"]
    assert len(await owners.pauses_on_record(webhook)) == 1


async def test_what_is_over_before_the_mail_is_sent_is_not_told(owners: Owners) -> None:
    back, switched_off, deleted, resumed = [await owners.failing(DAY) for _ in range(4)]
    paused = await owners.failing(6 * DAY)
    replica = owners.replica()
    await replica.watch.round(NOON)
    await owners.healths.forget([back.id, resumed.id, paused.id])
    await owners.webhooks.replace(switched_off.model_copy(update={"active": False}))
    await owners.webhooks.delete_owned(deleted.account_id, deleted.id)
    kept = await owners.kept(paused)
    await owners.webhooks.replace(kept.model_copy(update={"paused_at": None}))
    await replica.courier.round(NOON)
    await replica.courier.round(NOON + 11 * MINUTE)
    assert owners.post.mails == []


async def test_deleted_accounts_get_nothing(owners: Owners) -> None:
    account = await owners.account()
    await owners.failing(DAY, account)
    replica = owners.replica()
    await replica.watch.round(NOON)
    await owners.accounts.replace(account.model_copy(update={"deleted_at": NOON}))
    await replica.courier.round(NOON)
    assert owners.post.mails == []


async def test_what_is_left_of_deleted_webhooks_goes(owners: Owners) -> None:
    webhook = await owners.failing(DAY)
    await owners.webhooks.delete_owned(webhook.account_id, webhook.id)
    await owners.replica().round(NOON)
    assert await owners.healths.of_id(webhook.id) is None
    assert owners.post.mails == []


@pytest.mark.parametrize("resumed", [True, False], ids=["resumed", "changed"])
async def test_a_webhook_that_is_seen_to_at_this_moment_is_not_paused(
    owners: Owners, own_store: Store, *, resumed: bool
) -> None:
    webhook = await owners.failing(6 * DAY)

    async def seen_to() -> None:
        if resumed:
            await owners.healths.forget([webhook.id])
        await owners.webhooks.replace(webhook)

    await owners.replica(webhooks=Interrupted(own_store, seen_to)).watch.round(NOON)
    assert (await owners.kept(webhook)).paused_at is None
    assert await owners.notices.due(NOON, 10) == []


async def test_an_endpoint_that_took_a_mail_at_this_moment_is_not_paused(
    owners: Owners, own_store: Store
) -> None:
    webhook = await owners.failing(6 * DAY)

    async def took() -> None:
        await owners.healths.forget([webhook.id])

    await owners.replica(webhooks=Interrupted(own_store, took)).watch.round(NOON)
    assert (await owners.kept(webhook)).paused_at is None


async def test_what_was_looked_at_does_not_stand_before_the_others(
    owners: Owners, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("conduit_api.endpoint_watch._BATCH", 2)
    for _ in range(4):
        once = await owners.webhook()
        await owners.fail(once, 0 * DAY, until=NOON - 3 * DAY)  # nothing to be done about it
    webhook = await owners.failing(DAY)
    replica = owners.replica()
    for _ in range(3):
        await replica.round(NOON)
    assert owners.post.subjects() == [f"Your webhook is failing: {webhook.address}"]


async def test_a_webhook_switched_off_by_a_410_is_told_once(owners: Owners) -> None:
    webhook = await owners.webhook(active=False)
    for moment in (NOON, NOON + MINUTE):  # two mails got that answer at about the same time
        await owners.notices.add(gone_notice(webhook, moment))
    replica = owners.replica()
    for minute in (0, 1, 2, 3):
        await replica.round(NOON + minute * MINUTE)
    assert owners.post.subjects() == [f"Your webhook is switched off: {webhook.address}"]


async def moments(owners: Owners) -> list[datetime | None]:
    healths = await owners.healths.due(NOON, NOON + 9 * DAY, 10)
    return [health.leased_until for health in healths]


async def test_an_endpoint_is_looked_at_once_an_hour(owners: Owners) -> None:
    await owners.failing(2 * DAY)
    replica = owners.replica()
    for minute in (0, 1, 30, 59):
        await replica.round(NOON + minute * MINUTE)
        assert await moments(owners) == [NOON + HOUR]
    await replica.round(NOON + HOUR)
    assert await moments(owners) == [NOON + 2 * HOUR]
