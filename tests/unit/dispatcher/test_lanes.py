"""In which lane a mail comes back that has to wait."""

import pytest

from conduit.bus.consumer import Again
from conduit.bus.topology import DELIVERIES, DELIVERIES_BULK
from conduit.events import Packet
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
