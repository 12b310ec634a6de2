"""Endpoints that fail: who may call, and what is noted, over a store in memory."""

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta

from conduit.errors import StoreUnavailable
from conduit.model.delivery import Result
from conduit.model.endpoint_health import EndpointHealth
from conduit.model.record import utc_now
from conduit_dispatcher.answers import Answer, not_called
from conduit_dispatcher.breaker import Rules
from conduit_dispatcher.endpoints import FINE, Endpoints, Permit

HOUR = timedelta(hours=1)
RULES = Rules(failures=2, first=HOUR, longest=HOUR, jitter=0, probe=HOUR)
DELIVERED = Answer(Result.DELIVERED, 200, None, 1)
FAILED = Answer(Result.TRANSIENT, 500, "the endpoint answered 500", 1)


class Memory:
    """The collection, and what was asked of it."""

    def __init__(self) -> None:
        self.documents: dict[str, EndpointHealth] = {}
        self.writes = 0
        self.away = False

    async def of_id(self, webhook_id: str) -> EndpointHealth | None:
        return self.documents.get(webhook_id)

    async def of_ids(self, webhook_ids: Collection[str]) -> Mapping[str, EndpointHealth]:
        return {name: self.documents[name] for name in webhook_ids if name in self.documents}

    async def write(self, health: EndpointHealth) -> EndpointHealth | None:
        if self.away:
            raise StoreUnavailable("away")
        self.writes += 1
        seen = self.documents.get(health.webhook_id)
        if (seen.version if seen else 0) != health.version:
            return None
        written = health.model_copy(update={"version": health.version + 1})
        self.documents[health.webhook_id] = written
        return written

    async def forget(self, webhook_ids: Sequence[str]) -> None:
        self.writes += 1
        for name in webhook_ids:
            self.documents.pop(name, None)


def endpoints_of(memory: Memory) -> Endpoints:
    return Endpoints(memory, RULES, cache=1000)


async def permitted(endpoints: Endpoints) -> Permit:
    permit = await endpoints.permit("wh_1")
    assert permit is not None
    return permit


async def due(memory: Memory) -> None:
    """Have an endpoint wait for its probe."""
    now = utc_now()
    await memory.write(
        EndpointHealth(
            webhook_id="wh_1",
            failing_since=now - HOUR,
            failures=2,
            last_error="the endpoint answered 500",
            last_failed_at=now,
            retry_at=now,
            pauses=1,
        )
    )


async def test_an_endpoint_that_is_fine_costs_no_write() -> None:
    memory = Memory()
    endpoints = endpoints_of(memory)
    for _ in range(3):
        permit = await permitted(endpoints)
        assert permit is FINE
        await endpoints.note("wh_1", DELIVERED, permit)
    assert memory.writes == 0


async def test_after_failures_in_a_row_nobody_is_let_through() -> None:
    memory = Memory()
    endpoints = endpoints_of(memory)
    for _ in range(2):
        await endpoints.note("wh_1", FAILED, await permitted(endpoints))
    assert await endpoints.permit("wh_1") is None
    assert await endpoints_of(memory).permit("wh_1") is None


async def test_an_answer_between_failures_begins_the_count_anew() -> None:
    memory = Memory()
    endpoints = endpoints_of(memory)
    for answer in (FAILED, DELIVERED, FAILED):
        await endpoints.note("wh_1", answer, await permitted(endpoints))
    assert memory.documents["wh_1"].failures == 1


async def test_one_of_all_has_the_probe_and_its_success_lets_all_through() -> None:
    memory = Memory()
    await due(memory)
    one, other = endpoints_of(memory), endpoints_of(memory)
    await other.health("wh_1")  # which it remembers as due
    probe = await permitted(one)
    assert probe.probe is not None
    assert await other.permit("wh_1") is None
    assert await one.permit("wh_1") is None
    await one.note("wh_1", DELIVERED, probe)
    assert memory.documents == {}
    assert await one.permit("wh_1") is FINE


async def test_a_probe_without_a_call_is_handed_on() -> None:
    memory = Memory()
    await due(memory)
    endpoints = endpoints_of(memory)
    await endpoints.note("wh_1", not_called("payload_template: …"), await permitted(endpoints))
    assert (await permitted(endpoints)).probe is not None


async def test_a_store_that_is_away_fails_no_mail() -> None:
    memory = Memory()
    endpoints = endpoints_of(memory)
    permit = await permitted(endpoints)
    memory.away = True
    await endpoints.note("wh_1", FAILED, permit)
    assert memory.documents == {}


async def test_mails_come_back_one_after_the_other_and_the_first_at_the_end_of_the_pause() -> None:
    endpoints, retry_at = endpoints_of(Memory()), utc_now()
    turns = [endpoints.turn("wh_1", retry_at) for _ in range(10_000)]
    assert turns[0] == retry_at
    assert turns == sorted(turns)
    assert turns[-1] - retry_at == 9_999 * timedelta(milliseconds=20)
    assert endpoints.turn("wh_2", retry_at) == retry_at


async def test_however_many_wait_none_comes_back_later_than_some_minutes_after_it() -> None:
    endpoints, retry_at = endpoints_of(Memory()), utc_now()
    turns = [endpoints.turn("wh_1", retry_at) for _ in range(40_000)]
    assert max(turns) <= retry_at + timedelta(minutes=10)
