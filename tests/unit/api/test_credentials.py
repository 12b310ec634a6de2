"""What an API token is good for, and which operations it never is."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from conduit.model.api_token import ApiToken, Scope
from conduit.security.api_tokens import hash_of, hint_of, new_api_token
from conduit_api.credentials import check, comes_from
from conduit_api.errors import Forbidden
from conduit_api.operation import Private
from conduit_api.routes import OPERATIONS

NOW = datetime(2026, 1, 1, tzinfo=UTC)

# Where an API token could outlive its revocation, or take the account over.
_FOR_SESSIONS = re.compile(
    r"DELETE /accounts/me|\w+ /accounts/me/(password|2fa).*|\w+ /(api-tokens|sessions).*"
)


def token(**changes: Any) -> ApiToken:
    fields: dict[str, Any] = {
        "id": "tok_1",
        "created_at": NOW,
        "updated_at": NOW,
        "account_id": "acc_1",
        "name": "ci",
        "hint": "abcd",
        "token_hash": "hash",
        "scopes": (Scope.READ,),
    }
    return ApiToken(**fields | changes)


def refusal(token: ApiToken, method: str, client: str = "192.0.2.1", **options: bool) -> str | None:
    try:
        check(token, method, client, **{"needs_session": False, **options})
    except Forbidden as error:
        return error.body.code
    return None


@pytest.mark.parametrize(
    ("scopes", "allowed", "refused"),
    [
        ((Scope.READ,), ("GET", "HEAD"), ("POST", "PUT", "DELETE", "PATCH")),
        ((Scope.WRITE,), ("POST", "PUT", "DELETE"), ("GET", "HEAD")),
        ((Scope.READ, Scope.WRITE), ("GET", "HEAD", "POST", "PUT", "DELETE"), ()),
    ],
)
def test_a_scope_is_for_its_methods(
    scopes: tuple[Scope, ...], allowed: tuple[str, ...], refused: tuple[str, ...]
) -> None:
    held = token(scopes=scopes)
    assert {refusal(held, method) for method in allowed} == {None}
    assert {refusal(held, method) for method in refused} <= {"insufficient_scope"}


def test_no_scope_stands_for_a_session() -> None:
    held = token(scopes=(Scope.READ, Scope.WRITE))
    assert refusal(held, "GET", needs_session=True) == "session_required"


def test_a_stranger_s_address_comes_first() -> None:
    held = token(scopes=(), allowed_ips=("198.51.100.0/24",))
    assert refusal(held, "GET", needs_session=True) == "ip_not_allowed"


@pytest.mark.parametrize(
    ("client", "networks", "inside"),
    [
        ("192.0.2.1", (), True),
        ("unknown", (), True),
        ("192.0.2.1", ("192.0.2.0/24",), True),
        ("192.0.3.1", ("192.0.2.0/24", "192.0.3.1/32"), True),
        ("192.0.3.1", ("192.0.2.0/24",), False),
        ("::ffff:192.0.2.1", ("192.0.2.0/24",), True),
        ("2001:db8::1", ("2001:db8::/32",), True),
        ("2001:db9::1", ("2001:db8::/32", "0.0.0.0/0"), False),
        ("unknown", ("0.0.0.0/0", "::/0"), False),
    ],
)
def test_where_a_client_comes_from(client: str, networks: tuple[str, ...], inside: bool) -> None:
    assert comes_from(client, networks) is inside


def test_a_token_lives_until_it_expires() -> None:
    assert token().alive(NOW)
    assert token(expires_at=NOW + timedelta(milliseconds=1)).alive(NOW)
    assert not token(expires_at=NOW).alive(NOW)


def test_secrets_are_long_and_unlike() -> None:
    secrets = {new_api_token() for _ in range(100)}
    assert len(secrets) == len({hash_of(secret) for secret in secrets}) == 100
    assert all(re.fullmatch(r"conduit_[\w-]{43}", secret, re.ASCII) for secret in secrets)
    assert all(secret.endswith(hint_of(secret)) and len(hint_of(secret)) == 4 for secret in secrets)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.id)
def test_what_could_take_an_account_over_needs_a_session(operation: Any) -> None:
    if not isinstance(operation, Private):
        return
    row = f"{operation.method} {operation.path.removeprefix('/api/v1')}"
    if _FOR_SESSIONS.fullmatch(row):
        assert operation.needs_session, row
