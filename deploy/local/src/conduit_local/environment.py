"""The environment that the stack's processes get."""

from collections.abc import Mapping
from pathlib import Path

from conduit_local import keys, processes
from conduit_local.ports import LOOPBACK, Ports

# Settings of other Erlang nodes must not reach ours.
_NOT_INHERITED = ("RABBITMQ_", "ERL_")


def local_environment(
    inherited: Mapping[str, str], data_dir: Path, ports: Ports, amqp_url: str, mongodb_url: str
) -> dict[str, str]:
    """Return local defaults, what is inherited over them, and the stack's own addresses last."""
    kept = {n: v for n, v in inherited.items() if not n.startswith(_NOT_INHERITED)}
    return {
        **_defaults(data_dir, own_certificate="CONDUIT_SMTP_TLS_CERTIFICATE" not in kept),
        "CONDUIT_PUBLIC_URL": f"http://{LOOPBACK}:{ports.api}",
        **keys.load(data_dir),
        **kept,
        **ports.variables(),
        "CONDUIT_AMQP_URL": amqp_url,
        "CONDUIT_MONGODB_URL": mongodb_url,
        "CONDUIT_METRICS_HOST": LOOPBACK,
        processes.MARK: str(data_dir),
    }


def without_settings(inherited: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without Conduit's own variables."""
    return {name: value for name, value in inherited.items() if not name.startswith("CONDUIT_")}


def _defaults(data_dir: Path, *, own_certificate: bool) -> dict[str, str]:
    certificate = {
        "CONDUIT_SMTP_TLS_CERTIFICATE": str(data_dir / "tls" / "certificate.pem"),
        "CONDUIT_SMTP_TLS_KEY": str(data_dir / "tls" / "key.pem"),
        "CONDUIT_SMTP_TLS_SELF_SIGNED": "true",
    }
    return {
        "CONDUIT_SMTP_HOSTNAME": "localhost",
        "CONDUIT_MAIL_DIRECTORY": str(data_dir / "mail"),
        # A laptop may have no DNS, and its mails come from itself.
        "CONDUIT_SMTP_AUTHENTICATION": "policy",
        "CONDUIT_EGRESS_ALLOW_HTTP": "true",
        "CONDUIT_EGRESS_ALLOWED_NETWORKS": "127.0.0.0/8,::1/128",
        **(certificate if own_certificate else {}),
    }
