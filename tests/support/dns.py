"""A DNS server on loopback, over UDP and TCP, that answers as a test tells it to."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from enum import Enum
from typing import Self, cast

import pytest
from dns import flags, rcode
from dns.exception import DNSException
from dns.message import Message, QueryMessage, from_wire, make_response
from dns.name import Name, from_text, root
from dns.rdata import Rdata
from dns.rdatatype import RdataType
from dns.rrset import RRset, from_rdata
from dns.rrset import from_text as rrset_from_text

_PORT_TRIES = 20


class Trouble(Enum):
    """How a name misbehaves."""

    SERVFAIL = "servfail"
    REFUSED = "refused"
    SILENCE = "silence"


class DnsServer:
    """Knows the records that a test sets. Other names do not exist (NXDOMAIN).

    `questions` lists what was asked, as (name, type, transport). An answer that does not fit into
    UDP is truncated there, so that the client comes again over TCP. `negative_ttl` says for how
    long it may be remembered that something does not exist. It listens on `port`, 0 for a free one.
    """

    def __init__(self, port: int = 0) -> None:
        self._wanted = port
        self.questions: list[tuple[str, str, str]] = []
        self.negative_ttl = 60
        self._records: dict[tuple[Name, RdataType], RRset] = {}
        self._next: dict[tuple[Name, RdataType], RRset] = {}
        self._troubles: dict[tuple[Name, RdataType], Trouble] = {}
        self._tcp: asyncio.Server | None = None
        self._udp: asyncio.DatagramTransport | None = None
        self._connections: set[asyncio.StreamWriter] = set()

    @property
    def port(self) -> int:
        """The port, the same for UDP and TCP."""
        assert self._tcp is not None, "not started"
        return int(self._tcp.sockets[0].getsockname()[1])

    @property
    def address(self) -> str:
        """The address, in the form of CONDUIT_DNS_SERVERS."""
        return f"127.0.0.1:{self.port}"

    def set(self, name: str, kind: str, *records: str, ttl: int = 60) -> None:
        """Give a name these records of one type, in zone-file form, in place of earlier ones."""
        record_set = rrset_from_text(from_text(name), ttl, "IN", kind, *records)
        self._records[record_set.name, record_set.rdtype] = record_set

    def then(self, name: str, kind: str, *records: str, ttl: int = 60) -> None:
        """Give a name these records once it has answered with those that it has now."""
        record_set = rrset_from_text(from_text(name), ttl, "IN", kind, *records)
        self._next[record_set.name, record_set.rdtype] = record_set

    def set_rdata(self, name: Name, *records: Rdata, ttl: int = 60) -> None:
        """Give a name these records of one type, which need no form in text."""
        self._records[name, records[0].rdtype] = from_rdata(name, ttl, *records)

    def set_txt(self, name: str, *texts: str) -> None:
        """Give a name TXT records; each text is split into strings of at most 255 octets."""
        self.set(name, "TXT", *(_quoted(text) for text in texts))

    def remove(self, name: str) -> None:
        """Let a name not exist, nor be in trouble, any more."""
        wanted = from_text(name)
        self.heal(name)
        for key in [key for key in self._records if key[0] == wanted]:
            del self._records[key]

    def fail(self, name: str, trouble: Trouble, *kinds: str) -> None:
        """Let questions for a name fail in this way, of these types or all, until `heal`."""
        for kind in kinds or ("ANY",):
            self._troubles[from_text(name), RdataType.from_text(kind)] = trouble

    def heal(self, name: str) -> None:
        """End a name's trouble."""
        for key in [key for key in self._troubles if key[0] == from_text(name)]:
            del self._troubles[key]

    def asked(self, name: str) -> int:
        """Return how often a name was asked for, over UDP or TCP."""
        return sum(question[0] == from_text(name).to_text() for question in self.questions)

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        for _ in range(_PORT_TRIES):
            self._tcp = await asyncio.start_server(self._converse, "127.0.0.1", self._wanted)
            try:
                self._udp, _ = await loop.create_datagram_endpoint(
                    lambda: _Datagrams(self), ("127.0.0.1", self.port)
                )
            except OSError:  # somebody has this port for UDP
                self._tcp.close()
            else:
                return self
        raise OSError("no port is free for both UDP and TCP")

    async def __aexit__(self, *_: object) -> None:
        assert self._tcp is not None
        assert self._udp is not None
        self._udp.close()
        self._tcp.close()
        for writer in self._connections:
            writer.close()
        await self._tcp.wait_closed()

    def answer(self, wire: bytes, transport: str) -> bytes | None:
        """Return the answer to a question in wire form, None for silence."""
        try:
            query = from_wire(wire)
        except DNSException:
            return None
        assert isinstance(query, QueryMessage)
        question = query.question[0]
        kind = RdataType.to_text(question.rdtype)
        self.questions.append((question.name.to_text(), kind, transport))
        trouble = self._trouble(question.name, question.rdtype)
        if trouble is Trouble.SILENCE:
            return None
        response = make_response(query, recursion_available=True)
        if trouble is not None:
            response.set_rcode(rcode.from_text(trouble.name))
        else:
            self._fill(response, question.name, question.rdtype)
        return _wire(response, query.payload if transport == "udp" else 65535)

    def _trouble(self, name: Name, kind: RdataType) -> Trouble | None:
        return self._troubles.get((name, kind), self._troubles.get((name, RdataType.ANY)))

    def _fill(self, response: Message, name: Name, kind: RdataType) -> None:
        alias = self._records.get((name, RdataType.CNAME))
        if alias is not None and kind is not RdataType.CNAME:
            if alias in response.answer:  # aliases in a circle
                return None
            response.answer.append(alias)
            return self._fill(response, alias[0].target, kind)
        found = self._records.get((name, kind))
        if found is not None:
            response.answer.append(found)
            if (name, kind) in self._next:
                self._records[name, kind] = self._next.pop((name, kind))
            return None
        response.authority.append(self._start_of_authority())
        if not any(known.is_subdomain(name) for known in _names(self._records)):
            response.set_rcode(rcode.NXDOMAIN)
        return None

    def _start_of_authority(self) -> RRset:
        ttl = self.negative_ttl
        return rrset_from_text(root, ttl, "IN", "SOA", f". . 1 3600 600 86400 {ttl}")

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        try:
            while True:
                length = int.from_bytes(await reader.readexactly(2))
                answer = self.answer(await reader.readexactly(length), "tcp")
                if answer is not None:
                    writer.write(len(answer).to_bytes(2) + answer)
        except (asyncio.IncompleteReadError, OSError):  # the client has gone
            writer.close()
        finally:
            self._connections.discard(writer)


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: DnsServer) -> None:
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        answer = self._server.answer(data, "udp")
        if answer is not None:
            self._transport.sendto(answer, addr)


def _names(records: Iterable[tuple[Name, RdataType]]) -> set[Name]:
    return {name for name, _ in records}


def _wire(response: Message, limit: int) -> bytes:
    wire = response.to_wire(max_size=65535)
    if len(wire) <= max(limit, 512):
        return wire
    response.flags |= flags.TC
    response.answer.clear()
    return response.to_wire()


def _quoted(text: str) -> str:
    pieces = [text[start : start + 255] for start in range(0, len(text), 255)] or [""]
    escaped = (piece.replace("\\", "\\\\").replace('"', '\\"') for piece in pieces)
    return " ".join(f'"{piece}"' for piece in escaped)


@pytest.fixture
async def dns_server() -> AsyncIterator[DnsServer]:
    """A DNS server of this test's own."""
    async with DnsServer() as server:
        yield server
