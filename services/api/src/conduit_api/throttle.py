"""How often one may try: limits per client address and per account, kept in this process.

Replicas count for themselves, so that with n of them n times as much gets through; what bounds
guessing is the order of magnitude.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from conduit.model.remote_address import network_of
from conduit_api.errors import TooManyRequests
from conduit_api.settings import ThrottleSettings

_CAPACITY = 100_000  # keys; some 20 MB

_NOTED = 10
"""Refused sign-ins of one account that the audit log tells of in the window: a flood of wrong
passwords must not push everything else out of sight."""


class Throttle:
    """Lets each key through `limit` times in `window` seconds, at once or spread.

    The generic cell rate algorithm (ITU-T I.371): one moment for each key, at which its whole
    allowance would be there again. Beyond `capacity` keys, the one seen longest ago is forgotten.
    """

    def __init__(
        self,
        limit: int,
        window: float,
        *,
        capacity: int = _CAPACITY,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._interval = window / limit
        self._window = window
        self._capacity = capacity
        self._clock = clock
        self._replete_at: OrderedDict[str, float] = OrderedDict()

    def wait(self, key: str) -> float:
        """Count one try and return 0, or return the seconds until one is allowed."""
        now = self._clock()
        replete_at = max(self._replete_at.get(key, now), now) + self._interval
        excess = replete_at - now - self._window
        if excess > self._interval * 1e-6:  # rounding
            return excess
        self._replete_at[key] = replete_at
        self._replete_at.move_to_end(key)
        if len(self._replete_at) > self._capacity:
            self._replete_at.popitem(last=False)
        return 0.0


class Attempts:
    """The two limits of one kind of attempt."""

    def __init__(self, per_address: Throttle, per_account: Throttle) -> None:
        self._per_address = per_address
        self._per_account = per_account

    def admit(self, address: str, account: str) -> None:
        """Count an attempt, or raise TooManyRequests.

        What the address may not do any more does not count against the account, whose owner comes
        from elsewhere.
        """
        wait = self._per_address.wait(network_of(address)) or self._per_account.wait(account)
        if wait:
            raise TooManyRequests(wait)


@dataclass(frozen=True, slots=True)
class Throttles:
    """The limits of all that is limited."""

    sign_in: Attempts
    sign_up: Attempts
    refresh: Attempts
    code: Attempts
    reset: Attempts
    noted: Throttle
    simulation: Throttle
    download: Throttle

    @classmethod
    def configured(cls, settings: ThrottleSettings) -> "Throttles":
        """Return the limits that the settings ask for, with nothing counted yet."""

        def attempts(per_address: int, per_account: int) -> Attempts:
            window = settings.api_throttle_window
            return Attempts(Throttle(per_address, window), Throttle(per_account, window))

        return cls(
            sign_in=attempts(settings.api_sign_ins_per_address, settings.api_sign_ins_per_account),
            sign_up=attempts(settings.api_sign_ups_per_address, settings.api_sign_ups_per_account),
            refresh=attempts(
                settings.api_refreshes_per_address, settings.api_refreshes_per_account
            ),
            code=attempts(settings.api_codes_per_address, settings.api_codes_per_account),
            reset=attempts(settings.api_resets_per_address, settings.api_resets_per_account),
            noted=Throttle(_NOTED, settings.api_throttle_window),
            simulation=Throttle(settings.api_simulations_per_account, settings.api_throttle_window),
            download=Throttle(settings.api_downloads_per_address, settings.api_throttle_window),
        )
