"""A deleted account's mail: what is queued goes nowhere, what comes is refused."""

from conduit_local.receiver import Receiver
from conduit_local.stack import Stack
from tests.support.log_lines import log_lines
from tests.support.polling import eventually
from tests.support.swaks import Swaks
from tests.support.user import User


async def test_queued_and_new_mail_of_a_deleted_account_goes_nowhere(
    stack: Stack, user: User, receiver: Receiver
) -> None:
    webhook = await user.webhook(receiver.url)
    receiver.always_answer(503)  # so that the mail stays queued
    code, dialogue = await Swaks(stack).send(webhook["address"])
    assert code == 0, dialogue
    [call, *_] = await receiver.wait_for(1)
    await user.call("DELETE", "/accounts/me", {"password": "correct horse battery"})

    def dropped() -> bool:
        lines = log_lines(stack.log("dispatcher"))
        return any(
            line["event"] == "delivery.webhook_deleted" and line["delivery_id"] == call.webhook_id
            for line in lines
        )

    await eventually(dropped, within=20, what="the end of the queued mail")

    async def refused() -> bool:
        code, dialogue = await Swaks(stack).send(webhook["address"])
        return code != 0 and "550 5.1.1" in dialogue

    await eventually(refused, within=20, what="the refusal of new mail")
