"""SMTP security policies: what senders must show before webhooks take their mail."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from conduit.errors import VersionConflict
from conduit.model.audit import Action
from conduit.model.ids import Prefix, is_id, new_id
from conduit.model.policy import Credential, SmtpPolicy
from conduit.model.record import utc_now
from conduit.store.smtp_policies import LIST_LIMIT
from conduit_api import audit, policy_fields
from conduit_api.context import Context
from conduit_api.errors import Conflict, NotFound, ServiceUnavailable
from conduit_api.fields import NoInput, Omittable, Request, Response
from conduit_api.operation import AccountCall, Answer, I
from conduit_api.policy_fields import Given, Plain
from conduit_api.resources.webhooks import NAMED, named

_MERGES = 50  # of parallel changes; each round one of them gets through
_LONGEST_LIST = 64 * 1024  # characters

Name = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]*$")]
SourceIps = Annotated[
    str,
    Field(max_length=_LONGEST_LIST, description="Comma-separated CIDR ranges; empty: any"),
]
Credentials = Annotated[
    str,
    Field(
        max_length=_LONGEST_LIST,
        description="Comma-separated username:bcrypt_hash pairs",
    ),
]
Domains = Annotated[
    str, Field(max_length=_LONGEST_LIST, description="Comma-separated domains; empty: any")
]


class UpdateSmtpSecurityPolicyRequest(Request):
    """What to change; what is left out stays."""

    name: Omittable[Name] = None
    allowed_source_ips: Omittable[SourceIps] = None
    require_smtp_auth: Omittable[bool] = None
    smtp_credentials: Omittable[Credentials] = None
    require_spf: Omittable[bool] = None
    allowed_spf_domains: Omittable[Domains] = None
    require_dkim: Omittable[bool] = None
    allowed_dkim_domains: Omittable[Domains] = None


class CreateSmtpSecurityPolicyRequest(Request):
    """What senders must show; what is left out is not asked of them."""

    name: Name
    allowed_source_ips: SourceIps = ""
    require_smtp_auth: bool = False
    smtp_credentials: Credentials = ""
    require_spf: bool = False
    allowed_spf_domains: Domains = ""
    require_dkim: bool = False
    allowed_dkim_domains: Domains = ""


class SmtpSecurityPolicyResponse(Response):
    """A policy, as its owner sees it: the lists as they can be sent back, the hashes hidden."""

    id: str
    name: str
    allowed_source_ips: SourceIps
    require_smtp_auth: bool
    smtp_credentials: Credentials
    require_spf: bool
    allowed_spf_domains: Domains
    require_dkim: bool
    allowed_dkim_domains: Domains
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, policy: SmtpPolicy) -> "SmtpSecurityPolicyResponse":
        """Return what is told of a policy."""
        return cls(
            id=policy.id,
            name=policy.name,
            allowed_source_ips=policy_fields.joined(policy.source_networks),
            require_smtp_auth=policy.require_smtp_auth,
            smtp_credentials=policy_fields.hidden(policy.credentials),
            require_spf=policy.require_spf,
            allowed_spf_domains=policy_fields.joined(policy.spf_domains),
            require_dkim=policy.require_dkim,
            allowed_dkim_domains=policy_fields.joined(policy.dkim_domains),
            created_at=policy.created_at,
            updated_at=policy.updated_at,
        )


_DOMAIN_LISTS = {"allowed_spf_domains": "spf_domains", "allowed_dkim_domains": "dkim_domains"}


@dataclass(frozen=True, slots=True)
class _Changes:
    """What a request asks for, read and hashed once, to be put over a policy as often as needed.

    `credentials` is None when the request leaves them as they are.
    """

    fields: Mapping[str, Any]
    credentials: tuple[Given, ...] | None

    @classmethod
    async def of(
        cls,
        wanted: CreateSmtpSecurityPolicyRequest | UpdateSmtpSecurityPolicyRequest,
        context: Context,
    ) -> "_Changes":
        """Read a request, or raise Unprocessable. Hashing comes last, being what costs."""
        flags = {"name", "require_smtp_auth", "require_spf", "require_dkim"}
        fields = wanted.model_dump(include=flags, exclude_none=True)
        if wanted.allowed_source_ips is not None:
            fields["source_networks"] = policy_fields.source_networks(wanted.allowed_source_ips)
        for name, kept_as in _DOMAIN_LISTS.items():
            if (text := getattr(wanted, name)) is not None:
                fields[kept_as] = policy_fields.domains(name, text)
        if wanted.smtp_credentials is None:
            return cls(fields, None)
        given = policy_fields.credentials(wanted.smtp_credentials)
        return cls(fields, tuple([await _hashed(one, context) for one in given]))

    def over(self, policy: SmtpPolicy) -> SmtpPolicy:
        """Return the changed policy, or raise Unprocessable when it does not hang together."""
        fields = dict(self.fields)
        if self.credentials is not None:
            fields["credentials"] = policy_fields.with_kept(self.credentials, policy.credentials)
        changed = policy.model_copy(update=fields)
        policy_fields.check_whole(changed)
        return changed


async def create(call: AccountCall[CreateSmtpSecurityPolicyRequest]) -> Answer:
    """Make a policy; it does nothing until it is attached to a webhook."""
    policies = call.context.policies
    changes = await _Changes.of(call.input, call.context)
    policy = changes.over(_new_policy(call.account_id, call.input.name))
    if not await policies.has_room(call.account_id):
        raise Conflict("too_many_policies", f"An account may have {LIST_LIMIT} policies.")
    await policies.insert(policy)
    await audit.record(call, call.account_id, Action.POLICY_CREATED, policy.id)
    return Answer(SmtpSecurityPolicyResponse.of(policy))


async def list_(call: AccountCall[NoInput]) -> Answer:
    """Return the account's policies."""
    policies = await call.context.policies.of_account(call.account_id)
    return Answer([SmtpSecurityPolicyResponse.of(policy) for policy in policies])


