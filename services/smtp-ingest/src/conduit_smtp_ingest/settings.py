"""Settings of the SMTP ingest."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from conduit.settings import (
    BusSettings,
    DnsSettings,
    Networks,
    Port,
    Seconds,
    ServiceSettings,
    StoreSettings,
)

Count = Annotated[int, Field(ge=1)]

MEBIBYTE = 1024 * 1024


class Authentication(StrEnum):
    """For which mails SPF, DKIM, DMARC and ARC are looked into."""

    ALWAYS = "always"
    POLICY = "policy"


class IngestSettings(ServiceSettings, BusSettings, StoreSettings, DnsSettings):
    """Where it listens, as whom, and the bounds of RFC 5321 §4.5.3 and our own."""

    smtp_host: str = Field(default="127.0.0.1", description="Address on which SMTP listens.")
    smtp_port: Port = Field(default=2525, description="Port on which SMTP listens.")
    smtp_tls_port: Port | None = Field(
        default=None, description="Port on which sessions begin with TLS; unset: none."
    )
    smtp_proxy_networks: Networks = Field(
        default=(),
        description="Networks whose connections begin with a PROXY protocol header (v1 or v2), "
        "comma-separated.",
    )
    smtp_hostname: str = Field(
        default="localhost", description="Name in the greeting and in EHLO's answer."
    )
    smtp_metrics_port: Port = Field(default=9102, description="Port of metrics and health.")
    smtp_processes: Annotated[int, Field(ge=1, le=64)] = Field(
        default=1, description="Processes that share the SMTP port."
    )
    smtp_tls_certificate: Path | None = Field(
        default=None, description="File with the certificate chain (PEM); unset: no STARTTLS."
    )
    smtp_tls_key: Path | None = Field(default=None, description="File with its private key (PEM).")
    smtp_tls_self_signed: bool = Field(
        default=False, description="Make a self-signed certificate when these files are missing."
    )
    smtp_size_limit: Count = Field(default=25 * MEBIBYTE, description="Octets of one mail.")
    smtp_recipient_limit: Count = Field(default=100, description="Recipients of one mail.")
    smtp_line_limit: Annotated[int, Field(ge=1000)] = Field(
        default=64 * 1024, description="Octets of one line of a mail, with its line end."
    )
    smtp_command_line_limit: Annotated[int, Field(ge=512)] = Field(
        default=2048, description="Octets of one command, with its line end."
    )
    smtp_command_limit: Count = Field(
        default=1000,
        description="Commands without an accepted mail among them, after which a session ends.",
    )
    smtp_auth_failure_limit: Count = Field(
        default=3, description="Failed authentications after which a session is ended."
    )
    smtp_auth_failure_limit_per_ip: Count = Field(
        default=30,
        description="Failed authentications of one address (of a /64 for IPv6), within "
        "`CONDUIT_SMTP_AUTH_FAILURE_WINDOW`, after which its others are refused unseen.",
    )
    smtp_auth_failure_window: Seconds = Field(
        default=900, description="Seconds for which failed authentications are remembered."
    )
    smtp_error_limit: Count = Field(
        default=10, description="Bad commands after which a session is ended."
    )
    smtp_unknown_limit: Count = Field(
        default=5, description="Unknown recipients after which a session is ended."
    )
    smtp_idle_timeout: Seconds = Field(
        default=300, description="Seconds that a session may be silent."
    )
    smtp_session_timeout: Seconds = Field(
        default=1200, description="Seconds that a session may take."
    )
    smtp_connection_limit: Count = Field(
        default=1000, description="Sessions at a time, in each process."
    )
    smtp_connection_limit_per_ip: Count = Field(
        default=100,
        description="Sessions of one address (of a /64 for IPv6) at a time, in each process.",
    )
    smtp_greeting_delay: Annotated[float, Field(ge=0, le=60)] = Field(
        default=0,
        description="Seconds before the greeting; who speaks during them is refused. 0: none.",
    )
    smtp_data_rate: Count = Field(
        default=500,
        description="Octets a second that DATA must bring on average, beyond the idle timeout.",
    )
    smtp_data_memory: Count = Field(
        default=64 * MEBIBYTE,
        description="Octets of unfinished mails in memory at a time, in each process; the last "
        "eighth is for mails of up to 256 KiB.",
    )
    smtp_bus_limit: Annotated[int, Field(ge=0, le=8 * MEBIBYTE)] = Field(
        default=256 * 1024,
        description="Octets of a mail up to which it travels on the bus; a larger one is kept "
        "in the store, and its reference travels.",
    )
    smtp_webhook_cache: Seconds = Field(
        default=3, description="Seconds for which a webhook's state is remembered."
    )

    smtp_authentication: Authentication = Field(
        default=Authentication.ALWAYS,
        description="For which mails SPF, DKIM, DMARC and ARC are looked into: `always`, or only "
        "where a `policy` requires it.",
    )
    smtp_authentication_timeout: Seconds = Field(
        default=20, description="Seconds that this may take for one mail."
    )
    smtp_dkim_signature_limit: Annotated[int, Field(ge=1, le=20)] = Field(
        default=5, description="DKIM signatures of one mail that are looked into."
    )
    smtp_sync_timeout: Seconds = Field(
        default=25, description="Seconds that the sender's reply waits for a `sync` endpoint."
    )
    smtp_sync_then_queued_timeout: Seconds = Field(
        default=5, description="Seconds that it waits for a `sync_then_queued` endpoint."
    )
    smtp_sync_limit: Count = Field(
        default=50,
        description="Senders that may wait for one webhook at a time, in each process.",
    )
    smtp_share_at_once: Count = Field(
        default=50,
        description="Mails of one webhook that may come at once, in each process, and be delivered "
        "in their turn; what is beyond its share gives way to other webhooks' mail.",
    )
    smtp_share_per_second: Annotated[float, Field(gt=0)] = Field(
        default=20, description="Mails a second by which such a share fills up again."
    )
    smtp_refusals_per_minute: Count = Field(
        default=60,
        description="Refusals that are recorded for one webhook in a minute, in each process.",
    )

    @model_validator(mode="after")
    def _certificate_has_key(self) -> Self:
        if (self.smtp_tls_certificate is None) != (self.smtp_tls_key is None):
            raise ValueError(
                "CONDUIT_SMTP_TLS_CERTIFICATE and CONDUIT_SMTP_TLS_KEY go together: set both"
            )
        if self.smtp_tls_port is not None and self.smtp_tls_certificate is None:
            raise ValueError("CONDUIT_SMTP_TLS_PORT needs CONDUIT_SMTP_TLS_CERTIFICATE")
        return self
