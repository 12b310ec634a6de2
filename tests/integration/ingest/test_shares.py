"""What is beyond a webhook's share is as durable, and goes to the bulk lane."""

from collections.abc import Callable

from conduit.bus.topology import DELIVERIES, DELIVERIES_BULK
from conduit.store.connection import Store
from tests.integration.ingest.conftest import NewWebhook, Settings, watch
from tests.support.smtp import Ingest, greeted

AT_ONCE = 3


async def test_mail_beyond_the_share_of_its_webhook_goes_to_the_bulk_lane(
    settings: Settings,
    store: Store,
    new_ingest: Callable[..., Ingest],
    new_webhook: NewWebhook,
) -> None:
    flooded, other = await new_webhook(), await new_webhook()
    ingest = new_ingest(smtp_share_at_once=str(AT_ONCE), smtp_share_per_second="0.001")
    ingest.start()
    ingest.wait_ready()
    async with watch(settings, store, ingest.port) as queued:
        async with greeted(ingest.port) as client:
            for _ in range(AT_ONCE + 2):
                assert (await client.mail(b"\r\n", flooded.address)).startswith("250 ")
            # One mail for both: each goes by its own share.
            both = await client.mail(b"\r\n", flooded.address, other.address)
            assert both.startswith("250-")
        found = [queued.lanes[event.delivery_id] for event in await queued.expect(flooded, 6)]
        assert sorted(found) == [DELIVERIES] * AT_ONCE + [DELIVERIES_BULK] * 3
        [event] = await queued.expect(other)
        assert queued.lanes[event.delivery_id] == DELIVERIES
    assert ingest.metric("conduit_ingest_beyond_share_total") == 3
