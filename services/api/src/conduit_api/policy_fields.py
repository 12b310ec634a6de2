"""The fields of SMTP security policies as they are on the wire: comma-separated lists.

The text of a refusal names the item that is wrong, but never a password or a hash.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import NoReturn

from conduit.model.policy import Credential, SmtpPolicy
from conduit.security.smtp_passwords import COSTS, LONGEST, cost_of, octets_of
from conduit_api.domain_name import NotADomain, a_labels
from conduit_api.errors import Unprocessable

MOST_NETWORKS = 200
MOST_DOMAINS = 200
MOST_CREDENTIALS = 50

_LONGEST_ITEM = 300  # characters
_LONGEST_USERNAME = 128  # characters
_SHORTEST_PASSWORD = 8  # characters
_SHOWN = 60  # characters of an item in a refusal

HIDDEN = "********"
"""What responses have in place of a hash; sent back, it keeps the hash that is stored."""

_MAPPED = IPv6Network("::ffff:0:0/96")

_NETWORKS_FIELD = "allowed_source_ips"
_CREDENTIALS_FIELD = "smtp_credentials"


@dataclass(frozen=True, slots=True)
class Plain:
    """A password that is yet to be hashed."""

    username: str
    password: str


@dataclass(frozen=True, slots=True)
class Kept:
    """A user whose stored hash stays."""

    username: str


Given = Plain | Kept | Credential


def source_networks(text: str) -> tuple[IPv4Network | IPv6Network, ...]:
    """Read `allowed_source_ips`: networks in CIDR notation, an address alone being one host."""
    items = _items(_NETWORKS_FIELD, text, MOST_NETWORKS)
    return tuple(dict.fromkeys(map(_network, items)))


def domains(field: str, text: str) -> tuple[str, ...]:
    """Read a list of domains into lower-case A-labels."""
    return tuple(dict.fromkeys(_domain(field, item) for item in _items(field, text, MOST_DOMAINS)))


def credentials(text: str) -> tuple[Given, ...]:
    """Read `smtp_credentials`: `username:` and a bcrypt hash, a password, or HIDDEN."""
    items = _items(_CREDENTIALS_FIELD, text, MOST_CREDENTIALS)
    given = tuple(_credential(number, item) for number, item in enumerate(items, start=1))
    seen: set[str] = set()
    for credential in given:
        if credential.username in seen:
            _refuse(_CREDENTIALS_FIELD, f"The user {credential.username} occurs twice.")
        seen.add(credential.username)
    return given


def with_kept(given: Iterable[Given], stored: Collection[Credential]) -> tuple[Credential, ...]:
    """Fill in the hashes that are to stay from those that are stored."""
    return tuple(_filled(given, {known.username: known for known in stored}))


def hidden(credentials: Iterable[Credential]) -> str:
    """Return `smtp_credentials` as responses have it."""
    return ",".join(f"{credential.username}:{HIDDEN}" for credential in credentials)


def joined(items: Iterable[object]) -> str:
    """Return a list as responses have it."""
    return ",".join(map(str, items))


def check_whole(policy: SmtpPolicy) -> None:
    """Raise Unprocessable for a policy that no sender could ever satisfy."""
    if policy.require_smtp_auth and not policy.credentials:
        raise Unprocessable(
            "smtp_credentials_required",
            "smtp_credentials: With require_smtp_auth at least one user is needed.",
        )


def _items(field: str, text: str, most: int) -> Sequence[str]:
    """Split a list. A blank text is an empty one, which means any; a stray comma must not."""
    if not text.strip():
        return ()
    items = [item.strip() for item in text.split(",")]
    if len(items) > most:
        _refuse(field, f"At most {most} items can be given.")
    if "" in items:
        _refuse(field, "An item is empty: there is a comma too many.")
    if any(len(item) > _LONGEST_ITEM for item in items):
        _refuse(field, f"An item has at most {_LONGEST_ITEM} characters.")
    return items


def _network(item: str) -> IPv4Network | IPv6Network:
    host, slash, prefix = item.partition("/")
    # A zone says something on one machine only, and a netmask is easily mistaken for a hostmask.
    if "%" in item or (slash and not (prefix.isascii() and prefix.isdecimal())):
        _refuse_network(item)
    try:
        network = ip_network(item, strict=False)
    except ValueError:
        _refuse_network(item)
    if ip_address(host) != network.network_address:
        why = f"has bits beyond its prefix; the network is {network}"
        _refuse(_NETWORKS_FIELD, f"{_shown(item)} {why}.")
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        _refuse(_NETWORKS_FIELD, f"{_shown(item)}: Write IPv4 networks as such.")
    return network


def _refuse_network(item: str) -> NoReturn:
    why = "is neither an IP address nor a network in CIDR notation, as 192.0.2.0/24"
    _refuse(_NETWORKS_FIELD, f"{_shown(item)} {why}.")


def _domain(field: str, item: str) -> str:
    try:
        return a_labels(item)
    except NotADomain as error:
        _refuse(field, f"{_shown(item)}: {error}")


def _credential(number: int, item: str) -> Given:
    username, colon, secret = item.partition(":")
    if not colon:  # what stands there may be a password
        _refuse(_CREDENTIALS_FIELD, f"Item {number} has no colon after the user name.")
    if not 0 < len(username) <= _LONGEST_USERNAME or not _is_visible_ascii(username):
        why = f"is no user name of up to {_LONGEST_USERNAME} visible ASCII characters"
        _refuse(_CREDENTIALS_FIELD, f"What item {number} begins with {why}.")
    if secret == HIDDEN:
        return Kept(username)
    if secret.startswith("$"):
        _check_hash(username, secret)
        return Credential(username=username, password_hash=secret)
    _check_password(username, secret)
    return Plain(username, secret)


def _is_visible_ascii(text: str) -> bool:
    return all("!" <= character <= "~" for character in text)


def _check_hash(username: str, text: str) -> None:
    """Refuse what is meant as a hash but is none, since it would be taken as a password."""
    cost = cost_of(text)
    if cost is None:
        why = "is not a bcrypt hash ($2a$, $2b$ or $2y$), and a password cannot begin with $"
        _refuse(_CREDENTIALS_FIELD, f"What follows {username} {why}.")
    if cost not in COSTS:
        why = f"has the cost {cost}; from {COSTS[0]} to {COSTS[-1]} are taken"
        _refuse(_CREDENTIALS_FIELD, f"The hash of {username} {why}.")


def _check_password(username: str, password: str) -> None:
    if len(password) < _SHORTEST_PASSWORD or len(octets_of(password)) > LONGEST:
        why = f"must have {_SHORTEST_PASSWORD} characters or more, and {LONGEST} octets at most"
        _refuse(_CREDENTIALS_FIELD, f"The password of {username} {why}.")
    if not password.isprintable():
        _refuse(_CREDENTIALS_FIELD, f"The password of {username} has control characters.")


def _filled(given: Iterable[Given], stored: Mapping[str, Credential]) -> Iterator[Credential]:
    for credential in given:
        if isinstance(credential, Plain):
            raise TypeError("a password was not hashed")
        if isinstance(credential, Credential):
            yield credential
        elif credential.username in stored:
            yield stored[credential.username]
        else:
            name = credential.username
            _refuse(_CREDENTIALS_FIELD, f"No password of {name} is stored that could be kept.")


def _shown(item: str) -> str:
    return ascii(item[:_SHOWN])


def _refuse(field: str, why: str) -> NoReturn:
    raise Unprocessable(f"invalid_{field}", f"{field}: {why}")
