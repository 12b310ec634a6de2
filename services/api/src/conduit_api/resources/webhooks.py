"""Webhooks: the addresses of an account, and the endpoints that get their mail."""

import secrets
from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from conduit.errors import DuplicateKey, VersionConflict
from conduit.mail.address import AddressError, parse_address
from conduit.model.ids import Prefix, is_id, new_id
from conduit.model.record import utc_now
from conduit.model.webhook import Sealed, Webhook, public_address
from conduit.security.secrets import SecretBox
from conduit_api.context import Context
from conduit_api.custom_headers import check_custom_headers
from conduit_api.errors import Conflict, NotFound, ServiceUnavailable, Unprocessable
from conduit_api.fields import NoInput, Omittable, Request, Response
from conduit_api.operation import AccountCall, Answer, I
from conduit_api.target_url import check_target_url

_LONGEST_ADDRESS = 254  # octets, RFC 5321 §4.5.3.1.3 without the brackets
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


class UpdateWebhookRequest(Request):
    """What to change; what is left out stays."""

    address: Omittable[Address] = None
    target_url: Omittable[TargetUrl] = None
    secret: Omittable[Secret] = None
    # The contract's default is the value at creation. An update that lacks it changes nothing.
    active: Omittable[bool] = Field(default=None, json_schema_extra={"default": True})
    custom_headers: Omittable[dict[str, str]] = None
    payload_template: Omittable[Template] = None
    rate_limit: Omittable[RateLimit] = None
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
    rate_limit: RateLimit = 0
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
    rate_limit: Annotated[int, Field(ge=0, description="Max emails per minute; 0 = disabled")]
    smtp_security_policy_id: str | None = None
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, webhook: Webhook, box: SecretBox, secret: str | None = None) -> "WebhookResponse":
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
            rate_limit=webhook.rate_limit,
            created_at=webhook.created_at,
            updated_at=webhook.updated_at,
        )


async def create(call: AccountCall[CreateWebhookRequest]) -> Answer:
    """Register a webhook."""
    wanted, context = call.input, call.context
    _check(wanted, context)
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
    )
    try:
        await context.webhooks.insert(webhook)
    except DuplicateKey:
        raise _address_taken() from None
    return Answer(WebhookResponse.of(webhook, context.box, secret))


async def list_(call: AccountCall[NoInput]) -> Answer:
    """Return the account's webhooks."""
    webhooks = await call.context.webhooks.of_account(call.account_id)
    return Answer([WebhookResponse.of(webhook, call.context.box) for webhook in webhooks])


async def get(call: AccountCall[NoInput]) -> Answer:
    """Return one webhook."""
    return Answer(WebhookResponse.of(await owned(call), call.context.box))


async def update(call: AccountCall[UpdateWebhookRequest]) -> Answer:
    """Change what the request names, on top of what others change at the same time."""
    wanted, context = call.input, call.context
    _check(wanted, context)
    for _ in range(_MERGES):
        webhook = await owned(call)
        changed = webhook.model_copy(update=await _changes(call, webhook))
        try:
            written = await context.webhooks.replace(changed)
        except VersionConflict:
            continue
        except DuplicateKey:
            raise _address_taken() from None
        return Answer(WebhookResponse.of(written, context.box, wanted.secret))
    raise ServiceUnavailable


async def delete(call: AccountCall[NoInput]) -> Answer:
    """Remove a webhook; its address is unknown from then on."""
    webhook_id = call.path("id")
    if not await call.context.webhooks.delete_owned(call.account_id, webhook_id):
        raise NotFound("webhook")
    return Answer()


async def owned(call: AccountCall[I]) -> Webhook:
    """Return the webhook of the path, or raise NotFound."""
    webhook_id = call.path("id")
    if is_id(Prefix.WEBHOOK, webhook_id):
        webhook = await call.context.webhooks.owned(call.account_id, webhook_id)
        if webhook is not None:
            return webhook
    raise NotFound("webhook")


def _check(wanted: CreateWebhookRequest | UpdateWebhookRequest, context: Context) -> None:
    """Refuse what can be refused without the store."""
    if wanted.target_url is not None:
        check_target_url(wanted.target_url, allow_http=context.settings.egress_allow_http)
    if wanted.custom_headers:
        check_custom_headers(wanted.custom_headers)
    if wanted.payload_template:
        raise Unprocessable(
            "payload_template_not_available",
            "payload_template: This version of Conduit sends its own JSON; "
            "templates come with a later one.",
        )
    if wanted.smtp_security_policy_id:
        raise Unprocessable(
            "smtp_security_policy_not_found",
            "smtp_security_policy_id: No SMTP security policy of this account has this id.",
        )


async def _changes(call: AccountCall[UpdateWebhookRequest], webhook: Webhook) -> dict[str, Any]:
    wanted, box = call.input, call.context.box
    changes = wanted.model_dump(include={"target_url", "active", "rate_limit"}, exclude_none=True)
    if wanted.address is not None:
        changes["address"] = await _address(call, wanted.address, webhook.id, webhook.address)
    if wanted.secret is not None:
        changes["secret"] = box.seal(wanted.secret, webhook.id)
    if wanted.custom_headers is not None:
        changes["custom_headers"] = _sealed(box, wanted.custom_headers, webhook.id)
    return changes


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
    except AddressError as error:
        raise Unprocessable("invalid_address", f"address: {error}") from None
    if len(address.encode()) > _LONGEST_ADDRESS:
        raise Unprocessable("invalid_address", "address: An address has at most 254 octets.")
    return address, address.rpartition("@")[2]


def _new_secret() -> str:
    """Return a secret in the form of Standard Webhooks."""
    return f"whsec_{b64encode(secrets.token_bytes(32)).decode()}"


def _sealed(box: SecretBox, headers: Mapping[str, str], webhook_id: str) -> dict[str, Sealed]:
    return {name: box.seal(value, webhook_id) for name, value in headers.items()}


def _address_taken() -> Conflict:
    return Conflict("address_taken", "A webhook has this address already.")
