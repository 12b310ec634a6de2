"""Verdicts of SPF, remembered for a moment."""

from collections import OrderedDict
from time import monotonic

from conduit.mail.address import Address
from conduit.mail.authentication.dns import Dns
from conduit.mail.authentication.spf import TIME_LIMIT, check_spf
from conduit.model.authentication import Spf, SpfStatus

SECONDS = 30.0
"""How long; a changed record works as soon as one with so short a TTL may."""

_Question = tuple[str, str, Address | None]


class SpfMemory:
    """Checks SPF once in some seconds for the same client, HELO and sender.

    Evaluating a record takes milliseconds of the CPU's time even where DNS costs nothing, so a
    flood from one sender would keep everybody waiting. At most `size` verdicts are remembered, and
    never one that says that DNS failed.
    """

    def __init__(self, dns: Dns, *, seconds: float = SECONDS, size: int = 4096) -> None:
        self._dns = dns
        self._seconds = seconds
        self._size = size
        self._verdicts: OrderedDict[_Question, tuple[float, Spf]] = OrderedDict()

    async def check(
        self, *, remote_ip: str, helo: str, sender: Address | None, timeout: float = TIME_LIMIT
    ) -> Spf:
        """Return what `check_spf` says or has just said."""
        question = remote_ip, helo, sender
        expires, verdict = self._verdicts.get(question, (0.0, None))
        if verdict is not None and expires > monotonic():
            return verdict
        verdict = await check_spf(
            self._dns, remote_ip=remote_ip, helo=helo, sender=sender, timeout=timeout
        )
        if verdict.status is not SpfStatus.TEMPERROR:
            self._remember(question, verdict)
        return verdict

    def _remember(self, question: _Question, verdict: Spf) -> None:
        self._verdicts[question] = monotonic() + self._seconds, verdict
        self._verdicts.move_to_end(question)
        if len(self._verdicts) > self._size:
            self._verdicts.popitem(last=False)
