"""All four checks within one deadline, whatever becomes of any of them."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from types import ModuleType
from typing import Any, NoReturn

import pytest

from conduit.mail.address import Address
from conduit.mail.authentication import authenticate, spf_memory
from conduit.mail.authentication.authenticate import Authenticator
from conduit.model.authentication import (
    ArcStatus,
    AuthResults,
    DkimStatus,
    DmarcStatus,
    SpfScope,
    SpfStatus,
)
from tests.support.signing import SigningKey
from tests.support.zone import Zone

KEY = SigningKey.rsa()
MAIL = (
    b"From: Ann <ann@example.com>\r\nTo: bob@example.org\r\nSubject: Hello\r\n"
    b"Date: Fri, 20 Nov 2026 10:00:00 +0000\r\n\r\nHello Bob\r\n"
)
SIGNED = KEY.sign(MAIL)
SENDER = Address("bounces", "Example.COM")
LONG = 60.0  # seconds, which no test takes
SHORT = 0.3

Check = Callable[..., Coroutine[Any, Any, Any]]


def place_of(check: str) -> ModuleType:
    """The module in which a check is called by its name."""
    return spf_memory if check == "check_spf" else authenticate


CHECKS = ("check_spf", "check_dkim", "check_dmarc", "check_arc")


@pytest.fixture
def zone() -> Zone:
    """DNS of example.com, which has all that it should have."""
    zone = Zone(
        KEY.record,
        ("example.com", "v=spf1 ip4:192.0.2.1 -all"),
        ("_dmarc.example.com", "v=DMARC1; p=reject"),
    )
    zone.set("mx.example.com", "TXT", "v=spf1 ip4:192.0.2.1 -all")
    return zone


async def results(
    zone: Zone, raw: bytes = SIGNED, *, timeout: float = LONG, **changes: Any
) -> AuthResults:
    session: dict[str, Any] = {
        "remote_ip": "192.0.2.1",
        "helo": "mx.example.com",
        "sender": SENDER,
    }
    authenticator = Authenticator(zone, signature_limit=5, timeout=timeout)
    return await authenticator.results(raw, **session | changes)


def words(results: AuthResults) -> dict[str, str]:
    return {
        "check_spf": results.spf.status,
        "check_dkim": " ".join(each.status for each in results.dkim),
        "check_dmarc": results.dmarc.status,
        "check_arc": results.arc.status,
    }


ALL_WELL = dict(zip(CHECKS, ("pass", "pass", "pass", "none"), strict=True))


async def test_a_mail_that_is_what_it_says(zone: Zone) -> None:
    found = await results(zone)
    assert words(found) == ALL_WELL
    assert (found.spf.domain, found.spf.scope) == ("example.com", SpfScope.MAIL_FROM)
    assert [each.domain for each in found.dkim] == ["example.com"]
    assert (found.dmarc.domain, found.dmarc.policy) == ("example.com", "reject")


async def test_a_forged_mail(zone: Zone) -> None:
    found = await results(zone, SIGNED + b"and more\r\n", remote_ip="198.51.100.1")
    assert (found.spf.status, found.dmarc.status) == (SpfStatus.FAIL, DmarcStatus.FAIL)
    assert [each.status for each in found.dkim] == [DkimStatus.FAIL]


async def test_the_null_reverse_path(zone: Zone) -> None:
    found = await results(zone, MAIL, sender=None)
    assert (found.spf.scope, found.spf.domain) == (SpfScope.HELO, "mx.example.com")
    assert (found.spf.status, found.dkim) == (SpfStatus.PASS, ())
    assert found.dmarc.status is DmarcStatus.PASS


async def test_only_so_many_signatures_are_looked_into(zone: Zone) -> None:
    raw = MAIL
    for _ in range(7):
        raw = KEY.sign(raw)
    assert len((await results(zone, raw)).dkim) == 5


async def test_dns_that_fails_is_a_temperror(zone: Zone) -> None:
    zone.fail("example.com", KEY.name, "_dmarc.example.com")
    found = await results(zone)
    assert words(found) == {
        **dict.fromkeys(CHECKS, "temperror"),
        "check_arc": "none",
    }


async def hang(*_: object, **__: object) -> NoReturn:
    await asyncio.Event().wait()
    raise AssertionError


async def stumble(*_: object, **__: object) -> NoReturn:
    raise IndexError("a fault")


async def time_out(*_: object, **__: object) -> NoReturn:
    raise TimeoutError("a neighbour's")


async def give_up(*_: object, **__: object) -> NoReturn:
    raise asyncio.CancelledError


async def test_what_is_open_at_the_deadline_is_a_temperror(
    zone: Zone, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DMARC passes by what is left: both vouch for this mail, and one is enough."""
    monkeypatch.setattr(spf_memory, "check_spf", hang)
    found = await asyncio.wait_for(results(zone, timeout=5), 30)
    assert words(found) == ALL_WELL | {"check_spf": "temperror"}


async def test_all_of_them_together_have_one_deadline(
    zone: Zone, monkeypatch: pytest.MonkeyPatch
) -> None:
    for check in CHECKS:
        monkeypatch.setattr(place_of(check), check, hang)
    found = await asyncio.wait_for(results(zone, timeout=SHORT), 30)
    assert words(found) == dict.fromkeys(CHECKS, "temperror")
    assert (found.spf.domain, found.spf.scope) == ("example.com", SpfScope.MAIL_FROM)
    assert "0.3 s" in (found.arc.problem or "")


@pytest.mark.parametrize("fault", [stumble, time_out, give_up])
@pytest.mark.parametrize("check", CHECKS)
async def test_a_fault_of_ours_is_a_temperror_and_is_logged(
    zone: Zone,
    check: str,
    fault: Check,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(place_of(check), check, fault)
    found = await results(zone)
    assert words(found) == ALL_WELL | {check: "temperror"}
    [record] = [each for each in caplog.records if each.levelno >= logging.ERROR]
    assert record.message == "authentication.failed"
    assert record.exc_info


async def test_a_helo_that_is_no_name_is_no_fault(
    zone: Zone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spf_memory, "check_spf", stumble)
    found = await results(zone, sender=None, helo="\ud800 \x80.x" * 100)
    assert (found.spf.status, found.spf.domain) == (SpfStatus.TEMPERROR, "")


async def test_a_client_without_an_address_is_open(zone: Zone) -> None:
    found = await results(zone, remote_ip="")
    assert found.spf.status is SpfStatus.TEMPERROR
    assert found.arc.status is ArcStatus.NONE


async def test_whoever_is_cancelled_stops(zone: Zone, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = asyncio.Event()

    async def wait(*_: object, **__: object) -> NoReturn:
        begun.set()
        await hang()

    monkeypatch.setattr(authenticate, "check_dkim", wait)
    task = asyncio.create_task(results(zone))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
