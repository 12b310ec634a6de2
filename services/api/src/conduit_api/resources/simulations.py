"""Simulations: a webhook is called with a mail that nobody sent, to try its endpoint."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from conduit.mail.address import AddressError, parse_address
from conduit_api.errors import TooManyRequests
from conduit_api.fields import Omittable, Request, Response
from conduit_api.operation import AccountCall, Answer
from conduit_api.resources.webhooks import owned

_SENDER = "sender@example.com"
_SUBJECT = "A simulated mail"
_TEXT = "Conduit calls your webhook with this mail because you asked it to.\n"

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def _address(text: str) -> str:
    try:
        return str(parse_address(text))
    except AddressError as error:
        raise ValueError(str(error)) from None


def _one_line(text: str) -> str:
    if _CONTROL.search(text):
        raise ValueError("A subject is one line, without control characters.")
    return text


Sender = Annotated[
    str,
    AfterValidator(_address),
    Field(max_length=254, description="Envelope sender address and From of the mail"),
]
Subject = Annotated[
    str, AfterValidator(_one_line), Field(max_length=500, description="Subject of the mail")
]
Text = Annotated[str, Field(max_length=65_536, description="Plain text of the mail")]


class SimulateWebhookRequest(Request):
    """What the mail says; all of it has a default."""

    sender: Omittable[Sender] = Field(default=None, alias="from")
    subject: Omittable[Subject] = None
    text: Omittable[Text] = None


class SimulationResponse(Response):
    """What became of the call; the delivery log has it too."""

    http_status: int | None = Field(
        default=None, description="Status returned by the target, if reached"
    )
    duration_ms: int
    error: str | None = Field(default=None, description="Error detail, if delivery failed")
    simulated: Literal[True] = Field(default=True, json_schema_extra={"type": "boolean"})


async def simulate(call: AccountCall[SimulateWebhookRequest]) -> Answer:
    """Have the webhook called once, whether it is active or not."""
    webhook, mail = await owned(call), call.input
    if wait := call.context.throttles.simulation.wait(call.account_id):
        raise TooManyRequests(wait)
    done = await call.context.simulations.simulate(
        webhook.id,
        sender=_SENDER if mail.sender is None else mail.sender,
        subject=_SUBJECT if mail.subject is None else mail.subject,
        text=_TEXT if mail.text is None else mail.text,
    )
    return Answer(
        SimulationResponse(
            http_status=done.http_status, duration_ms=done.duration_ms, error=done.error
        )
    )
