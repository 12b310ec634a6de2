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
from conduit_local.output import line, print_json, show_call, title
from conduit_local.receiver import Received, Receiver
from conduit_local.stack import Stack

_SECONDS = 15
_POLL_SECONDS = 0.1


def main() -> None:
    """Show a mail's way through a stack that is started for it and leaves nothing."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="conduit-demo-") as directory:
        title("Starting RabbitMQ, the store and the four services")
        with Stack.isolated(Path(directory)) as stack:
            line("ready", f"after {time.monotonic() - began:.1f} s, on free ports")
            asyncio.run(_tour(stack))
            title("Stopping everything")
    line("done", f"after {time.monotonic() - began:.1f} s; nothing is left")


async def _tour(stack: Stack) -> None:
    try:
        async with Receiver() as receiver, aiohttp.ClientSession() as http:
            await _deliver(stack, Api(http, stack.urls.api), receiver)
    except (aiohttp.ClientError, OSError) as error:
        raise StackError(f"the demo failed: {error}\n{stack.last_lines('dispatcher')}") from error


async def _deliver(stack: Stack, api: "Api", receiver: Receiver) -> None:
    await _sign_in(api)
    webhook = await _create_webhook(api, receiver.url + "/mail")
    title(f"Sending a mail to {stack.urls.smtp}")
    await asyncio.to_thread(_send, stack.plan.ports.smtp, webhook["address"])
    title("The call that arrived")
    received = (await receiver.wait_for(1, _SECONDS))[0]
    show_call(received)
    title("Its signatures, checked without Conduit's code")
    _check(webhook["secret"], received)
    title(f"GET /api/v1/webhooks/{webhook['id']}/logs")
    print_json(await _log_entry(api, webhook["id"]))


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
    title("An account")
    credentials = {"email": "demo@example.com", "password": secrets.token_urlsafe(18)}
    account = await api.call("POST", "/accounts", credentials)
    session = await api.call("POST", "/sessions", credentials)
    api.token = session["access_token"]
    line("account", f"{account['id']} {account['email']}")
    line("signed in", f"the access token is valid for {session['expires_in']} s")


async def _create_webhook(api: Api, target: str) -> dict[str, Any]:
    title("A webhook")
    webhook: dict[str, Any] = await api.call("POST", "/webhooks", {"target_url": target})
    line("webhook", webhook["id"])
    line("address", webhook["address"])
    line("endpoint", webhook["target_url"])
    return webhook


def _send(port: int, address: str) -> None:
    with Dialogue(
        "127.0.0.1", port, timeout=_SECONDS, show=lambda said: print(f"  {said}")
    ) as smtp:
        smtp.send_message(mail(address), "sender@example.com", [address])


def _check(secret: str, received: Received) -> None:
    schemes = {
        "X-Conduit-Signature": signatures.conduit_is_valid,
        "webhook-signature": signatures.standard_is_valid,
    }
    for name, is_valid in schemes.items():
        if not is_valid(secret, received.headers, received.body):
            raise StackError(f"{name} is wrong: {received.headers.get(name, '(missing)')}")
        line(name, "valid")


async def _log_entry(api: Api, webhook: str) -> Any:  # noqa: ANN401
    deadline = time.monotonic() + _SECONDS
    while not (entries := await api.call("GET", f"/webhooks/{webhook}/logs")):
        if time.monotonic() > deadline:
            raise StackError(f"no log entry after {_SECONDS} s")
        await asyncio.sleep(_POLL_SECONDS)
    return entries[0]
