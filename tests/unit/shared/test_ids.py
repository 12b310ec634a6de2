"""Identifiers."""

import pytest

from conduit.model.ids import Prefix, is_id, new_id, ulid_of
from conduit.model.webhook import public_address


@pytest.mark.parametrize("prefix", Prefix)
def test_a_new_id_has_its_form(prefix: Prefix) -> None:
    made = new_id(prefix)
    assert made.startswith(f"{prefix}_")
    assert made == made.lower()
    assert is_id(prefix, made)
    assert ulid_of(made) == made.partition("_")[2]
    assert not any(is_id(other, made) for other in Prefix if other is not prefix)


def test_ids_differ() -> None:
    assert len({new_id(Prefix.LOG) for _ in range(1_000)}) == 1_000


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
