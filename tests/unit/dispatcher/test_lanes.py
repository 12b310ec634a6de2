"""In which lane a mail comes back that has to wait."""

from datetime import UTC, datetime, timedelta

import pytest

from conduit.bus.consumer import Again
from conduit.bus.topology import DELIVERIES, DELIVERIES_BULK
from conduit.events import Packet
from conduit_dispatcher.door import PutOff, Why
from conduit_dispatcher.lanes import BULK, HURRY, Lane, parked

PACKET, TOLD = Packet("test", 1, b"{}"), Packet("told", 1, b"{}")


@pytest.mark.parametrize(
    ("lane", "paced", "seconds", "hop", "back"),
    [
        (HURRY, False, 10, 10, DELIVERIES),
        (HURRY, False, 86_400, 86_400, DELIVERIES),
        (HURRY, True, 2, 2, DELIVERIES),
        (HURRY, True, 7_200, 7_200, DELIVERIES),
        (BULK, False, 10, 10, DELIVERIES_BULK),
        (BULK, False, 86_400, 86_400, DELIVERIES_BULK),
        (BULK, True, 2, 2, DELIVERIES),
        (BULK, True, 120, 120, DELIVERIES),
        (BULK, True, 121, 61, DELIVERIES_BULK),
        (BULK, True, 7_200, 7_140, DELIVERIES_BULK),
    ],
)
def test_mail_stays_in_its_lane_but_for_the_last_way_to_a_slot(
    lane: Lane, paced: bool, seconds: float, hop: float, back: str
) -> None:
    found = lane.later(PACKET, seconds, paced=paced, told=TOLD)
    assert found == Again(PACKET, hop, told=TOLD, lane=back)


def test_mail_that_is_parked_is_in_no_hurry() -> None:
    assert parked(PACKET, 50, TOLD) == Again(PACKET, 60, told=TOLD, lane=DELIVERIES_BULK)


@pytest.mark.parametrize(
    ("why", "seconds", "brief"),
    [
        (Why.PACED, 0.5, True),
        (Why.PACED, 9.9, True),
        (Why.PACED, 10, False),
        (Why.BUSY, 0.5, False),
        (Why.FAILING, 0.5, False),
    ],
)
def test_only_mail_that_is_soon_at_its_slot_is_not_held_up(
    why: Why, seconds: float, brief: bool
) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert PutOff(why, now + timedelta(seconds=seconds)).is_brief(now) is brief
