"""Settings of the SMTP ingest."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from conduit.settings import BusSettings, Port, Seconds, ServiceSettings, StoreSettings

Count = Annotated[int, Field(ge=1)]

MEBIBYTE = 1024 * 1024


class IngestSettings(ServiceSettings, BusSettings, StoreSettings):
    """Where it listens, as whom, and the bounds of RFC 5321 §4.5.3 and our own."""

    smtp_host: str = Field(default="127.0.0.1", description="Address on which SMTP listens.")
    smtp_port: Port = Field(default=2525, description="Port on which SMTP listens.")
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
    smtp_data_memory: Count = Field(
        default=96 * MEBIBYTE,
        description="Octets of unfinished mails in memory at a time, in each process.",
    )
    smtp_bus_limit: Annotated[int, Field(ge=0, le=8 * MEBIBYTE)] = Field(
        default=256 * 1024,
        description="Octets of a mail up to which it travels on the bus; a larger one is kept "
        "in the store, and its reference travels.",
    )
    smtp_webhook_cache: Seconds = Field(
        default=3, description="Seconds for which a webhook's state is remembered."
    )

    @model_validator(mode="after")
    def _certificate_has_key(self) -> Self:
        if (self.smtp_tls_certificate is None) != (self.smtp_tls_key is None):
            raise ValueError(
                "CONDUIT_SMTP_TLS_CERTIFICATE and CONDUIT_SMTP_TLS_KEY go together: set both"
            )
        return self
