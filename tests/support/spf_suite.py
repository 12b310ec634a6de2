"""The test suite of RFC 7208 (openspf.org, release 2014.04): its cases, and its zones served."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from dns.name import from_text
from dns.rdata import Rdata
from dns.rdata import from_text as rdata_from_text
from dns.rdataclass import IN
from dns.rdatatype import RdataType
from dns.rdtypes.ANY.TXT import TXT

from tests.support.dns import DnsServer, Trouble

PATH = Path(__file__).parents[2] / ".test-data" / "rfc7208-tests.yml"

CASES = 203
"""How many there are."""

_TYPES = {"TXT", "SPF", "A", "AAAA", "MX", "PTR", "CNAME"}


@dataclass(frozen=True)
class Case:
    """A mail, the verdicts that are right, and the explanation, None where it does not matter."""

    name: str
    host: str
    helo: str
    sender: str
    verdicts: frozenset[str]
    explanation: str | None
    zone: Mapping[str, list[Any]]


def cases() -> list[Case]:
    """Return all cases; none when the suite is missing, which a test of its own tells."""
    return list(_cases()) if PATH.exists() else []


def _cases() -> Iterator[Case]:
    for scenario in yaml.safe_load_all(PATH.read_text()):
        for name, test in scenario["tests"].items():
            result = test["result"]
            yield Case(
                name=name,
                host=str(test["host"]),
                helo=test["helo"],
                sender=test["mailfrom"],
                verdicts=frozenset([result] if isinstance(result, str) else result),
                explanation=test.get("explanation"),
                zone=scenario["zonedata"],
            )


def serve(server: DnsServer, case: Case) -> None:
    """Let a server answer for the case's zone."""
    for host, entries in case.zone.items():
        _serve_host(server, host, entries)


def _serve_host(server: DnsServer, host: str, entries: list[Any]) -> None:
    records = [pair for entry in entries if entry != "TIMEOUT" for pair in entry.items()]
    kinds = {kind for kind, _ in records}
    if "TXT" not in kinds:  # most zones have their policies once, for both types
        records += [("TXT", value) for kind, value in records if kind == "SPF"]
    for kind in _TYPES:
        values = [value for its, value in records if its == kind and value != "NONE"]
        if values:
            server.set_rdata(from_text(host), *(_rdata(kind, value) for value in values))
    if "TIMEOUT" in entries:
        served = {kind for kind, value in records if value != "NONE"}
        server.fail(host, Trouble.SILENCE, *(_TYPES - served))


def _rdata(kind: str, value: Any) -> Rdata:
    match kind:
        case "TXT" | "SPF":
            strings = [value] if isinstance(value, str) else value
            octets = [string.encode("latin-1") for string in strings] or [b""]
            return TXT(IN, RdataType.from_text(kind), _pieces(octets))
        case "MX":
            return rdata_from_text("IN", kind, f"{value[0]} {from_text(value[1]).to_text()}")
        case "PTR" | "CNAME":
            return rdata_from_text("IN", kind, from_text(value).to_text())
    return rdata_from_text("IN", kind, value)


def _pieces(strings: list[bytes]) -> list[bytes]:
    """Cut what is longer than a string of DNS may be."""
    return [
        string[start : start + 255]
        for string in strings
        for start in range(0, max(len(string), 1), 255)
    ]
