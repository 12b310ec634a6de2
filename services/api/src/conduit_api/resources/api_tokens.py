"""API tokens: what programs show in place of a session."""

from datetime import datetime
from ipaddress import ip_network
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from conduit.model.api_token import ApiToken, Scope
from conduit.model.audit import Action
from conduit.model.ids import Prefix, is_id, new_id
from conduit.model.record import utc_now
from conduit.security.api_tokens import hash_of, hint_of, new_api_token
from conduit.store.api_tokens import LIST_LIMIT
from conduit_api import audit
from conduit_api.errors import Conflict, NotFound, Unprocessable
from conduit_api.fields import Moment, NoInput, Omittable, Request, Response
from conduit_api.operation import AccountCall, Answer

_NETWORKS = 50  # that one token may be bound to


def _network(text: str) -> str:
    try:
        return str(ip_network(text))
    except ValueError:
        raise ValueError(
            "This is neither an address nor a network in CIDR notation without host bits."
        ) from None


Name = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]*$")]
Networks = Annotated[
    list[Annotated[str, Field(pattern=r"^[0-9A-Fa-f.:/]+$"), AfterValidator(_network)]],
    Field(max_length=_NETWORKS, description="Networks (CIDR) it is taken from; empty: any"),
]
Scopes = Annotated[
    list[Literal["read", "write"]],
    Field(min_length=1, max_length=2, description="read: GET and HEAD; write: all others"),
]


class CreateApiTokenRequest(Request):
    """What the token is for, and what it may do."""

    name: Name
    scopes: Scopes = Field(default=["read", "write"])
    allowed_ips: Networks = Field(default=[])
    expires_at: Omittable[
        Annotated[Moment, Field(description="When it ends; left out: when it is revoked")]
    ] = None


class ApiTokenResponse(Response):
    """A token, as its owner sees it."""

    id: str
    name: str
    token: str | None = Field(
        default=None, description="The secret; only in the response that created it"
    )
    hint: str = Field(description="The secret's last characters")
    scopes: Scopes
    allowed_ips: Networks
    created_at: datetime
    expires_at: datetime | None = None
    last_used_at: datetime | None = Field(default=None, description="Exact to a minute")

    @classmethod
    def of(cls, token: ApiToken, secret: str | None = None) -> "ApiTokenResponse":
        """Return what is told of a token; its secret only to the one who has just made it."""
        return cls(
            id=token.id,
            name=token.name,
            token=secret,
            hint=token.hint,
            scopes=[scope.value for scope in token.scopes],
            allowed_ips=list(token.allowed_ips),
            created_at=token.created_at,
            expires_at=token.expires_at,
            last_used_at=token.last_used_at,
        )


async def create(call: AccountCall[CreateApiTokenRequest]) -> Answer:
    """Make a token."""
    tokens, wanted = call.context.api_tokens, call.input
    secret, token = _new_token(call.account_id, wanted)
    if token.expires_at is not None and token.expires_at <= token.created_at:
        raise Unprocessable("expires_at_in_the_past", "expires_at: This moment has passed.")
    if len(await tokens.of_account(call.account_id)) >= LIST_LIMIT:
        raise Conflict("too_many_tokens", f"An account may have {LIST_LIMIT} API tokens.")
    await tokens.insert(token)
    await audit.record(call, call.account_id, Action.TOKEN_CREATED, token.id, name=token.name)
    return Answer(ApiTokenResponse.of(token, secret))


async def list_(call: AccountCall[NoInput]) -> Answer:
    """Return the account's tokens."""
    tokens = await call.context.api_tokens.of_account(call.account_id)
    return Answer([ApiTokenResponse.of(token) for token in tokens])


async def get(call: AccountCall[NoInput]) -> Answer:
    """Return one token."""
    return Answer(ApiTokenResponse.of(await _owned(call)))


async def delete(call: AccountCall[NoInput]) -> Answer:
    """Revoke a token, at once and on every replica."""
    token = await _owned(call)
    if not await call.context.api_tokens.delete_owned(call.account_id, token.id):
        raise NotFound("API token")
    await audit.record(call, call.account_id, Action.TOKEN_DELETED, token.id, name=token.name)
    return Answer()


async def _owned(call: AccountCall[NoInput]) -> ApiToken:
    token_id = call.path("id")
    if is_id(Prefix.TOKEN, token_id):
        token = await call.context.api_tokens.owned(call.account_id, token_id)
        if token is not None:
            return token
    raise NotFound("API token")


def _new_token(account_id: str, wanted: CreateApiTokenRequest) -> tuple[str, ApiToken]:
    secret, now = new_api_token(), utc_now()
    return secret, ApiToken(
        id=new_id(Prefix.TOKEN),
        created_at=now,
        updated_at=now,
        account_id=account_id,
        name=wanted.name,
        hint=hint_of(secret),
        token_hash=hash_of(secret),
        scopes=tuple(sorted({Scope(scope) for scope in wanted.scopes})),
        allowed_ips=tuple(dict.fromkeys(wanted.allowed_ips)),
        expires_at=wanted.expires_at,
    )
