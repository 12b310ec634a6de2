"""The look-ups that SPF, DKIM, DMARC and ARC need of DNS; `conduit.dns.lookups` makes them."""

from typing import Protocol


class Dns(Protocol):
    """Looks up records by name. Aliases (CNAME) are followed.

    Every method returns () where the name does not exist, has no such records, or is none that
    DNS can hold: mails bring names of all kinds. It raises TemporaryDnsFailure where an answer may
    come later.
    """

    async def txt(self, name: str) -> tuple[bytes, ...]:
        """Return each TXT record with its strings joined."""
        ...

    async def a(self, name: str) -> tuple[str, ...]:
        """Return the IPv4 addresses of a host."""
        ...

    async def aaaa(self, name: str) -> tuple[str, ...]:
        """Return the IPv6 addresses of a host."""
        ...

    async def mx(self, name: str) -> tuple[str, ...]:
        """Return a domain's mail exchangers, the preferred ones first, without a dot at the end."""
        ...

    async def ptr(self, name: str) -> tuple[str, ...]:
        """Return the host names at a reverse name such as `1.2.0.192.in-addr.arpa`."""
        ...
