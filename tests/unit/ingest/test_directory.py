"""Whom a mail is for: exact beats tag beats catch-all, for the account that has the domain."""

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit.errors import StoreUnavailable
from conduit.mail.address import Address, parse_address, parse_forward_path
from conduit.model.ids import Prefix, new_id
from conduit.model.record import utc_now
from conduit.model.webhook import Sealed, Webhook, public_address
from conduit_smtp_ingest.directory import Directory, Found

OWNER, OTHER = "acc_owner", "acc_other"
PUBLIC = "incoming.localhost"


class Records:
    """Webhooks and owners as the store has them, and what it was asked."""

    def __init__(self, *addresses: str, owner: str | None = OWNER) -> None:
        self.webhooks: dict[str, Webhook] = {}
        self.owner = owner
        self.questions: list[Sequence[str]] = []
        self.domains: list[str] = []
        self.away = False
        for address in addresses:
            self.add(address)

    def add(self, address: str, account_id: str = OWNER) -> None:
        """Register a webhook."""
        now = utc_now()
        self.webhooks[address] = Webhook(
            id=new_id(Prefix.WEBHOOK),
            created_at=now,
            updated_at=now,
            account_id=account_id,
            address=address,
            target_url="https://example.com/",
            secret=Sealed("sealed"),
        )

    async def webhooks_of(self, addresses: Sequence[str]) -> Mapping[str, Webhook]:
        """Answer as `Webhooks.of_addresses`."""
        self.questions.append(addresses)
        if self.away:
            raise StoreUnavailable
        return {key: self.webhooks[key] for key in addresses if key in self.webhooks}

    async def owner_of(self, domain: str) -> str | None:
        """Answer as `Domains.verified_by`."""
        self.domains.append(domain)
        return self.owner

    def directory(self) -> Directory:
        """Return a directory with nothing in its memory."""
        return Directory(self.webhooks_of, self.owner_of, seconds=60)

    async def find(self, address: str) -> tuple[str, str | None] | None:
        """Return the address of the webhook that the mail of an address goes to, and the tag."""
        found = await self.directory().find(parse_address(address))
        return None if found is None else (found.webhook.address, found.tag)


@pytest.mark.parametrize(
    ("registered", "address", "found"),
    [
        (["a@x.test"], "a@x.test", ("a@x.test", None)),
        (["a@x.test"], "A@X.Test", ("a@x.test", None)),
        (["a@x.test"], "b@x.test", None),
        (["a@x.test"], "a@y.test", None),
        (["a@x.test"], "a@sub.x.test", None),
        (["a@x.test"], "a+Tag@x.test", ("a@x.test", "Tag")),
        (["a@x.test"], "A+t+u+@x.test", ("a@x.test", "t+u+")),
        (["a@x.test"], "a++@x.test", ("a@x.test", "+")),
        (["a@x.test"], "a+@x.test", ("a@x.test", None)),
        (["a@x.test"], '"a+two words"@x.test', ("a@x.test", "two words")),
        (["a@x.test"], "a+Größe@x.test", ("a@x.test", "Größe")),
        (["a@x.test"], "+a@x.test", None),
        (["a@x.test"], "b+a@x.test", None),
        (["a@x.test"], "a-t@x.test", None),
        (['"a b"@x.test'], '"a b+t"@x.test', ('"a b"@x.test', "t")),
        (["a@x.test", "a+t@x.test"], "a+t@x.test", ("a+t@x.test", None)),
        (["a@x.test", "a+t@x.test"], "a+T@x.test", ("a+t@x.test", None)),
        (["a@x.test", "a+t@x.test"], "a+t+u@x.test", ("a@x.test", "t+u")),
        (["a+t@x.test"], "a+t+u@x.test", None),
        (["a+@x.test", "a@x.test"], "a+@x.test", ("a+@x.test", None)),
        (["+a@x.test"], "+a@x.test", ("+a@x.test", None)),
        (["*@x.test"], "anybody@x.test", ("*@x.test", None)),
        (["*@x.test"], "anybody+T@x.test", ("*@x.test", "T")),
        (["*@x.test"], "+t@x.test", ("*@x.test", None)),
        (["*@x.test"], "postmaster@x.test", ("*@x.test", None)),
        (["*@x.test"], "*@x.test", ("*@x.test", None)),
        (["*@x.test"], '"*"@x.test', ("*@x.test", None)),
        (["*@x.test"], "*+t@x.test", ("*@x.test", "t")),
        (["*@x.test"], "a@sub.x.test", None),
        (["*@x.test"], "a@x.test.example", None),
        (["*@x.test", "a@x.test"], "a@x.test", ("a@x.test", None)),
        (["*@x.test", "a@x.test"], "a+t@x.test", ("a@x.test", "t")),
        (["*@x.test", "a@x.test", "a+t@x.test"], "a+t@x.test", ("a+t@x.test", None)),
        (["a*@x.test"], "ab@x.test", None),
        (["a*@x.test"], "a*+t@x.test", ("a*@x.test", "t")),
        (["*@xn--exmple-cua.test"], "é@EXÄMPLE.test", ("*@xn--exmple-cua.test", None)),
        (["é@x.test"], "E\u0301+t@x.test", ("é@x.test", "t")),
    ],
)
async def test_exact_beats_tag_beats_catch_all(
    registered: list[str], address: str, found: tuple[str, str | None] | None
) -> None:
    assert await Records(*registered).find(address) == found


