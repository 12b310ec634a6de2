"""Who takes the mails in the benchmark of the ingest: its variants, and the references."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from conduit.bus.connection import open_bus
from conduit.bus.topology import LANES
from conduit.model.ids import Prefix, new_id
from conduit.model.policy import SmtpPolicy
from conduit.model.record import utc_now
from conduit.model.webhook import Sealed, Webhook, public_address
from conduit.settings import BusSettings, StoreSettings
from conduit.store.connection import open_store
from conduit.store.smtp_policies import SmtpPolicies
from conduit.store.webhooks import Webhooks
from conduit_local.ports import Ports
from conduit_local.stack import Stack
from tests.load import profiled, servers
from tests.load.postfix import postfix
from tests.load.signed_mail import DOMAIN
from tests.support.smtp import Ingest

REFERENCES = ("aiosmtpd", "uvloop", "postfix")
INGESTS = {
    "no-policy": "Conduit, no policy",
    "two": "Conduit, 2 processes",
    "reported": "Conduit, reported",
    "policy": "Conduit, policy",
}
ALL = (*REFERENCES, *INGESTS)

_ANYBODY = "anybody@incoming.localhost"


@dataclass(frozen=True)
class Contender:
    """A server that takes mail.

    `parts` are the processes that it consists of, each counted with its children. `take` is awaited
    after each turn with the number of mails that were accepted: it sees that they are really there,
    and clears them away; None stands for a turn that ended early.
    """

    name: str
    port: int
    recipient: str
    parts: Mapping[str, int]
    take: Callable[[int | None], Awaitable[None]]


@dataclass(frozen=True)
class Surroundings:
    """What Conduit's ingests work with."""

    directory: Path
    stack: Stack
    dns: str
    profile: Path | None


def contender(name: str, around: Surroundings) -> AbstractAsyncContextManager[Contender]:
    """Run one of ALL until the end of the block."""
    if name == "postfix":
        return _postfix()
    if name in REFERENCES:
        return _aiosmtpd(name)
    return _conduit(name, around)


@asynccontextmanager
async def _aiosmtpd(name: str) -> AsyncIterator[Contender]:
    port = Ports.free().smtp
    loop = ["uvloop"] if name == "uvloop" else []
    label = "aiosmtpd, uvloop" if loop else "aiosmtpd"

    async def take(_mails: int | None) -> None:
        """It has forgotten them already."""

    with servers.module("tests.load.aiosmtpd_alone", str(port), *loop, port=port) as pid:
        yield Contender(label, port, _ANYBODY, {"server": pid}, take)


@asynccontextmanager
async def _postfix() -> AsyncIterator[Contender]:
    port = Ports.free().smtp
    with postfix(port) as running:

        async def take(mails: int | None) -> None:
            if mails is None:
                running.forget()
            else:
                await asyncio.to_thread(running.wait_until_discarded, mails)

        yield Contender("Postfix", port, _ANYBODY, {"server": running.pid}, take)


@asynccontextmanager
async def _conduit(name: str, around: Surroundings) -> AsyncIterator[Contender]:
    settings = {
        "CONDUIT_AMQP_URL": around.stack.urls.amqp,
        "CONDUIT_MONGODB_URL": around.stack.urls.mongodb,
        "CONDUIT_DNS_SERVERS": around.dns,
        "CONDUIT_SMTP_AUTHENTICATION": "always" if name == "reported" else "policy",
        "CONDUIT_SMTP_PROCESSES": "2" if name == "two" else "1",
    }
    bus_settings = BusSettings(amqp_url=around.stack.urls.amqp)
    with profiled.ingest(name, around.directory, settings, around.profile) as ingest:
        async with open_bus(bus_settings) as bus:
            recipient = await _webhook(around.stack.urls.mongodb, with_policy=name == "policy")
            channel = await bus.channel()
            queues = [await channel.get_queue(lane, ensure=False) for lane in LANES]

            async def take(mails: int | None) -> None:
                found = sum([(await queue.purge()).message_count or 0 for queue in queues])
                if mails is not None and found != mails:
                    raise SystemExit(f"{mails} mails were accepted, {found} were queued")

            yield Contender(INGESTS[name], ingest.port, recipient, _parts(ingest, around), take)


def _parts(ingest: Ingest, around: Surroundings) -> dict[str, int]:
    parts = {"server": ingest.pid}
    if "rabbitmq" in around.stack.plan.programs:
        parts["RabbitMQ"] = around.stack.pid("rabbitmq")
    return parts


async def _webhook(mongodb_url: str, *, with_policy: bool) -> str:
    """Register a webhook, with or without a policy; return its address."""
    now, account, identifier = utc_now(), new_id(Prefix.ACCOUNT), new_id(Prefix.WEBHOOK)
    policy = SmtpPolicy(
        id=new_id(Prefix.POLICY),
        created_at=now,
        updated_at=now,
        account_id=account,
        name="SPF and DKIM",
        require_spf=True,
        spf_domains=(DOMAIN,),
        require_dkim=True,
        dkim_domains=(DOMAIN,),
    )
    webhook = Webhook(
        id=identifier,
        created_at=now,
        updated_at=now,
        account_id=account,
        address=public_address(identifier, "incoming.localhost"),
        target_url="https://example.com/",
        secret=Sealed("sealed"),
        smtp_security_policy_id=policy.id if with_policy else None,
    )
    async with open_store(StoreSettings(mongodb_url=mongodb_url)) as store:
        await SmtpPolicies(store).insert(policy)
        await Webhooks(store).insert(webhook)
    return webhook.address
