"""All that is found out about who a mail is from, within one deadline and whatever happens."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from conduit.mail.address import Address, AddressError, ascii_domain
from conduit.mail.authentication.arc import check_arc
from conduit.mail.authentication.dkim import check_dkim
from conduit.mail.authentication.dmarc import check_dmarc
from conduit.mail.authentication.dns import Dns
from conduit.mail.authentication.spf_memory import SpfMemory
from conduit.mail.public_suffixes import public_suffixes
from conduit.model.authentication import (
    Arc,
    ArcStatus,
    AuthResults,
    Dkim,
    DkimStatus,
    Dmarc,
    DmarcStatus,
    Spf,
    SpfScope,
    SpfStatus,
)

log = logging.getLogger(__name__)

R = TypeVar("R")

_FOR_THE_CHECKS = 0.9
"""The share of the time that SPF, DKIM and ARC have; what is left is for DMARC, which waits."""

_Open = Callable[[str], R]
"""Makes the result that leaves a question open, of why it is open."""


class Authenticator:
    """Asks SPF, DKIM, DMARC and ARC about mails."""

    def __init__(self, dns: Dns, *, signature_limit: int, timeout: float) -> None:
        self._dns = dns
        self._spf = SpfMemory(dns)
        self._signature_limit = signature_limit
        self._timeout = timeout
        public_suffixes()  # loaded here, so that no mail waits for it

    async def results(
        self, raw: bytes, *, remote_ip: str, helo: str, sender: Address | None
    ) -> AuthResults:
        """Return all results within the timeout (s); what is open by then is a temperror.

        So is what a checker stumbles over, which is logged: a fault of ours is no word on a mail.
        Nothing is raised.
        """
        start = asyncio.get_running_loop().time()
        checks = _Deadline(start + self._timeout * _FOR_THE_CHECKS, self._timeout)
        end = _Deadline(start + self._timeout, self._timeout)
        spf, dkim, arc = await asyncio.gather(
            checks.held(
                "spf",
                self._spf.check(
                    remote_ip=remote_ip, helo=helo, sender=sender, timeout=self._timeout
                ),
                _open_spf(helo, sender),
            ),
            checks.held(
                "dkim",
                check_dkim(self._dns, raw, limit=self._signature_limit, deadline=checks.at),
                _open_dkim,
            ),
            checks.held("arc", check_arc(self._dns, raw, deadline=checks.at), _open_arc),
        )
        dmarc = await end.held("dmarc", check_dmarc(self._dns, raw, spf, dkim), _open_dmarc)
        return AuthResults(spf, dkim, dmarc, arc)


@dataclass(frozen=True, slots=True)
class _Deadline:
    """A moment on the loop's clock, at the end of `timeout` seconds or a little before it."""

    at: float
    timeout: float

    async def held(self, name: str, check: Coroutine[Any, Any, R], open_: _Open[R]) -> R:
        """Return what a check finds, or that it is open."""
        limit = asyncio.timeout_at(self.at)
        try:
            async with limit:
                return await check
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and _is_cancelled():
                raise
            if limit.expired():
                return open_(f"not found out within {self.timeout:g} s")
            log.exception("authentication.failed", extra={"check": name})
            return open_("an internal fault")


def _is_cancelled() -> bool:
    """Whether it is us who are cancelled, rather than something that a check waited for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _open_spf(helo: str, sender: Address | None) -> _Open[Spf]:
    scope = SpfScope.HELO if sender is None else SpfScope.MAIL_FROM
    domain = helo[:255].removesuffix(".") if sender is None else sender.domain
    try:
        name = ascii_domain(domain)
    except AddressError:  # a HELO may be anything
        name = ""
    return lambda problem: Spf(SpfStatus.TEMPERROR, scope, name, problem)


def _open_dkim(problem: str) -> tuple[Dkim, ...]:
    return (Dkim(DkimStatus.TEMPERROR, "", "", "", problem),)


def _open_arc(problem: str) -> Arc:
    return Arc(ArcStatus.TEMPERROR, problem=problem)


def _open_dmarc(problem: str) -> Dmarc:
    return Dmarc(DmarcStatus.TEMPERROR, "", problem=problem)
