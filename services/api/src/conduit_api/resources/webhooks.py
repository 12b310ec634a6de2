"""Webhooks: the addresses of an account, and the endpoints that get their mail."""

import logging
import secrets
from base64 import b64encode
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field

from conduit.errors import DuplicateKey, VersionConflict
from conduit.mail.address import AddressError, parse_address
from conduit.model.audit import Action
from conduit.model.endpoint_health import EndpointHealth
from conduit.model.ids import Prefix, is_id, new_id
from conduit.model.payload_options import EVERYTHING
from conduit.model.record import utc_now
from conduit.model.webhook import (
    ROTATION_OVERLAP,
    DeliveryMode,
    Sealed,
    Webhook,
    public_address,
)
from conduit.security.secrets import SecretBox
from conduit.store.webhooks import LIST_LIMIT
from conduit.webhook.egress import Egress
from conduit_api import audit
from conduit_api.context import Context
from conduit_api.custom_headers import check_custom_headers
from conduit_api.errors import Conflict, NotFound, ServiceUnavailable, Unprocessable
from conduit_api.fields import NoInput, Omittable, Request, Response
from conduit_api.operation import AccountCall, Answer, I
from conduit_api.payload_fields import PayloadRequest, PayloadResponse, check_payload
from conduit_api.payload_template import check_payload_template
from conduit_api.target_url import check_target_url

T = TypeVar("T")

log = logging.getLogger(__name__)

NAMED = 10
"""Webhooks that the error of something in use names at most."""

_MERGES = 50  # of parallel updates; each round one of them gets through


Address = Annotated[
    str, Field(description="Full address on a verified domain; omit for the public domain")
]
TargetUrl = Annotated[str, Field(description="HTTPS URL", json_schema_extra={"format": "uri"})]
Secret = Annotated[str, Field(min_length=16, max_length=256, pattern=r"^[!-~]+$")]
Template = Annotated[str, Field(description="Go text/template for the JSON payload")]
RateLimit = Annotated[
    int, Field(ge=0, le=1_000_000, description="Max emails per minute; 0 = disabled")
]
Mode = Annotated[
    Literal["queued", "sync", "sync_then_queued"],
    Field(
        description="When the sender gets its reply. queued: once the mail is durable. sync: once "
        "the endpoint has answered, whose answer decides it. sync_then_queued: as sync if the "
        "endpoint answers within seconds, else as queued"
    ),
]


class UpdateWebhookRequest(Request):
    """What to change; what is left out stays."""

    address: Omittable[Address] = None
    target_url: Omittable[TargetUrl] = None
    secret: Omittable[Secret] = None
    # The contract's default is the value at creation. An update that lacks it changes nothing.
    active: Omittable[bool] = Field(default=None, json_schema_extra={"default": True})
    custom_headers: Omittable[dict[str, str]] = None
    payload_template: Omittable[Template] = None
    payload: Omittable[PayloadRequest] = None
    rate_limit: Omittable[RateLimit] = None
    delivery_mode: Omittable[Mode] = None
    smtp_security_policy_id: Omittable[str] = None
    clear_security_policy: Omittable[bool] = None


class CreateWebhookRequest(Request):
    """Where the mail of which address goes, and how."""

    target_url: TargetUrl
    address: Omittable[Address] = None
    secret: Omittable[Secret] = None
    active: bool = True
    custom_headers: Omittable[dict[str, str]] = None
    payload_template: Omittable[Template] = None
    payload: Omittable[PayloadRequest] = None
    rate_limit: RateLimit = 0
    delivery_mode: Mode = "queued"
    smtp_security_policy_id: Omittable[str] = None


class WebhookResponse(Response):
    """A webhook, as its owner sees it."""

    id: str
    address: Address
    target_url: TargetUrl
    secret: str | None = Field(default=None, description="Only in the response that created it")
    active: bool
    custom_headers: dict[str, str]
    payload_template: Template | None = None
    payload: PayloadResponse
    rate_limit: Annotated[int, Field(ge=0, description="Max emails per minute; 0 = disabled")]
    delivery_mode: Mode = "queued"
    smtp_security_policy_id: str | None = None
    paused_at: datetime | None = Field(
        default=None, description="Since when its mail is accepted and waits, without any call"
    )
    failing_since: datetime | None = Field(
        default=None, description="From which moment on no call has succeeded, if calls fail"
    )
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(
        cls,
        webhook: Webhook,
        box: SecretBox,
        secret: str | None = None,
        health: EndpointHealth | None = None,
    ) -> "WebhookResponse":
        """Return what is told of a webhook; `secret` only to the one who has just set it."""
        return cls(
            id=webhook.id,
            address=webhook.address,
            target_url=webhook.target_url,
            secret=secret,
            active=webhook.active,
            custom_headers={
                name: box.open(value, webhook.id) for name, value in webhook.custom_headers.items()
            },
            payload_template=webhook.payload_template,
            payload=PayloadResponse.of(webhook.payload),
            rate_limit=webhook.rate_limit,
            delivery_mode=webhook.delivery_mode.value,
            smtp_security_policy_id=webhook.smtp_security_policy_id,
            paused_at=webhook.paused_at,
            failing_since=None if health is None else health.failing_since,
            created_at=webhook.created_at,
            updated_at=webhook.updated_at,
        )