async def get(call: AccountCall[NoInput]) -> Answer:
    """Return one policy."""
    return Answer(SmtpSecurityPolicyResponse.of(await _owned(call)))


async def update(call: AccountCall[UpdateSmtpSecurityPolicyRequest]) -> Answer:
    """Change what the request names, on top of what others change at the same time."""
    policy = await _owned(call)
    changes = await _Changes.of(call.input, call.context)
    for _ in range(_MERGES):
        try:
            written = await call.context.policies.replace(changes.over(policy))
        except VersionConflict:
            policy = await _owned(call)
            continue
        await audit.record(call, call.account_id, Action.POLICY_UPDATED, policy.id)
        return Answer(SmtpSecurityPolicyResponse.of(written))
    raise ServiceUnavailable


async def delete(call: AccountCall[NoInput]) -> Answer:
    """Remove a policy, unless it is attached to webhooks, which would then be open to all."""
    context = call.context
    for _ in range(_MERGES):
        policy = await _owned(call)
        users = await context.webhooks.with_policy(call.account_id, policy.id, NAMED + 1)
        if users:
            raise Conflict(
                "policy_in_use", f"This policy is attached to the webhooks {named(users)}."
            )
        if await context.policies.delete_unchanged(policy):
            await audit.record(call, call.account_id, Action.POLICY_DELETED, policy.id)
            return Answer()
    raise ServiceUnavailable


async def _owned(call: AccountCall[I]) -> SmtpPolicy:
    policy_id = call.path("id")
    if is_id(Prefix.POLICY, policy_id):
        policy = await call.context.policies.owned(call.account_id, policy_id)
        if policy is not None:
            return policy
    raise NotFound("SMTP security policy")


async def _hashed(given: Given, context: Context) -> Given:
    if not isinstance(given, Plain):
        return given
    hashed = await context.smtp_passwords.hash(given.password)
    return Credential(username=given.username, password_hash=hashed)


def _new_policy(account_id: str, name: str) -> SmtpPolicy:
    now = utc_now()
    return SmtpPolicy(
        id=new_id(Prefix.POLICY), created_at=now, updated_at=now, account_id=account_id, name=name
    )
