"""Hooks for Schemathesis: who asks. A call that may end its session gets a session of its own.

Loaded by the program that test_schemathesis.py runs, which has CONDUIT_TEST_API, the API's URL, and
CONDUIT_TEST_TOKEN, the access token for all other calls.
"""

import os
from typing import Any
from uuid import uuid4

import requests
import schemathesis

PASSWORD = "correct horse battery"  # as in the examples, with which calls are to succeed
ENDING = {"changePassword", "deleteAccount", "deleteSession"}

_API = os.environ["CONDUIT_TEST_API"]
_TOKEN = os.environ["CONDUIT_TEST_TOKEN"]
_REFRESH_TOKENS: dict[str, str] = {}


@schemathesis.auth(refresh_interval=None)
class Bearer:
    """The access token of a call."""

    def get(self, case: schemathesis.Case[Any], _context: schemathesis.AuthContext) -> str:
        """Return the token for all calls, or a new account's for one that may end a session."""
        definition = case.operation.definition.raw
        if definition["operationId"] not in ENDING or not _may_succeed(case.body, definition):
            return _TOKEN
        session = _session()
        _REFRESH_TOKENS[case.id] = session["refresh_token"]
        return session["access_token"]

    def set(
        self, case: schemathesis.Case[Any], data: str, _context: schemathesis.AuthContext
    ) -> None:
        """Show it."""
        case.headers["Authorization"] = f"Bearer {data}"


@schemathesis.hook
def before_call(
    _context: schemathesis.HookContext, case: schemathesis.Case[Any], _kwargs: dict[str, Any]
) -> None:
    """Name the session that is to end, which no example can."""
    if case.operation.definition.raw["operationId"] == "deleteSession":
        token = _REFRESH_TOKENS.get(case.id)
        if token is not None:
            case.body = {"refresh_token": token}


def _may_succeed(body: object, definition: dict[str, Any]) -> bool:
    """Whether a body is an example, or has the password of one."""
    content = definition["requestBody"]["content"]["application/json"]
    examples = [example["value"] for example in content["examples"].values()]
    return body in examples or (isinstance(body, dict) and PASSWORD in body.values())


def _session() -> dict[str, str]:
    credentials = {"email": f"{uuid4().hex}@example.com", "password": PASSWORD}
    requests.post(f"{_API}/accounts", json=credentials, timeout=10).raise_for_status()
    response = requests.post(f"{_API}/sessions", json=credentials, timeout=10)
    response.raise_for_status()
    session: dict[str, str] = response.json()
    return session
