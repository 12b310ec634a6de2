"""What all sessions of a process share."""

from dataclasses import dataclass
from typing import Protocol

from conduit.settings import Network
from conduit_smtp_ingest.certificate import Certificate
from conduit_smtp_ingest.failures import AuthFailures
from conduit_smtp_ingest.intake import Intake
from conduit_smtp_ingest.limits import Budget, Limits
from conduit_smtp_ingest.sessions import Sessions

TLS_HANDSHAKE = 30.0
"""Seconds that a handshake may take."""


class Verifies(Protocol):
    """Who knows user names and passwords."""

    async def verify(self, username: str, password: str) -> frozenset[str]:
        """Return the policies that have this user; raise Unavailable when it can't be told."""


@dataclass(frozen=True, slots=True)
class Server:
    """The neighbours, bounds and certificate of every session.

    `tls` None: there is no TLS. Connections from `proxies` begin with a PROXY header.
    """

    intake: Intake
    credentials: Verifies
    auth_failures: AuthFailures
    sessions: Sessions
    limits: Limits
    budget: Budget
    tls: Certificate | None
    proxies: tuple[Network, ...] = ()