async def create(call: AccountCall[CreateWebhookRequest]) -> Answer:
    """Register a webhook."""
    wanted, context = call.input, call.context
    await _check(wanted, context)
    if not await context.webhooks.has_room(call.account_id):
        raise Conflict("too_many_webhooks", f"An account may have {LIST_LIMIT} webhooks.")
    webhook_id, now = new_id(Prefix.WEBHOOK), utc_now()
    secret = wanted.secret or _new_secret()
    webhook = Webhook(
        id=webhook_id,
        created_at=now,
        updated_at=now,
        account_id=call.account_id,
        address=await _address(call, wanted.address, webhook_id),
        target_url=wanted.target_url,
        secret=context.box.seal(secret, webhook_id),
        active=wanted.active,
        custom_headers=_sealed(context.box, wanted.custom_headers or {}, webhook_id),
        rate_limit=wanted.rate_limit,
        delivery_mode=DeliveryMode(wanted.delivery_mode),
        payload_template=wanted.payload_template or None,
        payload=wanted.payload.applied_to(EVERYTHING) if wanted.payload else EVERYTHING,
        smtp_security_policy_id=await _policy(call, wanted.smtp_security_policy_id),
    )
    await _at_address(context, webhook, context.webhooks.insert)
    if not await _holds_policy(call, webhook):
        await context.webhooks.delete_owned(call.account_id, webhook_id)
        raise _no_such_policy()
    await audit.record(call, call.account_id, Action.WEBHOOK_CREATED, webhook_id)
    return Answer(WebhookResponse.of(webhook, context.box, secret))


async def list_(call: AccountCall[NoInput]) -> Answer:
    """Return the account's webhooks."""
    context = call.context
    webhooks = await context.webhooks.of_account(call.account_id)
    healths = await context.healths.of_ids([webhook.id for webhook in webhooks])
    return Answer(
        [WebhookResponse.of(each, context.box, health=healths.get(each.id)) for each in webhooks]
    )


async def get(call: AccountCall[NoInput]) -> Answer:
    """Return one webhook."""
    return await _answer(call.context, await owned(call))


async def update(call: AccountCall[UpdateWebhookRequest]) -> Answer:
    """Change what the request names, on top of what others change at the same time."""
    wanted, context = call.input, call.context
    await _check(wanted, context)
    before, written = await _merged(call, lambda webhook: _changes(call, webhook))
    policy_id = written.smtp_security_policy_id
    if policy_id != before.smtp_security_policy_id and not await _holds_policy(call, written):
        await _attach_again(context, written, before.smtp_security_policy_id)
        raise _no_such_policy()
    await audit.record(call, call.account_id, Action.WEBHOOK_UPDATED, written.id)
    if _revives(wanted, before):
        await context.healths.forget([written.id])
    if before.paused_at is not None and written.paused_at is None:
        await audit.record(call, call.account_id, Action.WEBHOOK_RESUMED, written.id)
    return await _answer(context, written, wanted.secret)


async def rotate_secret(call: AccountCall[NoInput]) -> Answer:
    """Give a webhook a new secret; for a day its calls are signed with the old one too."""
    box, secret = call.context.box, _new_secret()

    async def rotated(webhook: Webhook) -> dict[str, Any]:
        return {
            "secret": box.seal(secret, webhook.id),
            "previous_secret": webhook.secret,
            "previous_secret_until": utc_now() + ROTATION_OVERLAP,
        }

    _, written = await _merged(call, rotated)
    await audit.record(call, call.account_id, Action.WEBHOOK_SECRET_ROTATED, written.id)
    return await _answer(call.context, written, secret)


