"""Names and addresses of endpoints: who is asked, how often, and what is remembered."""

import asyncio
import socket
from functools import partial

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from conduit.webhook.egress import Egress
from conduit_dispatcher.failures import EgressDenied, Unconnected
from conduit_dispatcher.hosts import Address, JudgedHosts, NamesForTheProxy
from tests.support.polling import eventually

ADDRESSES = ["192.0.2.1", "192.0.2.2", "2001:db8::1"]


class Names(AbstractResolver):
    """Knows the same addresses for every name, or none; answers when it may."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.failure: Exception | None = None
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.closed = False

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked.append(host)
        await self.go_on.wait()
        if self.failure is not None:
            raise self.failure
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=0,
            )
            for address in ADDRESSES
        ]

    async def close(self) -> None:
        self.closed = True


@pytest.fixture
async def names() -> Names:
    """Who is asked."""
    return Names()


@pytest.fixture
async def hosts(names: Names) -> JudgedHosts:
    """What asks."""
    return JudgedHosts(Egress(), names)


async def found(hosts: JudgedHosts, host: str = "a.example") -> list[str]:
    """Return the addresses as text."""
    return [address.host for address in await hosts.addresses(host)]


async def test_addresses_are_remembered_and_used_in_turn(hosts: JudgedHosts, names: Names) -> None:
    one, two, three = ADDRESSES
    assert await found(hosts) == [one, two, three]
    assert await found(hosts) == [two, three, one]
    assert await found(hosts) == [three, one, two]
    assert names.asked == ["a.example"]
    assert [address.family for address in await hosts.addresses("a.example")] == [
        *(socket.AF_INET, socket.AF_INET, socket.AF_INET6)
    ]


async def test_for_some_seconds(
    hosts: JudgedHosts, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    for now, asked in ((1000.0, 1), (1009.9, 1), (1010.1, 2), (1020.0, 2)):
        monkeypatch.setattr("conduit_dispatcher.hosts.monotonic", partial(float, now))
        await found(hosts)
        assert len(names.asked) == asked


async def test_so_many_names_at_most(hosts: JudgedHosts, names: Names) -> None:
    for number in range(1001):
        await found(hosts, f"{number}.example")
    await found(hosts, "1000.example")
    await found(hosts, "1.example")
    assert len(names.asked) == 1001
    await found(hosts, "0.example")
    assert len(names.asked) == 1002


async def test_who_asks_the_same_waits_for_the_same_answer(
    hosts: JudgedHosts, names: Names
) -> None:
    names.go_on.clear()
    first, *others = [asyncio.create_task(found(hosts)) for _ in range(5)]
    await eventually(lambda: names.asked, what="the question")
    first.cancel()
    names.go_on.set()
    assert [set(addresses) for addresses in await asyncio.gather(*others)] == [set(ADDRESSES)] * 4
    assert first.cancelled()
    assert names.asked == ["a.example"]


@pytest.mark.parametrize("failure", [OSError("no"), UnicodeError("label too long")])
async def test_that_there_is_no_answer_is_not_remembered(
    hosts: JudgedHosts, names: Names, failure: Exception
) -> None:
    names.failure = failure
    for _ in range(2):
        with pytest.raises(Unconnected, match=r"^the name a\.example cannot be resolved$"):
            await found(hosts)
    assert len(names.asked) == 2


@pytest.mark.parametrize(
    ("address", "family"), [("10.0.0.1", socket.AF_INET), ("fd00::1", socket.AF_INET6)]
)
async def test_an_address_is_its_own(
    hosts: JudgedHosts, names: Names, address: str, family: int
) -> None:
    assert await hosts.addresses(address) == (Address(family, address),)
    assert names.asked == []


@pytest.mark.parametrize("host", ["localhost", "a.localhost", "0x7f.1"])
async def test_what_may_not_be_called_is_asked_of_nobody(
    hosts: JudgedHosts, names: Names, host: str
) -> None:
    for judge in (hosts, NamesForTheProxy(Egress())):
        with pytest.raises(EgressDenied):
            await judge.addresses(host)
    assert names.asked == []


async def test_the_end_ends_questions(hosts: JudgedHosts, names: Names) -> None:
    names.go_on.clear()
    question = asyncio.create_task(found(hosts))
    await eventually(lambda: names.asked, what="the question")
    await hosts.close()
    await asyncio.wait([question])
    assert question.cancelled()
    assert names.closed
