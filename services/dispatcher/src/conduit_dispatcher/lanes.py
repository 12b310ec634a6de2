"""Lanes: in which one a mail comes back that has to wait.

On `deliveries` a webhook has no more than its share, for whatever stands there is before the mail
of others. So what is beyond it stays on the bulk lane, its retries too; and mail whose endpoint is
busy or fails goes there, since it comes back in crowds. A slot of a rate limit is to be kept to:
for the last part of the way to it, mail takes the lane on which nothing waits for long.
"""

from dataclasses import dataclass

from conduit.bus.consumer import Again
from conduit.bus.topology import DELIVERIES, DELIVERIES_BULK, rough_delay
from conduit.events import Packet

_FAR = 120.0
"""Seconds to a slot beyond which mail stays on the bulk lane."""

_AHEAD = 60.0
"""Seconds before its slot at which it is back from there, at the latest, if nothing waits there."""


@dataclass(frozen=True, slots=True)
class Lane:
    """A lane, by the queue that its mail comes from."""

    queue: str

    def later(
        self, packet: Packet, seconds: float, *, paced: bool = False, told: Packet | None = None
    ) -> Again:
        """Have a mail of this lane come back at its time; `paced`: that is a slot."""
        if not paced or self.queue == DELIVERIES:
            return Again(packet, seconds, told=told, lane=self.queue)
        if seconds > _FAR:
            return Again(packet, seconds - _AHEAD, told=told, lane=self.queue)
        return Again(packet, seconds, told=told)


HURRY, BULK = Lane(DELIVERIES), Lane(DELIVERIES_BULK)


def parked(packet: Packet, seconds: float, told: Packet | None = None) -> Again:
    """Have a mail come back at about the time when its turn is expected."""
    return Again(packet, rough_delay(seconds), told=told, lane=DELIVERIES_BULK)
