"""Simulations: the API has the dispatcher call a webhook, and tells what became of it."""

import pytest

from tests.integration.api.client import User
from tests.integration.api.conftest import SIMULATIONS_PER_ACCOUNT
from tests.integration.api.dispatcher import Dispatcher


@pytest.fixture
async def path(user: User) -> str:
    """Where a webhook is simulated; each test has an account of its own, being throttled."""
    webhook = await user.new_webhook()
    return f"/webhooks/{webhook['id']}/simulate"


async def test_a_webhook_is_tried_without_any_input(
    user: User, path: str, dispatcher: Dispatcher
) -> None:
    done = (await user.client.post(path)).expect(200)
    assert done == {"http_status": 200, "duration_ms": 12, "simulated": True}
    [request] = dispatcher.requests
    assert request.webhook_id in path
    assert request.sender == "sender@example.com"
    assert request.subject
    assert request.text


async def test_the_mail_can_be_shaped(user: User, path: str, dispatcher: Dispatcher) -> None:
    mail = {"from": "Ann@example.com", "subject": "Grüße", "text": "one\ntwo"}
    (await user.client.post(path, mail)).expect(200)
    [request] = dispatcher.requests
    found = (request.sender, request.subject, request.text)
    assert found == ("Ann@example.com", "Grüße", "one\ntwo")


async def test_an_empty_text_is_one(user: User, path: str, dispatcher: Dispatcher) -> None:
    (await user.client.post(path, {"subject": "", "text": ""})).expect(200)
    [request] = dispatcher.requests
    assert (request.subject, request.text) == ("", "")


async def test_a_failure_is_told(user: User, path: str, dispatcher: Dispatcher) -> None:
    dispatcher.error = "cannot connect"
    done = (await user.client.post(path, {})).expect(200)
    assert done == {"error": "cannot connect", "duration_ms": 12, "simulated": True}


async def test_an_inactive_webhook_can_be_tried(
    user: User, path: str, dispatcher: Dispatcher
) -> None:
    (await user.client.put(path.removesuffix("/simulate"), {"active": False})).expect(200)
    (await user.client.post(path)).expect(200)
    assert len(dispatcher.requests) == 1


@pytest.mark.parametrize(
    ("mail", "failure"),
    [
        ({"from": "nobody"}, (422, "validation_error")),
        ({"from": ""}, (422, "validation_error")),
        ({"from": "a@example.com>\r\nBcc: b@example.com"}, (422, "validation_error")),
        ({"from": None}, (422, "validation_error")),
        (
            {"from": f"{'x' * 64}@{'y' * 60}.{'z' * 60}.{'z' * 60}.{'z' * 60}"},
            (422, "validation_error"),
        ),
        ({"subject": "one\r\nBcc: b@example.com"}, (422, "validation_error")),
        ({"subject": "x" * 501}, (422, "validation_error")),
        ({"subject": 1}, (422, "validation_error")),
        ({"text": "x" * 65_537}, (422, "validation_error")),
        ({"to": "a@example.com"}, (422, "unknown_field")),
        ({"sender": "a@example.com"}, (422, "unknown_field")),
    ],
)
async def test_wrong_values_are_refused(
    user: User, path: str, mail: object, failure: tuple[int, str]
) -> None:
    assert (await user.client.post(path, mail)).failure == failure


async def test_a_body_must_be_json(user: User, path: str) -> None:
    reply = await user.client.send(
        "POST", path, data=b"from=x", headers={"Content-Type": "application/x-www-form-urlencoded"}
    )
    assert reply.failure == (415, "unsupported_media_type")
    reply = await user.client.send(
        "POST", path, data=b"{", headers={"Content-Type": "application/json"}
    )
    assert reply.failure == (400, "malformed_json")


async def test_an_account_tries_only_so_often(
    user: User, path: str, dispatcher: Dispatcher
) -> None:
    for _ in range(SIMULATIONS_PER_ACCOUNT):
        (await user.client.post(path)).expect(200)
    reply = await user.client.post(path)
    assert reply.failure == (429, "too_many_requests")
    assert int(reply.headers["Retry-After"]) > 0
    assert len(dispatcher.requests) == SIMULATIONS_PER_ACCOUNT
