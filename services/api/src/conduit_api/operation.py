"""An operation of the API: what a route needs to be served and to be documented."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from aiohttp import web
from pydantic import BaseModel

from conduit.model.session import Session
from conduit_api.body import read_body, read_query
from conduit_api.context import Context
from conduit_api.credentials import Credential, admitted
from conduit_api.fields import Query
from conduit_api.origin import ORIGIN

I = TypeVar("I", bound=BaseModel)  # noqa: E741  the input


@dataclass(frozen=True, slots=True)
class Call(Generic[I]):
    """One request for an operation, its input read."""

    context: Context
    request: web.Request
    input: I

    @property
    def client(self) -> str:
        """The address that the request came from."""
        return self.request[ORIGIN].client

    def path(self, name: str) -> str:
        """Return a parameter of the path."""
        return self.request.match_info[name]


@dataclass(frozen=True, slots=True)
class AccountCall(Call[I]):
    """A call by somebody who is signed in, or by a program with an API token."""

    credential: Credential

    @property
    def account_id(self) -> str:
        """Whose objects the call may see and change."""
        return self.credential.account_id

    @property
    def session(self) -> Session:
        """The session that asks, for operations whose row says `needs_session`."""
        if not isinstance(self.credential, Session):
            raise TypeError("the operation's row lacks needs_session")
        return self.credential


@dataclass(frozen=True, slots=True)
class Answer:
    """What a handler gives back; the status is the operation's."""

    body: BaseModel | Sequence[BaseModel] | bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Operation(Generic[I]):
    """A row of the route table.

    `input` is the model of the JSON body, or of the query string when it is a Query. `output` is
    the type of the answer's body: a model, a list of one, a union of some, or None; or bytes, which
    are of the type `media`. `headers` are those of the answer, `errors` the statuses from 400 up
    that are this operation's own. `body_optional`: a request without a body is as one with `{}`.
    """

    method: str
    path: str
    id: str
    summary: str
    tags: tuple[str, ...]
    input: type[I]
    status: int
    description: str
    output: Any
    media: str = "application/json"
    body_optional: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)
    errors: Mapping[int, str] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)

    @property
    def has_body(self) -> bool:
        """Whether the operation reads a JSON body."""
        return not issubclass(self.input, Query)

    async def perform(self, context: Context, request: web.Request) -> Answer:
        """Admit who asks, read the input, and answer, or raise an ApiError."""
        raise NotImplementedError

    async def read(self, request: web.Request) -> I:
        """Return the request's input."""
        if self.body_optional and not request.body_exists:
            return self.input()
        if self.has_body:
            return await read_body(request, self.input)
        return read_query(request, self.input)


@dataclass(frozen=True, kw_only=True)
class Public(Operation[I]):
    """An operation that needs no access token."""

    handler: Callable[[Call[I]], Awaitable[Answer]]

    async def perform(self, context: Context, request: web.Request) -> Answer:
        """Read the input and answer."""
        return await self.handler(Call(context, request, await self.read(request)))


@dataclass(frozen=True, kw_only=True)
class Private(Operation[I]):
    """An operation for the one whose access token or API token is shown.

    `needs_session`: an API token will not do, as for what could give its holder more than it has.
    """

    needs_session: bool = False

    handler: Callable[[AccountCall[I]], Awaitable[Answer]]

    async def perform(self, context: Context, request: web.Request) -> Answer:
        """Check the access token first, so that strangers learn nothing of what is wrong."""
        client = request[ORIGIN].client
        credential = await admitted(request, context, client, needs_session=self.needs_session)
        call = AccountCall(context, request, await self.read(request), credential)
        return await self.handler(call)
