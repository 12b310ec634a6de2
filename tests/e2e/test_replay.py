"""What a developer does after an outage: looks at what failed, and has it sent again."""

from conduit_local.receiver import Receiver
from conduit_local.stack import Stack
from tests.support.polling import eventually
from tests.support.swaks import Swaks
from tests.support.user import User

LARGE = 400_000  # octets; more than travel on the bus


async def test_a_failed_mail_is_looked_at_and_replayed(
    stack: Stack, user: User, receiver: Receiver
) -> None:
    receiver.answer(400)
    webhook = await user.webhook(receiver.url)
    base = f"/webhooks/{webhook['id']}"
    code, dialogue = await Swaks(stack).send(webhook["address"], "--body", "It works.")
    assert code == 0, dialogue
    [entry] = await user.logs(webhook, 1)
    assert entry["status"] == "permanent"
    [failed] = await user.call("GET", f"{base}/deliveries?state=failed")
    message = await user.call("GET", f"{base}/deliveries/{failed['id']}/message")
    assert message["text"].strip() == "It works."
    assert (await user.call("POST", f"{base}/deliveries/replay", {}))["queued"] == 1
    first, second = await receiver.wait_for(2)
    assert second.json()["replay_of"] == first.webhook_id == failed["id"]
    told = {name: value for name, value in second.json().items() if name != "replay_of"}
    assert {**told, "id": failed["id"]} == first.json()

    async def delivered() -> bool:
        replay = await user.call("GET", f"{base}/deliveries/{second.webhook_id}")
        return bool(replay["state"] == "delivered")

    await eventually(delivered, what="the replay's record")
    [again, _] = await user.call("GET", f"{base}/logs")
    assert (again["delivery_id"], again["replay_of"]) == (second.webhook_id, failed["id"])


async def test_a_mail_too_large_for_the_bus_is_replayed(
    stack: Stack, user: User, receiver: Receiver
) -> None:
    webhook = await user.webhook(receiver.url)
    attachment = "@" + str(stack.data_dir / "large.bin")
    (stack.data_dir / "large.bin").write_bytes(bytes(LARGE))
    code, dialogue = await Swaks(stack).send(webhook["address"], "--attach", attachment)
    assert code == 0, dialogue
    [entry] = await user.logs(webhook, 1)
    path = f"/webhooks/{webhook['id']}/logs/{entry['id']}/replay"
    replay = await user.call("POST", path)
    first, second = await receiver.wait_for(2)
    assert second.webhook_id == replay["delivery_id"]
    assert second.json()["attachments"] == first.json()["attachments"]
    assert second.json()["attachments"][0]["size"] == LARGE