async def resume(call: AccountCall[NoInput]) -> Answer:
    """Have a webhook called again, whatever its endpoint did before; what waits is delivered.

    What is known of the endpoint goes first, and the webhook is written even if it is not paused:
    so it is not paused at this moment for what was before (see `endpoint_watch`).
    """
    webhook = await owned(call)
    await call.context.healths.forget([webhook.id])

    async def resumed(_webhook: Webhook) -> dict[str, Any]:
        return {"paused_at": None}

    before, written = await _merged(call, resumed)
    if before.paused_at is not None:
        await audit.record(call, call.account_id, Action.WEBHOOK_RESUMED, written.id)
    return await _answer(call.context, written)


async def delete(call: AccountCall[NoInput]) -> Answer:
    """Remove a webhook; its address is unknown from then on."""
    webhook_id = call.path("id")
    if not await call.context.webhooks.delete_owned(call.account_id, webhook_id):
        raise NotFound("webhook")
    await call.context.healths.forget([webhook_id])
    await call.context.notices.forget([webhook_id])
    await audit.record(call, call.account_id, Action.WEBHOOK_DELETED, webhook_id)
    return Answer()


async def owned(call: AccountCall[I]) -> Webhook:
    """Return the webhook of the path, or raise NotFound."""
    webhook_id = call.path("id")
    if is_id(Prefix.WEBHOOK, webhook_id):
        webhook = await call.context.webhooks.owned(call.account_id, webhook_id)
        if webhook is not None:
            return webhook
    raise NotFound("webhook")


def named(webhooks: Sequence[Webhook]) -> str:
    """Return the ids of webhooks, of which there may be more than NAMED, for an error."""
    shown = ", ".join(webhook.id for webhook in webhooks[:NAMED])
    return f"{shown} and more" if len(webhooks) > NAMED else shown


async def _answer(context: Context, webhook: Webhook, secret: str | None = None) -> Answer:
    health = await context.healths.of_id(webhook.id)
    return Answer(WebhookResponse.of(webhook, context.box, secret, health))


async def _check(wanted: CreateWebhookRequest | UpdateWebhookRequest, context: Context) -> None:
    """Refuse what can be refused without the store."""
    settings = context.settings
    if wanted.target_url is not None:
        egress = Egress(settings.egress_allow_http, settings.egress_allowed_networks)
        check_target_url(wanted.target_url, egress)
    if wanted.custom_headers:
        check_custom_headers(wanted.custom_headers)
    clears = isinstance(wanted, UpdateWebhookRequest) and wanted.clear_security_policy
    if clears and wanted.smtp_security_policy_id:
        raise Unprocessable(
            "contradictory_fields",
            "clear_security_policy: A policy can be detached or attached, not both at once.",
        )
    if wanted.payload is not None:
        check_payload(wanted.payload, settings)
    if wanted.payload_template:
        await check_payload_template(wanted.payload_template)


Change = Callable[[Webhook], Awaitable[dict[str, Any]]]


async def _merged(call: AccountCall[I], change: Change) -> tuple[Webhook, Webhook]:
    """Change a webhook on top of what others change; return it before and after."""
    context = call.context
    for _ in range(_MERGES):
        webhook = await owned(call)
        changed = webhook.model_copy(update=await change(webhook))
        try:
            return webhook, await _at_address(context, changed, context.webhooks.replace)
        except VersionConflict:
            continue
    raise ServiceUnavailable


async def _changes(call: AccountCall[UpdateWebhookRequest], webhook: Webhook) -> dict[str, Any]:
    wanted, box = call.input, call.context.box
    changes = wanted.model_dump(include={"target_url", "active", "rate_limit"}, exclude_none=True)
    if _revives(wanted, webhook):
        changes["paused_at"] = None
    if wanted.address is not None:
        changes["address"] = await _address(call, wanted.address, webhook.id, webhook.address)
    if wanted.secret is not None:
        changes |= {"secret": box.seal(wanted.secret, webhook.id), "previous_secret": None}
    if wanted.custom_headers is not None:
        changes["custom_headers"] = _sealed(box, wanted.custom_headers, webhook.id)
    if wanted.payload_template is not None:
        changes["payload_template"] = wanted.payload_template or None
    if wanted.payload is not None:
        changes["payload"] = wanted.payload.applied_to(webhook.payload)
    if wanted.delivery_mode is not None:
        changes["delivery_mode"] = DeliveryMode(wanted.delivery_mode)
    if wanted.clear_security_policy:
        changes["smtp_security_policy_id"] = None
    elif wanted.smtp_security_policy_id:
        changes["smtp_security_policy_id"] = await _policy(call, wanted.smtp_security_policy_id)
    return changes


