"""Settings of the dispatcher."""

from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from conduit.settings import (
    BusSettings,
    Delays,
    DnsSettings,
    EgressSettings,
    HoldingSettings,
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
    HoldingSettings,
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
    dispatcher_bulk_prefetch: Annotated[int, Field(ge=1, le=2000)] = Field(
        default=200,
        description="The same of the bulk lane, whose mail is in no hurry, beside the others.",
    )
    dispatcher_sync_prefetch: Annotated[int, Field(ge=1, le=2000)] = Field(
        default=200,
        description="Deliveries under way at a time, in each process, whose senders wait.",
    )
    dispatcher_sync_limit_per_webhook: Annotated[int, Field(ge=1, le=2000)] = Field(
        default=50,
        description="Of these, those of one webhook; more are refused for the moment (450).",
    )
    dispatcher_limit_per_webhook: Annotated[int, Field(ge=1, le=2000)] = Field(
        default=20,
        description="Queued mails of one webhook that are called at a time, in each process; the "
        "others wait for their turn. It is fewer while slow webhooks take up most of the prefetch.",
    )
    dispatcher_webhook_cache: Seconds = Field(
        default=3,
        description="Seconds for which it is remembered how a webhook is set, and that it fails.",
    )
    breaker_failures: Annotated[int, Field(ge=1)] = Field(
        default=10,
        description="Calls of a webhook that fail in a row, in a way that may pass, until it is "
        "left alone for a while.",
    )
    breaker_pause: Seconds = Field(
        default=10, description="Seconds of the first pause; each further one is twice as long."
    )
    breaker_longest_pause: Seconds = Field(
        default=300,
        description="Seconds of the longest pause; also the bound of what Retry-After asks for all "
        "mail of a webhook.",
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
        default=0.1,
        description="Share of a delay, or of a breaker's pause, that is added at random.",
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
