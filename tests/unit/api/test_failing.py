"""What is done about an endpoint that fails follows from how long it was seen to."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from conduit.model.endpoint_health import EndpointHealth
from conduit.model.webhook import Sealed, Webhook
from conduit_api.failing import Patience, Step, step_of

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)
PATIENCE = Patience(told_after=DAY, paused_after=5 * DAY)


def failing(for_: timedelta, **changes: Any) -> EndpointHealth:
    fields: dict[str, Any] = {
        "webhook_id": "wh_1",
        "failing_since": NOON,
        "failures": 10,
        "last_error": "the endpoint answered 503",
        "last_failed_at": NOON + for_,
    }
    return EndpointHealth(**fields | changes)


def webhook(**changes: Any) -> Webhook:
    fields: dict[str, Any] = {
        "id": "wh_1",
        "created_at": NOON,
        "updated_at": NOON,
        "account_id": "acc_1",
        "address": "alerts@example.org",
        "target_url": "https://example.com/hook",
        "secret": Sealed("sealed"),
    }
    return Webhook(**fields | changes)


@pytest.mark.parametrize(
    ("for_", "step"),
    [
        (timedelta(0), Step.WAIT),
        (DAY - MINUTE, Step.WAIT),
        (DAY, Step.TELL_FAILING),
        (5 * DAY - MINUTE, Step.TELL_FAILING),
        (5 * DAY, Step.PAUSE),
        (20 * DAY, Step.PAUSE),
    ],
)
def test_an_owner_is_told_and_then_the_webhook_paused(for_: timedelta, step: Step) -> None:
    assert step_of(failing(for_), webhook(), NOON + for_, PATIENCE) is step


def test_an_owner_is_told_once() -> None:
    known = {"noticed_at": NOON + DAY}
    for for_ in (DAY, 2 * DAY, 5 * DAY - MINUTE):
        assert step_of(failing(for_, **known), webhook(), NOON + for_, PATIENCE) is Step.WAIT
    later = 5 * DAY
    assert step_of(failing(later, **known), webhook(), NOON + later, PATIENCE) is Step.PAUSE


def test_time_without_calls_is_no_failing() -> None:
    """One call failed, its sender gave up, and no mail came since: nobody knows of these days."""
    once = failing(timedelta(0), failures=1)
    assert step_of(once, webhook(), NOON + 10 * DAY, PATIENCE) is Step.WAIT
    days = failing(2 * DAY, noticed_at=NOON + DAY)
    assert step_of(days, webhook(), NOON + 10 * DAY, PATIENCE) is Step.WAIT


def test_what_failed_long_ago_only_is_forgotten() -> None:
    once = failing(MINUTE)
    assert step_of(once, webhook(), NOON + 30 * DAY, PATIENCE) is Step.WAIT
    assert step_of(once, webhook(), NOON + 31 * DAY, PATIENCE) is Step.FORGET


@pytest.mark.parametrize("which", [None, webhook(active=False)], ids=["deleted", "switched off"])
def test_what_gets_no_calls_any_more_is_forgotten(which: Webhook | None) -> None:
    assert step_of(failing(10 * DAY), which, NOON + 10 * DAY, PATIENCE) is Step.FORGET


def test_a_pause_of_which_nobody_was_told_is_told() -> None:
    paused = webhook(paused_at=NOON + 5 * DAY)
    now = NOON + 5 * DAY + MINUTE
    for told_at in (None, NOON + DAY):
        health = failing(5 * DAY, noticed_at=told_at)
        assert step_of(health, paused, now, PATIENCE) is Step.TELL_PAUSED
    told = failing(5 * DAY, noticed_at=NOON + 5 * DAY)
    assert step_of(told, paused, now, PATIENCE) is Step.WAIT


def test_nothing_is_paused_unless_that_is_wanted() -> None:
    never = Patience(told_after=DAY, paused_after=None)
    told = failing(100 * DAY, noticed_at=NOON + DAY)
    assert step_of(told, webhook(), NOON + 100 * DAY, never) is Step.WAIT
    assert never.pauses_at(told) is None
    assert PATIENCE.pauses_at(told) == NOON + 5 * DAY


def test_what_is_paused_sooner_than_told_is_told_of_the_pause() -> None:
    hasty = Patience(told_after=DAY, paused_after=MINUTE)
    assert step_of(failing(MINUTE), webhook(), NOON + MINUTE, hasty) is Step.PAUSE
    assert hasty.shortest == MINUTE


@pytest.mark.parametrize(
    ("told_after", "between"),
    [(DAY, timedelta(hours=1)), (timedelta(seconds=2), timedelta(seconds=1))],
)
def test_one_endpoint_is_looked_at_so_often(told_after: timedelta, between: timedelta) -> None:
    assert Patience(told_after, None).between_looks == between
