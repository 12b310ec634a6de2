"""Settings of the dispatcher."""

from typing import Annotated

from pydantic import Field

from conduit.settings import (
    BusSettings,
    Delays,
    DnsSettings,
    EgressSettings,
    HoldingSettings,
    Port,
    Seconds,
    SecretSettings,
    ServiceSettings,
    StoreSettings,
)


class DispatcherSettings(
    ServiceSettings,
    BusSettings,
    StoreSettings,
    HoldingSettings,
    SecretSettings,
    DnsSettings,
    EgressSettings,
):
    """How webhooks are called, and how often."""

    dispatcher_metrics_port: Port = Field(default=9103, description="Port of metrics and health.")
    dispatcher_prefetch: Annotated[int, Field(ge=1, le=2000)] = Field(
        default=200, description="Deliveries under way at a time, in each process."
    )
    dispatcher_sync_prefetch: Annotated[int, Field(ge=1, le=2000)] = Field(
        default=200,
        description="Deliveries under way at a time, in each process, whose senders wait.",
    )
    dispatcher_sync_limit_per_webhook: Annotated[int, Field(ge=1, le=2000)] = Field(
        default=50,
        description="Of these, those of one webhook; more are refused for the moment (450).",
    )
    dispatcher_webhook_cache: Seconds = Field(
        default=3, description="Seconds for which a webhook's state is remembered."
    )
    webhook_timeout: Seconds = Field(
        default=30, description="Seconds that a webhook call may take in all."
    )
    webhook_connect_timeout: Seconds = Field(
        default=5, description="Seconds that connecting to an endpoint may take."
    )
    webhook_attachment_limit: Annotated[int, Field(ge=0)] = Field(
        default=10 * 1024 * 1024,
        description="Octets of attachments that are put into one webhook call; what is beyond "
        "is described without its content.",
    )
    retry_delays: Delays = Field(
        default=(10, 60, 300, 900, 3_600, 10_800, 21_600, 43_200, 86_400),
        description="Seconds from each failed attempt to the next, comma-separated.",
    )
    retry_jitter: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.1, description="Share of a delay that is added at random."
    )
