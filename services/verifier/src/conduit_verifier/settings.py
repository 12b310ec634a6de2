"""The settings of the verifier."""

from typing import Annotated

from pydantic import Field

from conduit.settings import (
    BusSettings,
    DnsSettings,
    Port,
    Seconds,
    ServiceSettings,
    StoreSettings,
)

Count = Annotated[int, Field(ge=1)]


class VerifierSettings(ServiceSettings, BusSettings, StoreSettings, DnsSettings):
    """Everything that the verifier reads from its environment."""

    verifier_metrics_port: Port = Field(
        default=9104, description="Port of the verifier's /metrics, /healthz and /readyz."
    )
    verifier_dns_timeout: Seconds = Field(
        default=5, description="Seconds that one look-up may take, over all servers and tries."
    )
    verifier_concurrency: Count = Field(
        default=100, description="Checks on request at a time, in each process."
    )
    verifier_recheck_interval: Seconds = Field(
        default=86_400, description="Seconds after which a verified domain is checked again."
    )
    verifier_recheck_misses: Count = Field(
        default=7,
        description="Re-checks in a row that must find the record gone before a domain stops "
        "being verified; with daily re-checks these are days.",
    )
