"""Where a webhook's calls go: its URL, taken apart once."""

import re
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from yarl import URL

from conduit_dispatcher.failures import InvalidCall

_KNOWN = 10_000
"""Targets that are remembered; reading a URL takes as long as half a call."""

_INVALID = "the target URL is not valid"
_VISIBLE = re.compile("[!-~]+")
_NAME = re.compile(r"(?=.{1,254}$)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?")


class Endpoint(NamedTuple):
    """What one connection leads to. An IPv6 address in `host` stands without brackets."""

    tls: bool
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Target:
    """An endpoint, and how the head of a call to it begins: request line and Host."""

    endpoint: Endpoint
    begin: bytes


@lru_cache(_KNOWN)
def target_of(url: str) -> Target:
    """Read an http or https URL as `yarl` does (IDNA), or raise InvalidCall.

    A fragment is left out. User and password are refused, as they are when a webhook is saved.
    """
    try:
        read = URL(url)
        endpoint = Endpoint(read.scheme == "https", _host(read), read.port or 0)
    except ValueError as error:
        raise InvalidCall(_INVALID) from error
    path, authority = read.raw_path_qs, read.host_port_subcomponent or ""
    valid = _VISIBLE.fullmatch(path) and _VISIBLE.fullmatch(authority)
    if not valid or not endpoint.port or "@" in read.raw_authority:
        raise InvalidCall(_INVALID)
    return Target(endpoint, f"POST {path} HTTP/1.1\r\nHost: {authority}\r\n".encode())


def _host(url: URL) -> str:
    """Return the host, or raise ValueError: also for what passes for an address (127.1)."""
    host = url.raw_host
    if not host:
        raise ValueError("there is no host")
    if host.endswith(".."):
        host = host.rstrip(".") + "."
    if is_literal(host):
        IPv6Address(host) if ":" in host else IPv4Address(host)
    elif not _NAME.fullmatch(host):
        raise ValueError("that is no name of a host")
    return host


def is_literal(host: str) -> bool:
    """Whether a valid host is an address and no name."""
    return ":" in host or host.replace(".", "").isdigit()
