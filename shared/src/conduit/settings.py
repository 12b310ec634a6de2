"""Settings shared by the services: typed, from environment variables `CONDUIT_…` only.

Each service has a class of its own in its `settings.py` that inherits from the groups it uses.
"""

import re
import sys
from base64 import b64decode
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from types import NoneType
from typing import Annotated, Any, NoReturn, TypeVar
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    AmqpDsn,
    BeforeValidator,
    Field,
    MongoDsn,
    SecretBytes,
    TypeAdapter,
    ValidationError,
)
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from conduit.errors import SettingsError
from conduit.model.payload_options import SMALLEST_BODY

S = TypeVar("S", bound="ConduitSettings")
Network = IPv4Network | IPv6Network

_port = re.compile("[0-9]{1,5}")

_NEXT_AMQP_URL = re.compile(r"\s*,\s*(?=amqps?://)")
_AMQP = TypeAdapter(AmqpDsn)
_MONGODB = TypeAdapter(MongoDsn)


def items(value: object) -> object:
    """Split a comma-separated variable; an empty one is an empty list."""
    if isinstance(value, str):
        return tuple(item.strip() for item in value.split(",") if item.strip())
    return value


def _networks(value: object) -> object:
    found = items(value)
    return tuple(ip_network(i) for i in found) if isinstance(found, tuple) else found


def _address_and_port(value: str) -> str:
    host, _, port = value.rpartition(":")
    try:
        ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        port = ""
    if not _port.fullmatch(port) or not 0 < int(port) < 65536:
        raise ValueError(f"{value!r} is not an IP address and a port, as 192.0.2.53:53")
    return value


def _keys(value: object) -> object:
    """Read `id:base64` pairs into a dictionary that keeps their order."""
    found = items(value)
    return dict(map(_key, found)) if isinstance(found, tuple) else found


def _key(item: str) -> tuple[str, bytes]:
    identifier, _, encoded = item.partition(":")
    try:
        key = b64decode(encoded, validate=True)
    except ValueError:  # of characters beyond ASCII, too
        key = b""
    if not identifier or "." in identifier or len(key) != 32:
        raise ValueError("a key must be id:base64 of 32 bytes, the id without a dot")
    return identifier, key


def _public_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("this is not an http or https URL")
    return text.rstrip("/")


def amqp_urls(value: str) -> tuple[str, ...]:
    """Return the URLs of a comma-separated list; a comma may be part of a password, too."""
    return tuple(_NEXT_AMQP_URL.split(value.strip()))


def _are_amqp_urls(value: str) -> str:
    for url in amqp_urls(value):
        _AMQP.validate_python(url)
    return value


def _url(adapter: TypeAdapter[Any]) -> AfterValidator:
    def check(value: str) -> str:
        adapter.validate_python(value)
        return value

    return AfterValidator(check)


Networks = Annotated[tuple[Network, ...], NoDecode, BeforeValidator(_networks)]
AddressesAndPorts = Annotated[
    tuple[Annotated[str, AfterValidator(_address_and_port)], ...], NoDecode, BeforeValidator(items)
]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Delays = Annotated[tuple[Seconds, ...], NoDecode, BeforeValidator(items)]
Keys = Annotated[dict[str, SecretBytes], NoDecode, BeforeValidator(_keys), Field(min_length=1)]
Port = Annotated[int, Field(ge=0, le=65535)]

_PASSWORD_IN_URL = re.compile(r"(?<=://)([^:/@?#]*):[^/?#]*(?=@)")


class ConduitSettings(BaseSettings):
    """Base of all groups: the prefix of the variables, and that nothing changes at run time.

    An empty variable is as one that is not set, as a compose file has no other way to say so.
    """

    model_config = SettingsConfigDict(env_prefix="CONDUIT_", env_ignore_empty=True, frozen=True)

    def described(self) -> dict[str, object]:
        """Return all settings for the log, keys and passwords masked."""
        return {name: _masked(value) for name, value in self.model_dump().items()}


class ServiceSettings(ConduitSettings):
    """What every service has."""

    log_level: Annotated[str, Field(pattern="(?i)^(debug|info|warning|error)$")] = Field(
        default="info", description="Lowest level that is logged: debug, info, warning or error."
    )
    metrics_host: str = Field(
        default="127.0.0.1", description="Address on which /metrics, /healthz, /readyz listen."
    )
    stop_timeout: Seconds = Field(
        default=25, description="Seconds that an orderly stop may take before it is cut short."
    )


class BusSettings(ConduitSettings):
    """How to reach RabbitMQ."""

    amqp_url: Annotated[str, AfterValidator(_are_amqp_urls)] = Field(
        default="amqp://guest:guest@127.0.0.1:5672/",
        description="RabbitMQ; the nodes of a cluster, comma-separated, are tried in turn.",
    )
    publish_timeout: Seconds = Field(
        default=5, description="Seconds to wait for RabbitMQ's confirm before a publish has failed."
    )

    @property
    def amqp_urls(self) -> tuple[str, ...]:
        """The nodes of RabbitMQ, in the order in which they are tried."""
        return amqp_urls(self.amqp_url)


