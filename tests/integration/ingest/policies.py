"""Policies, and senders with what DNS says of them, for an ingest that looks into every mail."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from uuid import uuid4

import bcrypt

from conduit.model.ids import Prefix, new_id
from conduit.model.policy import Credential, SmtpPolicy
from conduit.model.record import utc_now
from conduit.model.webhook import Webhook
from conduit.store.connection import Store
from conduit.store.smtp_policies import SmtpPolicies
from tests.support.dns import DnsServer
from tests.support.signing import SigningKey
from tests.support.smtp import Client, greeted

PROXY = "127.0.0.7"
"""Whoever connects from here begins with a PROXY header, and so has any address."""

QUEUED = "250 2.0.0 queued as "
NewPolicy = Callable[..., Awaitable[SmtpPolicy]]


@dataclass(frozen=True)
class Sender:
    """A domain of its own, what DNS says of it, and what it sends."""

    domain: str
    dns: DnsServer

    @property
    def address(self) -> str:
        """Who sends."""
        return f"ann@{self.domain}"

    def spf(self, record: str = "v=spf1 ip4:127.0.0.1 -all") -> None:
        """Let the domain have an SPF record; by default one that permits the tests' clients."""
        self.dns.set_txt(self.domain, record)

    def dmarc(self, record: str = "v=DMARC1; p=reject") -> None:
        """Let the domain have a DMARC record."""
        self.dns.set_txt(f"_dmarc.{self.domain}", record)

    def key(
        self, bits: int = 2048, *, selector: str = "s1", domain: str | None = None
    ) -> SigningKey:
        """Return an RSA key, published."""
        return self._published(replace(SigningKey.rsa(bits), selector=selector), domain)

    def ed25519(self) -> SigningKey:
        """Return an ed25519 key, published."""
        return self._published(SigningKey.ed25519(), None)

    def _published(self, key: SigningKey, domain: str | None) -> SigningKey:
        key = replace(key, domain=domain or self.domain)
        self.dns.set_txt(*key.record)
        return key

    def mail(self, body: str = "Hello.\r\n") -> bytes:
        """Return a mail, not signed."""
        return (
            f"From: Ann <{self.address}>\r\nTo: bob@example.org\r\nSubject: Greetings\r\n"
            f"Date: Fri, 21 Nov 2025 14:00:00 +0000\r\nMessage-ID: <1@{self.domain}>\r\n\r\n{body}"
        ).encode()


def new_sender(dns: DnsServer) -> Sender:
    """Return a sender whose domain nobody has asked about."""
    return Sender(f"{uuid4().hex}.example", dns)


async def insert_policy(
    store: Store, account_id: str | None = None, **fields: object
) -> SmtpPolicy:
    """Make a policy, by default of a new account."""
    now = utc_now()
    known: dict[str, object] = {
        "id": new_id(Prefix.POLICY),
        "created_at": now,
        "updated_at": now,
        "account_id": account_id or new_id(Prefix.ACCOUNT),
        "name": "policy",
    }
    policy = SmtpPolicy.model_validate(known | fields)
    await SmtpPolicies(store).insert(policy)
    return policy


async def attached(
    new_webhook: Callable[..., Awaitable[Webhook]], policy: SmtpPolicy, **fields: object
) -> Webhook:
    """Make a webhook with this policy."""
    known = {"account_id": policy.account_id, "smtp_security_policy_id": policy.id}
    return await new_webhook(**known | fields)


def credential(username: str, password: str) -> Credential:
    """Return a user; the hash is a cheap one."""
    hashed = bcrypt.hashpw(password.encode(), bcrypt.gensalt(4))
    return Credential(username=username, password_hash=hashed.decode())


def secured(port: int, ehlo: str = "EHLO client.example") -> AbstractAsyncContextManager[Client]:
    """Connect to a port where sessions begin with TLS, and say EHLO."""
    return greeted(port, ehlo, tls=True)