def _revives(wanted: UpdateWebhookRequest, webhook: Webhook) -> bool:
    """Whether calls are to begin anew, since the owner says so or has another endpoint."""
    return wanted.active is True or wanted.target_url not in (None, webhook.target_url)


async def _policy(call: AccountCall[I], policy_id: str | None) -> str | None:
    """Return the id of a policy to attach, or raise Unprocessable; an empty one is none."""
    if not policy_id:
        return None
    if is_id(Prefix.POLICY, policy_id) and await call.context.policies.owned(
        call.account_id, policy_id
    ):
        return policy_id
    raise _no_such_policy()


async def _holds_policy(call: AccountCall[I], webhook: Webhook) -> bool:
    """Whether the policy that a webhook was written with is there to stay."""
    policy_id = webhook.smtp_security_policy_id
    return policy_id is None or await call.context.policies.touch(call.account_id, policy_id)


async def _attach_again(context: Context, webhook: Webhook, policy_id: str | None) -> None:
    """Put back the policy that a webhook had before one was attached that has just gone."""
    current: Webhook | None = webhook
    while current and current.smtp_security_policy_id == webhook.smtp_security_policy_id:
        restored = current.model_copy(update={"smtp_security_policy_id": policy_id})
        try:
            await context.webhooks.replace(restored)
        except VersionConflict:
            current = await context.webhooks.of_id(webhook.id)
        else:
            return


def _no_such_policy() -> Unprocessable:
    return Unprocessable(
        "smtp_security_policy_not_found",
        "smtp_security_policy_id: No SMTP security policy of this account has this id.",
    )


async def _at_address(
    context: Context, webhook: Webhook, write: Callable[[Webhook], Awaitable[T]]
) -> T:
    """Write a webhook, to which a leftover of its domain's former owner gives its address up."""
    try:
        return await write(webhook)
    except DuplicateKey:
        await _vacate(context, webhook.address)
    try:
        return await write(webhook)
    except DuplicateKey:
        raise _address_taken() from None


async def _vacate(context: Context, address: str) -> None:
    """Move the webhook at this address to its public one if its account has lost the domain.

    Whoever wants the address has verified the domain, and the ingest gives the leftover no mail.
    """
    holder = await context.webhooks.of_address(address)
    if holder is None or holder.has_public_address:
        return
    owner = await context.domains.verified_by(holder.domain)
    if owner in (None, holder.account_id):
        return
    moved = public_address(holder.id, context.settings.public_domain)
    try:
        await context.webhooks.replace(holder.model_copy(update={"address": moved}))
    except VersionConflict:  # what it is now, the next write tells
        return
    log.warning(
        "webhook.address_lost", extra={"webhook_id": holder.id, "account_id": holder.account_id}
    )
    await audit.record_own(
        context, holder.account_id, Action.WEBHOOK_ADDRESS_LOST, holder.id, address=address
    )


async def _address(
    call: AccountCall[I], text: str | None, webhook_id: str, current: str | None = None
) -> str:
    """Return the address to register; the one that the webhook has already is always allowed."""
    public_domain = call.context.settings.public_domain
    if text is None:
        return public_address(webhook_id, public_domain)
    address, domain = _parsed(text)
    if address == current:
        return address
    if domain == public_domain:
        raise Unprocessable(
            "address_lhs_not_allowed",
            f"address: Addresses on {public_domain} are given out by Conduit; omit the field.",
        )
    owner = await call.context.domains.verified_owner(domain)
    if owner is None or owner.account_id != call.account_id:
        raise Unprocessable(
            "domain_not_verified", f"address: This account has not verified {domain}."
        )
    return address


def _parsed(text: str) -> tuple[str, str]:
    """Return an address and its domain, both as they are registered."""
    try:
        address = parse_address(text).key
        parse_address(address)  # which can be longer than what was written
    except AddressError as error:
        raise Unprocessable("invalid_address", f"address: {error}") from None
    return address, address.rpartition("@")[2]


def _new_secret() -> str:
    """Return a secret in the form of Standard Webhooks."""
    return f"whsec_{b64encode(secrets.token_bytes(32)).decode()}"


def _sealed(box: SecretBox, headers: Mapping[str, str], webhook_id: str) -> dict[str, Sealed]:
    return {name: box.seal(value, webhook_id) for name, value in headers.items()}


def _address_taken() -> Conflict:
    return Conflict("address_taken", "A webhook has this address already.")
