"""Settings of the dispatcher."""

from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from conduit.settings import (
    BusSettings,
    Delays,
    DnsSettings,
    EgressSettings,
    PayloadSettings,
    Port,
    Seconds,
    SecretSettings,
    ServiceSettings,
    StoreSettings,
)
from conduit_dispatcher.proxy import Proxy


def _proxy_url(text: str) -> str:
    Proxy.of_url(text)
    return text


class DispatcherSettings(
    ServiceSettings,
    BusSettings,
    StoreSettings,
    SecretSettings,
    DnsSettings,
    EgressSettings,
    PayloadSettings,
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
    egress_proxy: Annotated[str, AfterValidator(_proxy_url)] | None = Field(
        default=None,
        description="Proxy through which endpoints are called: http://user:password@host:port or "
        "https://…, with or without user and password. It must allow CONNECT to the ports of the "
        "targets.",
    )
    egress_proxy_resolves: bool = Field(
        default=False,
        description="Let this proxy look up the names in targets, and keep calls off private "
        "networks: Conduit then judges only addresses that stand in a target itself.",
    )
    retry_delays: Delays = Field(
        default=(10, 60, 300, 900, 3_600, 10_800, 21_600, 43_200, 86_400),
        description="Seconds from each failed attempt to the next, comma-separated.",
    )
    retry_jitter: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.1, description="Share of a delay that is added at random."
    )

    @model_validator(mode="after")
    def _proxy_resolves(self) -> Self:
        if self.egress_proxy_resolves and self.egress_proxy is None:
            raise ValueError("CONDUIT_EGRESS_PROXY_RESOLVES needs CONDUIT_EGRESS_PROXY")
        return self

    @property
    def proxy(self) -> Proxy | None:
        """The egress proxy."""
        if self.egress_proxy is None:
            return None
        return Proxy.of_url(self.egress_proxy, resolves=self.egress_proxy_resolves)
