"""Whose credentials they are: policies and passwords in memory, real bcrypt at its lowest cost."""

import asyncio
import logging
from collections.abc import Sequence

import bcrypt
import pytest

from conduit.errors import StoreUnavailable, Unavailable
from conduit.security.smtp_passwords import OWN_COST, SmtpPasswordHasher
from conduit.store.smtp_policies import PolicyUser
from conduit_smtp_ingest.credentials import Comparisons, Credentials, Overloaded

NOBODY: frozenset[str] = frozenset()


def hash_of(password: str) -> str:
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()


def of_cost(cost: int, number: int = 0) -> str:
    """Return what has the form of a hash of this cost, for a test that compares nothing."""
    return f"$2b${cost:02}${'.' * 22}{number:031}"


HORSE, OTHER_HORSE, STAPLE = hash_of("horse"), hash_of("horse"), hash_of("staple")


class Policies:
    """The users of all policies, by name."""

    def __init__(self, **users: Sequence[tuple[str, str]]) -> None:
        self.users = {
            name: [PolicyUser(policy, f"acc_of_{policy}", hashed) for policy, hashed in found]
            for name, found in users.items()
        }
        self.asked: list[str] = []
        self.failure: Exception | None = None

    async def __call__(self, username: str) -> Sequence[PolicyUser]:
        self.asked.append(username)
        if self.failure is not None:
            raise self.failure
        return self.users.get(username, [])


class Hasher:
    """Compares with real bcrypt when the test lets it, and keeps what it was asked."""

    def __init__(self) -> None:
        self.compared: list[str | None] = []
        self.at_once = 0
        self.open = asyncio.Event()
        self.open.set()
        self._real = SmtpPasswordHasher()

    async def verify(self, hashed: str | None, password: str) -> bool:
        self.compared.append(hashed)
        self.at_once += 1
        assert self.at_once == 1
        try:
            await self.open.wait()
            return hashed is not None and await self._real.verify(hashed, password)
        finally:
            self.at_once -= 1


class Form:
    """Takes the time that a hash asks for on the test's clock; no password is right."""

    def __init__(self, clock: "Clock") -> None:
        self.compared: list[str | None] = []
        self._clock = clock

    async def verify(self, hashed: str | None, _password: str) -> bool:
        self.compared.append(hashed)
        cost = OWN_COST if hashed is None else int(hashed[4:6])
        self._clock.now += 0.07 * 2 ** (cost - OWN_COST)
        return False


