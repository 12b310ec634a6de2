"""An SMTP security policy: what a sender must show before a webhook takes its mail."""

from ipaddress import IPv4Network, IPv6Network
from typing import Annotated

from pydantic import Field, PlainSerializer

from conduit.model.record import Frozen, Record

Network = Annotated[IPv4Network | IPv6Network, PlainSerializer(str)]


class Credential(Frozen):
    """A user who may authenticate, and the bcrypt hash of the password."""

    username: str
    password_hash: str = Field(repr=False)


class SmtpPolicy(Record):
    """One policy of one account, for as many of its webhooks as it likes.

    An empty list of networks or domains stands for any. `spf_domains` are compared with the domain
    that SPF passed for, `dkim_domains` with the `d=` of a valid signature; both are in lower-case
    A-labels. User names differ within a policy.
    """

    account_id: str
    name: str
    source_networks: tuple[Network, ...] = ()
    require_smtp_auth: bool = False
    credentials: tuple[Credential, ...] = ()
    require_spf: bool = False
    spf_domains: tuple[str, ...] = ()
    require_dkim: bool = False
    dkim_domains: tuple[str, ...] = ()
