"""Identifiers."""

import asyncio
from datetime import timedelta

import pytest
from ulid import ULID

from conduit.model import ids
from conduit.model.ids import Prefix, is_id, made_at, new_id, ulid_of
from conduit.model.record import utc_now
from conduit.model.webhook import public_address


@pytest.mark.parametrize("prefix", Prefix)
def test_a_new_id_has_its_form(prefix: Prefix) -> None:
    made = new_id(prefix)
    assert made.startswith(f"{prefix}_")
    assert made == made.lower()
    assert is_id(prefix, made)
    assert ulid_of(made) == made.partition("_")[2]
    assert not any(is_id(other, made) for other in Prefix if other is not prefix)


def test_ids_sort_as_they_were_made() -> None:
    made = [new_id(Prefix.LOG) for _ in range(10_000)]
    assert made == sorted(set(made))


async def test_ids_of_several_threads_differ() -> None:
    def some() -> list[str]:
        return [new_id(Prefix.LOG) for _ in range(2_000)]

    made = await asyncio.gather(*(asyncio.to_thread(some) for _ in range(4)))
    assert len({each for part in made for each in part}) == 8_000


def test_an_id_tells_when_it_was_made() -> None:
    before = utc_now()
    made = made_at(new_id(Prefix.LOG))
    assert before <= made <= utc_now() + timedelta(milliseconds=1)


@pytest.mark.parametrize("octets", [bytes(10), b"\xff" * 10, bytes(range(246, 256))])
def test_an_id_has_the_moment_and_the_random_octets_of_a_ulid(
    octets: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment = 1_790_000_000_123
    monkeypatch.setattr(ids, "_ulids", ids._Ulids())
    monkeypatch.setattr(ids, "time_ns", lambda: moment * 1_000_000)
    monkeypatch.setattr("os.urandom", lambda count: octets[:count])
    first, second = (ULID.from_str(ulid_of(new_id(Prefix.LOG))) for _ in range(2))
    assert bytes(first) == moment.to_bytes(6, "big") + octets
    assert int(second) == int(first) + 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "wh",
        "wh_",
        "wh_01",
        "wh_01JD000000000000000000000A",
        "wh_01jd00000000000000000000000",
        "wh_81jd0000000000000000000000",
        "wh_01jd000000000000000000000i",
        "wh_01jd000000000000000000000\n",
        "wh_01jd0000000000000000000000\n",
        "wh_wh_01jd000000000000000000000",
        "acc_01jd0000000000000000000000",
        '{"$ne": null}',
    ],
)
def test_what_is_no_webhooks_id(text: str) -> None:
    assert not is_id(Prefix.WEBHOOK, text)


def test_a_public_address_is_made_of_the_id() -> None:
    assert public_address("wh_01abc", "in.example") == "webhook-01abc@in.example"
