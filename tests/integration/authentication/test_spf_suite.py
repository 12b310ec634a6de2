"""SPF against the test suite of RFC 7208, with its zones on a DNS server of each case's own."""

import pytest

from conduit.dns.lookups import DnsLookups
from conduit.mail.address import Address
from conduit.mail.authentication.spf import check_spf
from conduit.model.authentication import Spf
from tests.support.dns import DnsServer
from tests.support.spf_suite import CASES, PATH, Case, cases, serve

ALL = cases()

PATIENCE = 5.0
"""Seconds to wait for an answer, which some cases let never come."""

HASTE = 1.0
"""The same where an answer that is only late leads to the right verdict as well."""


def test_the_suite_is_complete() -> None:
    assert len(ALL) == CASES, f"{PATH} is missing or another one: run deploy/local/test-tools"


@pytest.mark.parametrize("case", ALL, ids=lambda case: case.name)
async def test_case(case: Case, dns_server: DnsServer) -> None:
    serve(dns_server, case)
    timeout = HASTE if case.verdicts == {"temperror"} else PATIENCE
    dns = DnsLookups([dns_server.address], timeout=timeout)
    spf = await check_spf(dns, remote_ip=case.host, helo=case.helo, sender=_address(case.sender))
    assert spf.status in case.verdicts, spf.problem
    assert (spf.problem is None) == (spf.status == "pass")
    if case.explanation is not None:
        wanted = "" if case.explanation == "DEFAULT" else case.explanation
        assert _explanation(spf).lower() == wanted.lower()  # hexadecimal digits may be in either


def _address(sender: str) -> Address | None:
    local, _, domain = sender.rpartition("@")
    return Address(local, domain) if sender else None


def _explanation(spf: Spf) -> str:
    assert spf.problem is not None
    return spf.problem.partition(" explains: ")[2]
