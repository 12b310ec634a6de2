"""What a webhook says of itself."""

from datetime import timedelta

from conduit.model.record import utc_now
from conduit.model.webhook import Sealed, Webhook, public_address

NOW = utc_now()
WEBHOOK = Webhook(
    id="wh_01arz3ndektsv4rrffq69g5fav",
    created_at=NOW,
    updated_at=NOW,
    account_id="acc_1",
    address="alerts@example.com",
    target_url="https://example.com/",
    secret=Sealed("new"),
)


def test_a_replaced_secret_signs_until_its_time_is_over() -> None:
    assert WEBHOOK.signing_secrets(NOW) == ("new",)
    until = NOW + timedelta(hours=24)
    changes = {"previous_secret": Sealed("old"), "previous_secret_until": until}
    rotated = WEBHOOK.model_copy(update=changes)
    assert rotated.signing_secrets(NOW) == ("new", "old")
    assert rotated.signing_secrets(until - timedelta(seconds=1)) == ("new", "old")
    assert rotated.signing_secrets(until) == ("new",)


def test_an_address_of_conduits_own_is_told_from_others() -> None:
    assert not WEBHOOK.has_public_address
    assert WEBHOOK.domain == "example.com"
    public = public_address(WEBHOOK.id, "incoming.localhost")
    assert WEBHOOK.model_copy(update={"address": public}).has_public_address
    assert public == "webhook-01arz3ndektsv4rrffq69g5fav@incoming.localhost"