class StoreSettings(ConduitSettings):
    """How to reach MongoDB."""

    mongodb_url: Annotated[str, _url(_MONGODB)] = Field(
        default="mongodb://127.0.0.1:27017", description="MongoDB."
    )
    mongodb_database: str = Field(default="conduit", description="Name of the database.")
    store_timeout: Seconds = Field(
        default=5, description="Seconds that one operation of the store may take."
    )
    log_retention_days: Annotated[int, Field(ge=1)] = Field(
        default=30, description="Days that deliveries and their logs are kept."
    )
    message_retention_days: Annotated[int, Field(ge=0)] = Field(
        default=3,
        description="Days that accepted mails are kept, to be looked at and replayed; 0: not at "
        "all. A mail too large for the bus stays until some days after its last attempt.",
    )

    @property
    def log_retention(self) -> timedelta:
        """How long deliveries and their logs are kept."""
        return timedelta(days=self.log_retention_days)

    @property
    def message_retention(self) -> timedelta:
        """How long accepted mails are kept."""
        return timedelta(days=self.message_retention_days)


class HoldingSettings(ConduitSettings):
    """How long mail waits."""

    held_mail_days: Annotated[float, Field(gt=0, le=3_650)] = Field(
        default=14,
        description="Days that mail waits for a webhook that is paused, or whose endpoint is left "
        "alone; then it has failed.",
    )

    @property
    def longest_wait(self) -> timedelta:
        """How long mail waits for an endpoint that may not be called."""
        return timedelta(days=self.held_mail_days)


class SecretSettings(ConduitSettings):
    """The keys that encrypt secrets at rest."""

    encryption_keys: Keys = Field(
        description="Keys for secrets at rest, `id:base64 of 32 bytes`, comma-separated. "
        "The first one encrypts, all decrypt."
    )


class DnsSettings(ConduitSettings):
    """Which resolvers answer."""

    dns_servers: AddressesAndPorts = Field(
        default=(),
        description="Resolvers as address:port, comma-separated; empty: the system's.",
    )


class EgressSettings(ConduitSettings):
    """What may be called."""

    egress_allow_http: bool = Field(
        default=False, description="Let webhooks have http:// targets, for local use."
    )
    egress_allowed_networks: Networks = Field(
        default=(),
        description="Networks (CIDR, comma-separated) that may be called although they are "
        "private or otherwise special, for local use.",
    )


class PayloadSettings(ConduitSettings):
    """What webhook calls may have in them; the links in them and in mails."""

    webhook_attachment_limit: Annotated[int, Field(ge=0)] = Field(
        default=10 * 1024 * 1024,
        description="Octets of attachments that are put into one webhook call; what is beyond "
        "is described without its content. A webhook may have a lower limit.",
    )
    webhook_body_limit: Annotated[int, Field(ge=SMALLEST_BODY)] = Field(
        default=64 * 1024 * 1024,
        description="Octets of a webhook call's body; of a mail that would take more, parts are "
        "left out, and a template's output beyond it fails. A webhook may have a lower limit. "
        f"At least {SMALLEST_BODY}.",
    )
    public_url: Annotated[str, AfterValidator(_public_url)] = Field(
        default="http://127.0.0.1:8080",
        description="URL under which users reach the API service, for the links in webhook calls "
        "and in the mails that Conduit sends.",
    )


def _masked(value: object) -> object:
    if isinstance(value, dict):
        return {name: _masked(item) for name, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [_masked(item) for item in value]
    if isinstance(value, (int, float, bool, NoneType)):
        return value
    return _PASSWORD_IN_URL.sub(r"\1:**********", str(value))


def load(settings: type[S]) -> S:
    """Read the settings from the environment, or raise SettingsError with one line a mistake."""
    try:
        return settings()
    except ValidationError as error:
        prefix = settings.model_config.get("env_prefix", "")
        raise SettingsError("; ".join(_complaint(prefix, e) for e in error.errors())) from None


def _complaint(prefix: str, error: ErrorDetails) -> str:
    message = error["msg"].removeprefix("Value error, ")
    if not error["loc"]:
        return message
    name = f"{prefix}{error['loc'][0]}".upper()
    return f"{name} is not set" if error["type"] == "missing" else f"{name}: {message}"


def load_or_exit(settings: type[S]) -> S:
    """Read the settings; a bad one ends the process with exit code 2 and a clear line."""
    try:
        return load(settings)
    except SettingsError as error:
        _exit(str(error))


def _exit(complaint: str) -> NoReturn:
    sys.stderr.write(f"conduit: {complaint}\n")
    raise SystemExit(2)
