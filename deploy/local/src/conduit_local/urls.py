"""Where the parts of a stack listen."""

from collections.abc import Mapping
from dataclasses import dataclass

from conduit_local.plan import Plan
from conduit_local.ports import LOOPBACK


@dataclass(frozen=True)
class Urls:
    """Addresses for people and tests; `metrics` by service."""

    api: str
    docs: str
    smtp: str
    amqp: str
    mongodb: str
    metrics: Mapping[str, str]

    @classmethod
    def of(cls, plan: Plan) -> "Urls":
        """Return the addresses of a plan."""
        ports = plan.ports
        web = f"http://{LOOPBACK}:{ports.api}"
        metrics = {
            "api": ports.api_metrics,
            "smtp-ingest": ports.smtp_metrics,
            "dispatcher": ports.dispatcher_metrics,
            "verifier": ports.verifier_metrics,
        }
        return cls(
            api=f"{web}/api/v1",
            docs=f"{web}/docs",
            smtp=f"smtp://{LOOPBACK}:{ports.smtp}",
            amqp=plan.amqp_url,
            mongodb=plan.mongodb_url,
            metrics={name: f"http://{LOOPBACK}:{port}/metrics" for name, port in metrics.items()},
        )
