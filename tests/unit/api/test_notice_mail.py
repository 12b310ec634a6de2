"""The mails about failing endpoints say what has happened, what follows, and what to do."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from conduit.model.account import Account
from conduit.model.endpoint_health import EndpointHealth
from conduit.model.ids import Prefix, new_id
from conduit.model.notice import Notice, failing_notice, gone_notice, paused_notice
from conduit.model.webhook import Sealed, Webhook
from conduit_api.courier import still_so
from conduit_api.mailer import Mail
from conduit_api.notice_mail import NAMED, NoticeWriter, Subject

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
ERROR = "the endpoint answered 503 Service Unavailable"
WRITER = NoticeWriter("https://conduit.example.com", timedelta(days=14))


def account(timezone: str = "UTC") -> Account:
    return Account(
        id="acc_1",
        created_at=NOON,
        updated_at=NOON,
        email="ann@example.com",
        password_hash="hash",
        timezone=timezone,
    )


def webhook(number: int = 1, **changes: Any) -> Webhook:
    fields: dict[str, Any] = {
        "id": f"wh_{number}",
        "created_at": NOON,
        "updated_at": NOON,
        "account_id": "acc_1",
        "address": f"alerts-{number}@example.org",
        "target_url": "https://hooks.example.com:8443/in/t0ken?key=s3cret",
        "secret": Sealed("sealed"),
    }
    return Webhook(**fields | changes)


def failing(of: Webhook, error: str | None = ERROR, pauses_at: datetime | None = None) -> Notice:
    return failing_notice(of, NOON, error, NOON + DAY, pauses_at)


def mail_about(*notices: Notice, timezone: str = "UTC", **changes: Any) -> Mail:
    subjects = [
        Subject(notice, webhook(number, **changes)) for number, notice in enumerate(notices, 1)
    ]
    return WRITER.mail(account(timezone), subjects)


def test_a_failing_endpoint_is_told_with_its_error_and_what_will_follow() -> None:
    mail = mail_about(failing(webhook(), pauses_at=NOON + 5 * DAY), timezone="Europe/Berlin")
    assert mail.to == "ann@example.com"
    assert mail.subject == "Your webhook is failing: alerts-1@example.org"
    assert mail.link == "https://conduit.example.com/app/webhooks/wh_1"
    for line in (
        "    Endpoint: https://hooks.example.com:8443",
        "    Failing since: 2026-03-01 13:00 (Europe/Berlin)",
        f"    Last error: {ERROR}",
        "    Will be paused, unless it is back: 2026-03-06 13:00 (Europe/Berlin)",
        "    https://conduit.example.com/app/webhooks/wh_1",
    ):
        assert line in mail.text.splitlines()


def test_where_nothing_is_paused_no_date_is_told() -> None:
    assert "Will be paused" not in mail_about(failing(webhook())).text


def test_a_paused_webhook_is_told_with_how_to_resume_it_and_how_long_mail_waits() -> None:
    mail = mail_about(paused_notice(webhook(), NOON, ERROR, NOON + 5 * DAY))
    assert mail.subject == "Your webhook is paused: alerts-1@example.org"
    assert "/resume" in mail.text
    assert "for up to 14 days" in mail.text
    assert "No mail is lost" in mail.text


def test_an_endpoint_that_is_gone_is_told_without_an_error() -> None:
    mail = mail_about(gone_notice(webhook(), NOON))
    assert mail.subject == "Your webhook is switched off: alerts-1@example.org"
    assert "410 Gone" in mail.text
    assert "Last error" not in mail.text


def test_the_rest_of_a_target_is_not_told() -> None:
    for notice in (failing(webhook()), paused_notice(webhook(), NOON, None, NOON)):
        text = mail_about(notice).text
        assert "t0ken" not in text
        assert "s3cret" not in text


def test_several_webhooks_are_one_mail() -> None:
    mail = mail_about(failing(webhook(1)), failing(webhook(2)))
    assert mail.subject == "2 of your webhooks are failing"
    assert mail.link == "https://conduit.example.com/app/webhooks"
    for number in (1, 2):
        assert f"    alerts-{number}@example.org\n" in mail.text


def test_of_very_many_some_are_named_and_the_others_counted() -> None:
    mail = mail_about(*(failing(webhook(number)) for number in range(1, NAMED + 8)))
    assert f"{NAMED + 7} of your webhooks are failing" == mail.subject
    assert mail.text.count("@example.org") == NAMED
    assert "    and 7 more: https://conduit.example.com/app/webhooks\n" in mail.text


def test_an_endpoint_cannot_write_lines_of_the_mail() -> None:
    error = "the endpoint answered 500 x\r\n\r\nYour\u2028password\x1b[2J " + "y" * 1000
    text = mail_about(failing(webhook(), error)).text
    [line] = [line for line in text.splitlines() if "the endpoint answered 500 x" in line]
    assert line.startswith("    Last error: the endpoint answered 500 x Your password [2J yyy")
    assert len(line) < 400


@pytest.mark.parametrize("address", ["größe@example.org", f"{'a' * 28}@example.org"])
def test_an_address_that_would_fold_the_subject_stands_below_only(address: str) -> None:
    mail = mail_about(failing(webhook()), address=address)
    assert mail.subject == "Your webhook is failing: wh_1"
    assert f"    {address}\n" in mail.text


def test_every_subject_fits_on_one_line() -> None:
    of = {"id": new_id(Prefix.WEBHOOK), "address": f"{'a' * 27}@example.org"}
    for notice in (
        failing(webhook()),
        paused_notice(webhook(), NOON, ERROR, NOON),
        gone_notice(webhook(), NOON),
    ):
        for changes in (of, of | {"address": f"{'a' * 60}@example.org"}):
            subject = mail_about(notice, **changes).subject
            assert len(f"Subject: {subject}") <= 78


@pytest.mark.parametrize(
    ("hold", "told"),
    [(timedelta(days=14), "14 days"), (timedelta(days=1), "24 hours"), (DAY / 48, "0.5 hours")],
)
def test_a_time_is_told_in_days_or_hours(hold: timedelta, told: str) -> None:
    writer = NoticeWriter("https://conduit.example.com", hold)
    mail = writer.mail(account(), [Subject(failing(webhook()), webhook())])
    assert f"for up to {told}," in mail.text.replace("\n", " ")


def health(since: datetime = NOON) -> EndpointHealth:
    return EndpointHealth(
        webhook_id="wh_1", failing_since=since, failures=9, last_error=ERROR, last_failed_at=NOON
    )


def test_what_is_no_longer_so_is_known() -> None:
    told = failing(webhook())
    assert still_so(told, webhook(), health())
    assert not still_so(told, webhook(), None)
    assert not still_so(told, webhook(), health(NOON + DAY))
    assert not still_so(told, webhook(active=False), health())
    assert not still_so(told, webhook(paused_at=NOON), health())
    paused = paused_notice(webhook(), NOON, None, NOON)
    assert still_so(paused, webhook(paused_at=NOON), health())
    assert still_so(paused, webhook(paused_at=NOON), None)
    assert not still_so(paused, webhook(), health())
    gone = gone_notice(webhook(), NOON)
    assert still_so(gone, webhook(active=False), None)
    assert not still_so(gone, webhook(), None)
