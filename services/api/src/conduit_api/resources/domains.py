"""Domains: claims of names whose mail an account wants to receive, and their verification."""

from datetime import datetime

from pydantic import Field

from conduit.errors import DuplicateKey
from conduit.model.audit import Action
from conduit.model.domain import Domain, new_verification_token
from conduit.model.ids import Prefix, is_id, new_id
from conduit.model.record import utc_now
from conduit.store.domains import LIST_LIMIT
from conduit_api import audit
from conduit_api.domain_name import claimable
from conduit_api.errors import Conflict, NotFound, Unprocessable
from conduit_api.fields import NoInput, Request, Response
from conduit_api.operation import AccountCall, Answer
from conduit_api.resources.webhooks import NAMED, named


class CreateDomainRequest(Request):
    """Which name is claimed."""

    name: str = Field(description="Domain name to claim, e.g. mail.example.com")


class DomainResponse(Response):
    """A claim, as its account sees it."""

    id: str
    account_id: str
    name: str
    is_public: bool
    verified: bool
    verification_token: str
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, domain: Domain) -> "DomainResponse":
        """Return what is told of a claim. The public domain is nobody's claim."""
        return cls(
            id=domain.id,
            account_id=domain.account_id,
            name=domain.name,
            is_public=False,
            verified=domain.verified,
            verification_token=domain.verification_token,
            created_at=domain.created_at,
            updated_at=domain.updated_at,
        )


async def create(call: AccountCall[CreateDomainRequest]) -> Answer:
    """Claim a name, which others may claim too until one has verified it."""
    domains = call.context.domains
    name = claimable(call.input.name, call.context.settings.public_domain)
    owner = await domains.verified_owner(name)
    if owner is not None and owner.account_id != call.account_id:
        raise _already_claimed("Another account has verified this domain.")
    if not await domains.has_room(call.account_id):
        raise Conflict("too_many_domains", f"An account may claim {LIST_LIMIT} domains.")
    claim = _new_claim(call.account_id, name)
    try:
        await domains.insert(claim)
    except DuplicateKey:
        raise _already_claimed("This account claims this domain already.") from None
    await audit.record(call, call.account_id, Action.DOMAIN_CLAIMED, claim.id, name=name)
    return Answer(DomainResponse.of(claim))


async def list_(call: AccountCall[NoInput]) -> Answer:
    """Return the account's claims."""
    claims = await call.context.domains.of_account(call.account_id)
    return Answer([DomainResponse.of(claim) for claim in claims])


async def get(call: AccountCall[NoInput]) -> Answer:
    """Return one claim."""
    return Answer(DomainResponse.of(await _owned(call)))


async def delete(call: AccountCall[NoInput]) -> Answer:
    """Give a claim up, unless webhooks receive mail on it."""
    claim = await _owned(call)
    users = await call.context.webhooks.on_domain(call.account_id, claim.name, NAMED + 1)
    if users:
        raise Conflict("domain_in_use", f"Webhooks have addresses on this domain: {named(users)}.")
    if not await call.context.domains.delete_owned(call.account_id, claim.id):
        raise NotFound("domain")
    await audit.record(call, call.account_id, Action.DOMAIN_DELETED, claim.id, name=claim.name)
    return Answer()


async def verify(call: AccountCall[NoInput]) -> Answer:
    """Have DNS looked at now."""
    claim = await _owned(call)
    checked = await call.context.domain_checks.check(claim.id)
    if checked.taken:
        raise Conflict("domain_taken", "Another account has verified this domain.")
    if checked.problem is not None:
        raise Unprocessable("domain_verification_failed", checked.problem)
    if not claim.verified:
        await audit.record(call, call.account_id, Action.DOMAIN_VERIFIED, claim.id, name=claim.name)
    return Answer(DomainResponse.of(await _owned(call)))


async def _owned(call: AccountCall[NoInput]) -> Domain:
    domain_id = call.path("id")
    if is_id(Prefix.DOMAIN, domain_id):
        domain = await call.context.domains.owned(call.account_id, domain_id)
        if domain is not None:
            return domain
    raise NotFound("domain")


def _new_claim(account_id: str, name: str) -> Domain:
    now = utc_now()
    return Domain(
        id=new_id(Prefix.DOMAIN),
        created_at=now,
        updated_at=now,
        account_id=account_id,
        name=name,
        verification_token=new_verification_token(),
    )


def _already_claimed(why: str) -> Conflict:
    return Conflict("domain_already_claimed", why)