async def test_a_public_address_takes_tags_and_has_no_owner() -> None:
    address = public_address(new_id(Prefix.WEBHOOK), PUBLIC)
    records = Records(address, owner=None)
    found = await records.directory().find(parse_address(address.replace("@", "+Order-7@")))
    assert found == Found(records.webhooks[address], None, "Order-7")
    assert await records.find(f"nobody+x@{PUBLIC}") is None


@pytest.mark.parametrize("path", ["<Postmaster>", "<a@[192.0.2.1]>", "<a@[IPv6:2001:db8::1]>"])
async def test_an_address_without_a_domain_is_nobodys_and_no_question(path: str) -> None:
    records = Records()
    assert await records.directory().find(parse_forward_path(path)[0]) is None
    assert (records.questions, records.domains) == ([], [])


async def test_a_switched_off_webhook_is_not_passed_over() -> None:
    records = Records("a@x.test", "*@x.test")
    off = records.webhooks["a@x.test"].model_copy(update={"active": False})
    records.webhooks["a@x.test"] = off
    found = await records.directory().find(parse_address("a@x.test"))
    assert found == Found(off, OWNER, None)


async def test_a_leftover_of_a_former_owner_hides_nothing_of_the_new_ones() -> None:
    records = Records("*@x.test")
    records.add("a@x.test", OTHER)
    assert await records.find("a@x.test") == ("*@x.test", None)
    assert await records.find("a+t@x.test") == ("*@x.test", "t")


async def test_a_leftover_catch_all_takes_nothing_of_the_new_owners() -> None:
    records = Records("a@x.test")
    records.add("*@x.test", OTHER)
    assert await records.find("a@x.test") == ("a@x.test", None)
    assert await records.find("b@x.test") is None


async def test_without_an_owner_the_webhook_is_found_so_that_its_mail_can_wait() -> None:
    records = Records("*@x.test", "a@x.test", owner=None)
    assert await records.find("a@x.test") == ("a@x.test", None)
    assert await records.find("b+t@x.test") == ("*@x.test", "t")


async def test_an_address_is_one_question_however_many_webhooks_it_may_mean() -> None:
    records = Records("a@x.test")
    directory = records.directory()
    await directory.find(parse_address("a+t@x.test"))
    assert records.questions == [["a+t@x.test", "a@x.test", "*@x.test"]]
    assert records.domains == ["x.test"]
    await directory.find(parse_address("a+u@x.test"))
    assert records.questions[1:] == [["a+u@x.test"]]
    await directory.find(parse_address("A+T@x.test"))
    await directory.find(parse_address("a@x.test"))
    assert len(records.questions) == 2
    assert records.domains == ["x.test"]


async def test_unknown_addresses_cost_one_question_each_and_none_about_the_owner() -> None:
    records = Records()
    directory = records.directory()
    for number in range(50):
        assert await directory.find(parse_address(f"random{number}@x.test")) is None
    assert records.questions[0] == ["random0@x.test", "*@x.test"]
    assert records.questions[1:] == [[f"random{number}@x.test"] for number in range(1, 50)]
    assert records.domains == []


async def test_a_flood_of_random_addresses_leaves_those_in_use_in_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("conduit_smtp_ingest.directory._KEPT", 10)
    records = Records("*@x.test", "busy@y.test")
    directory = records.directory()
    for number in range(100):
        await directory.find(parse_address(f"random{number}@x.test"))
        await directory.find(parse_address("busy@y.test"))
    asked = [key for question in records.questions for key in question]
    assert asked.count("busy@y.test") == 1
    assert asked.count("*@x.test") == 1


async def test_a_store_that_is_away_is_told_and_not_remembered() -> None:
    records = Records("a@x.test")
    directory = records.directory()
    records.away = True
    with pytest.raises(StoreUnavailable):
        await directory.find(parse_address("a+t@x.test"))
    records.away = False
    found = await directory.find(parse_address("a+t@x.test"))
    assert found == Found(records.webhooks["a@x.test"], OWNER, "t")


@given(st.text(min_size=1).filter(lambda local: "+" not in local), st.text())
async def test_a_tag_is_given_as_it_was_written(local: str, tag: str) -> None:
    base, tagged = Address(local, "x.test"), Address(f"{local}+{tag}", "X.test")
    records = Records(base.key)
    found = await records.directory().find(tagged)
    assert found == Found(records.webhooks[base.key], OWNER, tag or None)
