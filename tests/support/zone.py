"""DNS in memory: a second implementation of the Protocol `Dns`, for tests of what asks it."""

from collections.abc import Iterable

from conduit.errors import TemporaryDnsFailure


class Zone:
    """Knows the records that a test sets; other names do not exist.

    `asked` lists the names in the order in which they were asked for.
    """

    def __init__(self, *texts: tuple[str, str]) -> None:
        """Start with TXT records, as (name, text)."""
        self.asked: list[str] = []
        self._records: dict[tuple[str, str], tuple[str, ...]] = {}
        self._failing: set[str] = set()
        for name, text in texts:
            self.set(name, "TXT", text)

    def set(self, name: str, kind: str, *records: str) -> None:
        """Give a name these records of one type, in place of earlier ones."""
        self._records[name.lower(), kind] = records

    def fail(self, *names: str) -> None:
        """Let DNS give no answer about these names."""
        self._failing.update(names)

    async def txt(self, name: str) -> tuple[bytes, ...]:
        """Return each TXT record."""
        return tuple(text.encode("utf-8", "surrogateescape") for text in self._get(name, "TXT"))

    async def a(self, name: str) -> tuple[str, ...]:
        """Return the IPv4 addresses."""
        return tuple(self._get(name, "A"))

    async def aaaa(self, name: str) -> tuple[str, ...]:
        """Return the IPv6 addresses."""
        return tuple(self._get(name, "AAAA"))

    async def mx(self, name: str) -> tuple[str, ...]:
        """Return the mail exchangers."""
        return tuple(self._get(name, "MX"))

    async def ptr(self, name: str) -> tuple[str, ...]:
        """Return the host names."""
        return tuple(self._get(name, "PTR"))

    def _get(self, name: str, kind: str) -> Iterable[str]:
        self.asked.append(name)
        if name in self._failing:
            raise TemporaryDnsFailure(f"no answer about {name}")
        return self._records.get((name.lower(), kind), ())
