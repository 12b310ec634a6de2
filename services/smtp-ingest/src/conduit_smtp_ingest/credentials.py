"""Whose user name and password they are.

AUTH comes before any recipient, so that every policy with this user name is asked, whichever
account it is of. What a stranger may learn and cost is bounded:

- A name that is in no policy costs one comparison too, with a hash of the cost that ours have. A
  name that is in several policies, or whose hash was brought with another cost, takes longer or
  shorter. So a refusal waits for the next full second since it was asked for: its time tells
  nothing of a name whose comparisons stay below that.
- Comparisons are made one at a time, all names' by turns, each in some 70 ms of one core at our
  cost. They never take more than one core of a process. Beyond a number that wait, the
  others are told to come later.
- For one name no more is computed than 20 hashes of our cost ask for. Accounts take turns, so that
  none of them can push out another's user by giving the same name to many of its own.

What remains is that the wait of others tells that somebody's comparisons take long, and that a
refusal takes a second more for a name with a second's worth of hashes.
"""

import asyncio
import hmac
import logging
import secrets
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain, zip_longest
from typing import NamedTuple, Protocol

from conduit.errors import Unavailable
from conduit.security.smtp_passwords import OWN_COST, cost_of, octets_of
from conduit.store.smtp_policies import PolicyUser

log = logging.getLogger(__name__)

MOST_USERS = 100
"""Policies that are read for one user name."""

_LONGEST_USERNAME = 255  # characters, RFC 4616 §2; policies take fewer
_MOST_WORK = 20 << OWN_COST  # rounds of bcrypt for one authentication
_WAITING = 128  # authentications, some 9 s at our cost
_REFUSAL = 1.0  # seconds, of which a refusal takes a whole number
_REMEMBERED = 300.0  # seconds
_MOST_REMEMBERED = 10_000  # comparisons, some 3 MB


class Overloaded(Unavailable):
    """Too many authentications wait for their turn."""


class Verifies(Protocol):
    """What compares passwords; None is nobody's hash and takes as long as one of ours."""

    async def verify(self, hashed: str | None, password: str) -> bool:
        """Whether the password is right."""


class Credentials:
    """Verifies what clients authenticate with.

    `users_of` gives the users of a name, at most MOST_USERS. Whoever is taken out of a policy, or
    gets another password, is refused as soon as it tells so.
    """

    def __init__(
        self,
        users_of: Callable[[str], Awaitable[Sequence[PolicyUser]]],
        hasher: Verifies,
        *,
        waiting_limit: int = _WAITING,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._users_of = users_of
        self._hasher = hasher
        self._waiting_limit = waiting_limit
        self._clock = clock
        self._sleep = sleep
        self._waiting = 0
        self._turn = asyncio.Lock()
        self._comparisons = Comparisons(clock)

    async def verify(self, username: str, password: str) -> frozenset[str]:
        """Return the ids of the policies that have this user with this password; none: refuse.

        Raise Unavailable when it cannot be told at present.
        """
        began = self._clock()
        users: Sequence[PolicyUser] = ()
        if len(username) <= _LONGEST_USERNAME:
            users = await self._users_of(username)
        right = await self._right(username, users, password)
        satisfied = frozenset(user.policy_id for user in users if user.password_hash in right)
        if not satisfied:
            await self._sleep(_REFUSAL - (self._clock() - began) % _REFUSAL)
        return satisfied

    async def _right(self, username: str, users: Sequence[PolicyUser], password: str) -> set[str]:
        """Return the hashes that are of this password."""
        hashes = _affordable(users)
        if len(hashes) < len({user.password_hash for user in users}):
            log.warning("auth.name_in_too_many_policies", extra={"username": username})
        mark = self._comparisons.mark(password)
        outcomes = self._comparisons.find(hashes, mark)
        if not hashes or len(outcomes) < len(hashes):
            with self._queued():
                outcomes = {one: await self._compare(one, password, mark) for one in hashes}
                if not hashes:
                    await self._compare(None, password, mark)
        right = {hashed for hashed, is_right in outcomes.items() if is_right}
        if right:
            self._comparisons.keep(outcomes, mark)
        return right

    @contextmanager
    def _queued(self) -> Iterator[None]:
        if self._waiting >= self._waiting_limit:
            raise Overloaded("too many authentications at a time")
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1

    async def _compare(self, hashed: str | None, password: str, mark: bytes) -> bool:
        async with self._turn:
            # Another session of the same client may have asked meanwhile.
            known = self._comparisons.find([hashed] if hashed else [], mark)
            return any(known.values()) if known else await self._hasher.verify(hashed, password)


class _Outcome(NamedTuple):
    right: bool
    ends: float


class Comparisons:
    """What passwords have been compared with, of authentications that went through.

    A device that authenticates for each of its mails costs bcrypt's work once in five minutes. This
    opens no door: what is kept is that a password belongs to a hash, which stays true, and whether
    the hash is still in a policy is asked each time. Guesses that fail are not kept, since no two
    are alike.

    A password is kept as its HMAC under a key that only this process has, and no longer than those
    minutes: without the key nothing can be tried against it, unlike a plain digest.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._key = secrets.token_bytes(32)
        self._kept: OrderedDict[tuple[str, bytes], _Outcome] = OrderedDict()

    def mark(self, password: str) -> bytes:
        """Return what a password is known by."""
        return hmac.digest(self._key, octets_of(password), "sha256")

    def find(self, hashes: Iterable[str], mark: bytes) -> dict[str, bool]:
        """Return how those comparisons came out that are known."""
        now = self._clock()
        kept = ((hashed, self._kept.get((hashed, mark))) for hashed in hashes)
        return {hashed: entry.right for hashed, entry in kept if entry and entry.ends > now}

    def keep(self, outcomes: Mapping[str, bool], mark: bytes) -> None:
        """Keep how comparisons with one password came out, those that are known for no longer."""
        now = self._clock()
        for hashed in outcomes.keys() - self.find(outcomes, mark).keys():
            self._kept[hashed, mark] = _Outcome(outcomes[hashed], now + _REMEMBERED)
            self._kept.move_to_end((hashed, mark))
        while self._kept and (len(self._kept) > _MOST_REMEMBERED or self._first_ends <= now):
            self._kept.popitem(last=False)

    @property
    def _first_ends(self) -> float:
        return next(iter(self._kept.values())).ends


def _affordable(users: Sequence[PolicyUser]) -> list[str]:
    """Return the hashes to compare with, each once, within the bound on work."""
    left = _MOST_WORK
    affordable = []
    for hashed in _by_turns(users):
        cost = cost_of(hashed)
        work = 1 << (OWN_COST if cost is None else cost)
        if work <= left:
            left -= work
            affordable.append(hashed)
    return affordable


def _by_turns(users: Sequence[PolicyUser]) -> list[str]:
    """Return each hash once: the first of each account, then the second of each, and so on."""
    of_account: dict[str, list[str]] = {}
    for user in users:
        of_account.setdefault(user.account_id, []).append(user.password_hash)
    turns = chain.from_iterable(zip_longest(*of_account.values()))
    return list(dict.fromkeys(filter(None, turns)))
