"""Failed authentications of one address over time, whichever sessions they were in."""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from conduit.model.remote_address import network_of


@dataclass(slots=True)
class _Window:
    """The failures since the first of them."""

    ends: float
    failures: int = 0


class AuthFailures:
    """Blocks an address for the rest of the window in which it has failed `limit` times.

    The window begins with its first failure and takes `window` seconds. A success takes nothing
    back, or whoever has one user name could try passwords of the others for ever. What is under way
    when the limit is reached still counts, so that the failures are at most the limit and the
    sessions that one address may have.

    At most `size` windows are kept; beyond, the one that ends first is forgotten.
    """

    def __init__(
        self, limit: int, window: float, size: int, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limit = limit
        self._seconds = window
        self._size = size
        self._clock = clock
        self._windows: OrderedDict[str, _Window] = OrderedDict()

    def blocked(self, ip: str) -> bool:
        """Whether this address is refused without a look at its password."""
        window = self._open(network_of(ip))
        return window is not None and window.failures >= self._limit

    def failed(self, ip: str) -> None:
        """Count a failure."""
        network = network_of(ip)
        window = self._open(network) or self._opened(network)
        window.failures += 1

    def _open(self, network: str) -> _Window | None:
        window = self._windows.get(network)
        if window is not None and window.ends <= self._clock():
            del self._windows[network]
            return None
        return window

    def _opened(self, network: str) -> _Window:
        window = self._windows[network] = _Window(self._clock() + self._seconds)
        if len(self._windows) > self._size:
            self._windows.popitem(last=False)
        return window
