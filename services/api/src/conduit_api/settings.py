"""The settings of the API service."""

from collections.abc import Mapping
from datetime import timedelta
from email.utils import parseaddr
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_settings import NoDecode

from conduit.mail.address import AddressError, parse_address
from conduit.settings import (
    BusSettings,
    ConduitSettings,
    EgressSettings,
    HoldingSettings,
    Keys,
    Networks,
    PayloadSettings,
    Port,
    Seconds,
    SecretSettings,
    ServiceSettings,
    StoreSettings,
    items,
)
from conduit_api.failing import Patience

Count = Annotated[int, Field(ge=1)]

RELAY_PORTS: Mapping[str, int] = {"smtp": 587, "smtps": 465, "smtp+plain": 25}
"""How a relay may be spoken to, and its port when the URL names none."""


def _relay_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in RELAY_PORTS or not parts.hostname or parts.path.strip("/"):
        raise ValueError("a relay is smtp://user:password@host:port, smtps:// or smtp+plain://")
    if parts.username and parts.scheme == "smtp+plain":
        raise ValueError("a password must not be sent without TLS: use smtp:// or smtps://")
    _ = parts.port  # raises when it is no number
    return text


def _mail_from(text: str) -> str:
    mistake = "this is not an e-mail address, nor Name <address>"
    if not text.isprintable():
        raise ValueError(mistake)
    try:
        parse_address(parseaddr(text)[1])
    except AddressError:
        raise ValueError(mistake) from None
    return text


def _web_origin(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or text != f"{parts.scheme}://{parts.netloc}":
        raise ValueError("an origin is http://host[:port] or https://host[:port]")
    if parts.username is not None or not parts.hostname or text != text.lower():
        raise ValueError("an origin has a host in lower case, and no user")
    default = {"http": 80, "https": 443}[parts.scheme]
    return text.removesuffix(f":{default}") if parts.port == default else text


WebOrigins = Annotated[
    tuple[Annotated[str, AfterValidator(_web_origin)], ...], NoDecode, BeforeValidator(items)
]


class ThrottleSettings(ServiceSettings):
    """How often one may try what could be used for guessing or flooding.

    The limits an account has are above those that an address has, so that one attacker's address
    is stopped before the account's owner is.
    """

    api_throttle_window: Seconds = Field(
        default=300, description="Seconds over which the limits below count."
    )
    api_sign_ins_per_address: Count = Field(
        default=30, description="Sign-ins, right or wrong, from one client address in the window."
    )
    api_sign_ins_per_account: Count = Field(
        default=60, description="Sign-ins, right or wrong, with one e-mail address in the window."
    )
    api_sign_ups_per_address: Count = Field(
        default=30, description="Sign-ups from one client address in the window."
    )
    api_sign_ups_per_account: Count = Field(
        default=60, description="Sign-ups with one e-mail address in the window."
    )
    api_refreshes_per_address: Count = Field(
        default=600, description="Refreshes from one client address in the window."
    )
    api_refreshes_per_account: Count = Field(
        default=60, description="Refreshes of one session in the window."
    )
    api_codes_per_address: Count = Field(
        default=10, description="Two-factor codes, right or wrong, from one address in the window."
    )
    api_codes_per_account: Count = Field(
        default=15,
        description="Two-factor codes, right or wrong, for one account in the window; they can "
        "only be tried with its password, so that few are enough.",
    )
    api_resets_per_address: Count = Field(
        default=10,
        description="Password resets and e-mail confirmations, asked for or completed, from one "
        "client address in the window.",
    )
    api_resets_per_account: Count = Field(
        default=12, description="Password resets asked for with one e-mail address in the window."
    )
    api_downloads_per_address: Count = Field(
        default=1200,
        description="Downloads of attachments by their links, good or bad ones, from one client "
        "address in the window.",
    )
    api_simulations_per_account: Count = Field(
        default=60, description="Simulated calls of one account's webhooks in the window."
    )


class MailSettings(ConduitSettings):
    """The mails that Conduit itself sends."""

    mail_relay_url: Annotated[str, AfterValidator(_relay_url)] | None = Field(
        default=None,
        description="SMTP relay for the mails that Conduit sends: smtp://user:password@host:587 "
        "(with STARTTLS), smtps:// (TLS from the start) or smtp+plain:// (no TLS, no password).",
    )
    mail_directory: Path | None = Field(
        default=None,
        description="Directory for these mails when there is no relay, for local use; their links "
        "are logged.",
    )
    mail_from: Annotated[str, AfterValidator(_mail_from)] = Field(
        default="Conduit <conduit@localhost>", description="Sender of these mails."
    )


class FailingSettings(ConduitSettings):
    """What becomes of webhooks whose endpoints fail."""

    failing_notice_after: Seconds = Field(
        default=86_400,
        description="Seconds for which no call of a webhook has succeeded, after which its owner "
        "gets a mail.",
    )
    failing_pause_after: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        default=432_000,
        description="Seconds for which no call of a webhook has succeeded, after which it is "
        "paused: its mail waits, and its owner gets a mail. 0: never.",
    )

    @property
    def patience(self) -> Patience:
        """How long endpoints may fail."""
        paused_after = timedelta(seconds=self.failing_pause_after)
        return Patience(timedelta(seconds=self.failing_notice_after), paused_after or None)


class ApiSettings(
    ThrottleSettings,
    MailSettings,
    FailingSettings,
    BusSettings,
    StoreSettings,
    HoldingSettings,
    SecretSettings,
    EgressSettings,
    PayloadSettings,
):
    """Everything that the API service reads from its environment."""

    api_host: str = Field(default="127.0.0.1", description="Address on which the API listens.")
    api_port: Port = Field(default=8080, description="Port on which the API listens.")
    api_metrics_port: Port = Field(
        default=9101, description="Port of the API's /metrics, /healthz and /readyz."
    )
    token_keys: Keys = Field(
        description="Keys that sign access tokens, `id:base64 of 32 bytes`, comma-separated. "
        "The first one signs, all verify."
    )
    api_refresh_grace: Seconds = Field(
        default=10,
        description="Seconds in which a refresh token may be used once more, should the answer "
        "have been lost; later this ends its session.",
    )
    email_confirmation: bool = Field(
        default=False,
        description="Whether who signs up must confirm the e-mail address before the first "
        "sign-in. Accounts that are there already count as confirmed.",
    )
    api_body_timeout: Seconds = Field(
        default=30, description="Seconds in which the body of a request must have arrived."
    )
    api_keepalive_timeout: Seconds = Field(
        default=75,
        description="Seconds after which a connection without a request is closed; longer than "
        "what a proxy before the API keeps its connections.",
    )
    api_cors_origins: WebOrigins = Field(
        default=(),
        description="Origins whose pages may call the API from a browser, comma-separated, such as "
        "https://app.example.com; none unless set.",
    )
    trusted_proxies: Networks = Field(
        default=(),
        description="Networks (CIDR, comma-separated) of the proxies before the API, whose "
        "X-Forwarded-For and X-Forwarded-Proto are believed.",
    )
    public_domain: Annotated[str, Field(pattern=r"^[a-z0-9-]+(\.[a-z0-9-]+)*$")] = Field(
        default="incoming.localhost",
        description="Domain of the addresses that webhooks get when none is asked for.",
    )

    @property
    def refresh_grace(self) -> timedelta:
        """How long a used refresh token may be used once more."""
        return timedelta(seconds=self.api_refresh_grace)
