"""The settings of the API service."""

from typing import Annotated

from pydantic import Field

from conduit.settings import (
    BusSettings,
    Keys,
    Port,
    Seconds,
    SecretSettings,
    ServiceSettings,
    StoreSettings,
)

Count = Annotated[int, Field(ge=1)]


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


class ApiSettings(ThrottleSettings, BusSettings, StoreSettings, SecretSettings):
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
    public_domain: Annotated[str, Field(pattern=r"^[a-z0-9-]+(\.[a-z0-9-]+)*$")] = Field(
        default="incoming.localhost",
        description="Domain of the addresses that webhooks get when none is asked for.",
    )
    egress_allow_http: bool = Field(
        default=False, description="Whether target URLs may be http; else only https."
    )