class Clock:
    """Time that passes only by waiting for it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def hasher() -> Hasher:
    return Hasher()


class TestWhoIsLetIn:
    @pytest.mark.parametrize(
        ("username", "password", "satisfied"),
        [
            ("alice", "horse", {"pol_1", "pol_2"}),
            ("alice", "staple", {"pol_3"}),
            ("alice", "Horse", set()),
            ("alice", "", set()),
            ("alice", "horse" + "x" * 72, set()),
            ("alice", "horse\0", set()),
            ("Alice", "horse", set()),
            ("alice ", "horse", set()),
            ("bob", "horse", {"pol_4"}),
            ("bob", "staple", set()),
            ("nobody", "horse", set()),
            ("", "horse", set()),
            ("ａlice", "horse", set()),
        ],
    )
    async def test_every_policy_with_this_user_and_password_is_satisfied(
        self, clock: Clock, hasher: Hasher, username: str, password: str, satisfied: set[str]
    ) -> None:
        policies = Policies(
            alice=[("pol_1", HORSE), ("pol_2", OTHER_HORSE), ("pol_3", STAPLE)],
            bob=[("pol_4", HORSE)],
        )
        credentials = Credentials(policies, hasher, clock=clock, sleep=clock.sleep)
        assert await credentials.verify(username, password) == satisfied

    async def test_policies_that_share_a_hash_cost_one_comparison(
        self, clock: Clock, hasher: Hasher
    ) -> None:
        policies = Policies(alice=[(f"pol_{number}", HORSE) for number in range(100)])
        credentials = Credentials(policies, hasher, clock=clock, sleep=clock.sleep)
        assert len(await credentials.verify("alice", "horse")) == 100
        assert hasher.compared == [HORSE]

    async def test_a_name_that_is_too_long_for_any_policy_is_not_looked_up(
        self, clock: Clock, hasher: Hasher
    ) -> None:
        policies = Policies()
        credentials = Credentials(policies, hasher, clock=clock, sleep=clock.sleep)
        assert await credentials.verify("a" * 255, "horse") == NOBODY
        assert await credentials.verify("a" * 256, "horse") == NOBODY
        assert policies.asked == ["a" * 255]
        assert hasher.compared == [None, None]

    async def test_a_hash_that_is_none_lets_nobody_in_and_disturbs_nobody(
        self, clock: Clock, hasher: Hasher
    ) -> None:
        policies = Policies(alice=[("pol_1", "horse"), ("pol_2", "$2b$10$x"), ("pol_3", HORSE)])
        credentials = Credentials(policies, hasher, clock=clock, sleep=clock.sleep)
        assert await credentials.verify("alice", "horse") == {"pol_3"}

    async def test_without_the_store_nothing_can_be_told(
        self, clock: Clock, hasher: Hasher
    ) -> None:
        policies = Policies(alice=[("pol_1", HORSE)])
        policies.failure = StoreUnavailable("away")
        credentials = Credentials(policies, hasher, clock=clock, sleep=clock.sleep)
        with pytest.raises(Unavailable):
            await credentials.verify("alice", "horse")


class TestHowLongARefusalTakes:
    @pytest.mark.parametrize(
        ("hashes", "seconds"),
        [
            ([], 1),
            ([of_cost(4)], 1),
            ([of_cost(OWN_COST)], 1),
            ([of_cost(12)], 1),
            ([of_cost(OWN_COST, number) for number in range(14)], 1),
            ([of_cost(12, number) for number in range(5)], 2),
        ],
    )
    async def test_it_takes_whole_seconds(
        self, clock: Clock, hashes: list[str], seconds: int
    ) -> None:
        began, hasher = clock.now, Form(clock)
        policies = Policies(alice=[(f"pol_{n}", one) for n, one in enumerate(hashes)])
        credentials = Credentials(policies, hasher, clock=clock, sleep=clock.sleep)
        assert await credentials.verify("alice", "x") == NOBODY
        assert clock.now - began == pytest.approx(seconds)
        assert len(hasher.compared) == len(hashes or ["nobody's"])

    async def test_who_is_let_in_does_not_wait(self, clock: Clock, hasher: Hasher) -> None:
        began = clock.now
        policies = Policies(alice=[("pol_1", STAPLE), ("pol_2", HORSE)])
        credentials = Credentials(policies, hasher, clock=clock, sleep=clock.sleep)
        assert await credentials.verify("alice", "horse") == {"pol_2"}
        assert clock.now == began


class TestWork:
    def users(self, account: str, hashes: Sequence[str]) -> list[PolicyUser]:
        return [PolicyUser(f"pol_{account}_{n}", account, one) for n, one in enumerate(hashes)]

    async def compared(self, clock: Clock, users: list[PolicyUser]) -> list[str | None]:
        policies, hasher = Policies(), Form(clock)
        policies.users["alice"] = users
        credentials = Credentials(policies, hasher, clock=clock, sleep=clock.sleep)
        await credentials.verify("alice", "x")
        return hasher.compared

    @pytest.mark.parametrize(
        ("cost", "most"), [(OWN_COST, 20), (OWN_COST + 1, 10), (12, 5), (OWN_COST - 1, 40)]
    )
    async def test_is_bounded_for_one_name(
        self, clock: Clock, caplog: pytest.LogCaptureFixture, cost: int, most: int
    ) -> None:
        hashes = [of_cost(cost, number) for number in range(60)]
        assert await self.compared(clock, self.users("acc_1", hashes)) == hashes[:most]
        [record] = caplog.records
        assert record.getMessage() == "auth.name_in_too_many_policies"
        assert record.levelno == logging.WARNING

    async def test_a_hash_that_asks_for_too_much_is_passed_over(self, clock: Clock) -> None:
        endless, own = of_cost(31), of_cost(OWN_COST)
        assert await self.compared(clock, self.users("acc_1", [endless, own])) == [own]
        assert await self.compared(clock, self.users("acc_1", [endless])) == [None]

    async def test_no_account_pushes_out_another_s_user(self, clock: Clock) -> None:
        many = [of_cost(12, number) for number in range(90)]
        late = of_cost(OWN_COST)
        users = self.users("acc_1", many) + self.users("acc_2", [late])
        assert await self.compared(clock, users) == [many[0], late, *many[1:4]]


class TestFloods:
    async def test_comparisons_are_made_one_at_a_time(self, clock: Clock, hasher: Hasher) -> None:
        policies = Policies(alice=[("pol_1", HORSE), ("pol_2", STAPLE)])
        credentials = Credentials(policies, hasher, clock=clock, sleep=clock.sleep)
        names = ["alice", "nobody"] * 10
        guesses = (credentials.verify(name, f"guess {n}") for n, name in enumerate(names))
        assert await asyncio.gather(*guesses) == [NOBODY] * 20
        assert len(hasher.compared) == 30

    async def test_only_so_many_wait(self, clock: Clock, hasher: Hasher) -> None:
        policies = Policies(alice=[("pol_1", HORSE)])
        credentials = Credentials(policies, hasher, waiting_limit=3, clock=clock, sleep=clock.sleep)
        hasher.open.clear()
        waiting = [asyncio.ensure_future(credentials.verify("nobody", "x")) for _ in range(3)]
        await asyncio.sleep(0)
        for name in ("alice", "nobody"):
            with pytest.raises(Overloaded):
                await credentials.verify(name, "horse")
        hasher.open.set()
        assert await asyncio.gather(*waiting) == [NOBODY] * 3
        assert await credentials.verify("alice", "horse") == {"pol_1"}

    async def test_who_leaves_makes_room(self, clock: Clock, hasher: Hasher) -> None:
        policies = Policies(alice=[("pol_1", HORSE)])
        credentials = Credentials(policies, hasher, waiting_limit=2, clock=clock, sleep=clock.sleep)
        hasher.open.clear()
        leaving = [asyncio.ensure_future(credentials.verify("nobody", "x")) for _ in range(2)]
        await asyncio.sleep(0)
        for one in leaving:
            one.cancel()
        await asyncio.wait(leaving)
        hasher.open.set()
        assert await credentials.verify("alice", "horse") == {"pol_1"}

    async def test_a_client_that_is_known_gets_in_all_the_while(
        self, clock: Clock, hasher: Hasher
    ) -> None:
        policies = Policies(alice=[("pol_1", HORSE)])
        credentials = Credentials(policies, hasher, waiting_limit=1, clock=clock, sleep=clock.sleep)
        assert await credentials.verify("alice", "horse") == {"pol_1"}
        hasher.open.clear()
        flooding = asyncio.ensure_future(credentials.verify("alice", "guess"))
        await asyncio.sleep(0)
        assert await credentials.verify("alice", "horse") == {"pol_1"}
        hasher.open.set()
        assert await flooding == NOBODY


class TestMemory:
    @pytest.fixture
    def policies(self) -> Policies:
        return Policies(alice=[("pol_1", HORSE), ("pol_2", STAPLE)], bob=[("pol_3", HORSE)])

    @pytest.fixture
    def credentials(self, policies: Policies, hasher: Hasher, clock: Clock) -> Credentials:
        return Credentials(policies, hasher, clock=clock, sleep=clock.sleep)

    async def test_who_was_let_in_is_not_compared_again_for_minutes(
        self, credentials: Credentials, hasher: Hasher, clock: Clock
    ) -> None:
        for _ in range(10):
            assert await credentials.verify("alice", "horse") == {"pol_1"}
        assert hasher.compared == [HORSE, STAPLE]
        clock.now += 299
        await credentials.verify("alice", "horse")
        assert len(hasher.compared) == 2
        clock.now += 1
        assert await credentials.verify("alice", "horse") == {"pol_1"}
        assert len(hasher.compared) == 4

    async def test_sessions_that_begin_together_are_compared_once(
        self, credentials: Credentials, hasher: Hasher
    ) -> None:
        logins = (credentials.verify("bob", "horse") for _ in range(50))
        assert await asyncio.gather(*logins) == [{"pol_3"}] * 50
        assert hasher.compared == [HORSE]

    async def test_guesses_are_compared_each_time(
        self, credentials: Credentials, hasher: Hasher
    ) -> None:
        for _ in range(2):
            assert await credentials.verify("alice", "guess") == NOBODY
        assert len(hasher.compared) == 4

    @pytest.mark.parametrize("left", [[], [("pol_1", STAPLE)]])
    async def test_who_is_taken_out_or_gets_another_password_is_out_at_once(
        self, credentials: Credentials, policies: Policies, left: list[tuple[str, str]]
    ) -> None:
        assert await credentials.verify("alice", "horse") == {"pol_1"}
        policies.users["alice"] = Policies(alice=left).users["alice"]
        assert await credentials.verify("alice", "horse") == NOBODY

    async def test_a_policy_that_is_new_is_found_at_once(
        self, credentials: Credentials, policies: Policies
    ) -> None:
        assert await credentials.verify("bob", "horse") == {"pol_3"}
        newer = Policies(bob=[("pol_3", HORSE), ("pol_4", OTHER_HORSE)])
        policies.users["bob"] = newer.users["bob"]
        assert await credentials.verify("bob", "horse") == {"pol_3", "pol_4"}

    def test_is_bounded_and_lets_go_of_what_is_old(self, clock: Clock) -> None:
        comparisons = Comparisons(clock)
        for number in range(10_001):
            comparisons.keep({f"hash {number}": True}, comparisons.mark("x"))
        assert len(comparisons._kept) == 10_000
        assert not comparisons.find(["hash 0"], comparisons.mark("x"))
        assert comparisons.find(["hash 1"], comparisons.mark("x")) == {"hash 1": True}
        clock.now += 300
        comparisons.keep({"newer": True, "wrong": False}, comparisons.mark("x"))
        assert len(comparisons._kept) == 2
        found = comparisons.find(["newer", "wrong", "hash 1"], comparisons.mark("x"))
        assert found == {"newer": True, "wrong": False}

    def test_holds_no_password(self, clock: Clock) -> None:
        one, other = Comparisons(clock), Comparisons(clock)
        assert one.mark("horse") == one.mark("horse") != one.mark("staple")
        assert one.mark("horse") != other.mark("horse"), "its key is this process's own"
        assert one.mark("zürich") == one.mark("zu\u0308rich")
