"""The whole way once, on a stack of its own: account, webhook, mail, signed call, log entry."""

import asyncio
import json
import secrets
import tempfile
import time
from pathlib import Path
from typing import Any

import aiohttp

from conduit_local import signatures
from conduit_local.dialogue import Dialogue, mail
from conduit_local.errors import StackError
from conduit_local.receiver import Received, Receiver
from conduit_local.stack import Stack

_SECONDS = 15
_POLL_SECONDS = 0.1
_SHOWN_HEADERS = ("Content-Type", "User-Agent", "X-Conduit-Signature", "webhook-id",
                  "webhook-timestamp", "webhook-signature")  # fmt: skip


def main() -> None:
    """Show a mail's way through a stack that is started for it and leaves nothing."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="conduit-demo-") as directory:
        _title("Starting RabbitMQ, the store and the four services")
        with Stack.isolated(Path(directory)) as stack:
            _line("ready", f"after {time.monotonic() - began:.1f} s, on free ports")
            asyncio.run(_tour(stack))
            _title("Stopping everything")
    _line("done", f"after {time.monotonic() - began:.1f} s; nothing is left")


async def _tour(stack: Stack) -> None:
    try:
        async with Receiver() as receiver, aiohttp.ClientSession() as http:
            await _deliver(stack, Api(http, stack.urls.api), receiver)
    except (aiohttp.ClientError, OSError) as error:
        raise StackError(f"the demo failed: {error}\n{stack.last_lines('dispatcher')}") from error


async def _deliver(stack: Stack, api: "Api", receiver: Receiver) -> None:
    await _sign_in(api)
    webhook = await _create_webhook(api, receiver.url + "/mail")
    _title(f"Sending a mail to {stack.urls.smtp}")
    await asyncio.to_thread(_send, stack.plan.ports.smtp, webhook["address"])
    _title("The call that arrived")
    received = (await receiver.wait_for(1, _SECONDS))[0]
    _show(received)
    _title("Its signatures, checked without Conduit's code")
    _check(webhook["secret"], received)
    _title(f"GET /api/v1/webhooks/{webhook['id']}/logs")
    _print_json(await _log_entry(api, webhook["id"]))


class Api:
    """Conduit's REST API, as far as the demo goes."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._http = http
        self._url = url
        self.token = ""

    async def call(self, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401
        """Return the decoded answer; one that is not 2xx ends the demo."""
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        async with self._http.request(
            method, self._url + path, json=body, headers=headers
        ) as answer:
            text = await answer.text()
        if not answer.ok:
            raise StackError(f"{method} {path} was answered with {answer.status}: {text}")
        return json.loads(text)


async def _sign_in(api: Api) -> None:
    _title("An account")
    credentials = {"email": "demo@example.com", "password": secrets.token_urlsafe(18)}
    account = await api.call("POST", "/accounts", credentials)
    session = await api.call("POST", "/sessions", credentials)
    api.token = session["access_token"]
    _line("account", f"{account['id']} {account['email']}")
    _line("signed in", f"the access token is valid for {session['expires_in']} s")


async def _create_webhook(api: Api, target: str) -> dict[str, Any]:
    _title("A webhook")
    webhook: dict[str, Any] = await api.call("POST", "/webhooks", {"target_url": target})
    _line("webhook", webhook["id"])
    _line("address", webhook["address"])
    _line("endpoint", webhook["target_url"])
    return webhook


def _send(port: int, address: str) -> None:
    with Dialogue(
        "127.0.0.1", port, timeout=_SECONDS, show=lambda line: print(f"  {line}")
    ) as smtp:
        smtp.send_message(mail(address), "sender@example.com", [address])


def _show(received: Received) -> None:
    print(f"  {received.method} {received.path}")
    for name in _SHOWN_HEADERS:
        print(f"  {name}: {received.headers.get(name, '(missing)')}")
    print()
    _print_json(received.json())


def _check(secret: str, received: Received) -> None:
    schemes = {
        "X-Conduit-Signature": signatures.conduit_is_valid,
        "webhook-signature": signatures.standard_is_valid,
    }
    for name, is_valid in schemes.items():
        if not is_valid(secret, received.headers, received.body):
            raise StackError(f"{name} is wrong: {received.headers.get(name, '(missing)')}")
        _line(name, "valid")


async def _log_entry(api: Api, webhook: str) -> Any:  # noqa: ANN401
    deadline = time.monotonic() + _SECONDS
    while not (entries := await api.call("GET", f"/webhooks/{webhook}/logs")):
        if time.monotonic() > deadline:
            raise StackError(f"no log entry after {_SECONDS} s")
        await asyncio.sleep(_POLL_SECONDS)
    return entries[0]


def _title(text: str) -> None:
    print(f"\n── {text}", flush=True)


def _line(name: str, value: str) -> None:
    print(f"  {name:20} {value}", flush=True)


def _print_json(value: object) -> None:
    text = json.dumps(value, indent=2, ensure_ascii=False)
    print("\n".join(f"  {line}" for line in text.splitlines()), flush=True)
