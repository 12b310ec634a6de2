"""The tables of settings in docs/operations.md, as the code has them.

    python -m tests.support.settings_table

prints them, to be put into the document when a setting was added or changed.
"""

from collections.abc import Iterator

from pydantic.fields import FieldInfo

from conduit.settings import (
    BusSettings,
    ConduitSettings,
    DnsSettings,
    EgressSettings,
    HoldingSettings,
    PayloadSettings,
    SecretSettings,
    ServiceSettings,
    StoreSettings,
)
from conduit_api.settings import ApiSettings
from conduit_dispatcher.settings import DispatcherSettings
from conduit_smtp_ingest.settings import IngestSettings
from conduit_verifier.settings import VerifierSettings

_GROUPS: tuple[type[ConduitSettings], ...] = (
    ServiceSettings,
    BusSettings,
    StoreSettings,
    HoldingSettings,
    SecretSettings,
    DnsSettings,
    EgressSettings,
    PayloadSettings,
)
_SERVICES: dict[str, type[ConduitSettings]] = {
    "API": ApiSettings,
    "SMTP ingest": IngestSettings,
    "Dispatcher": DispatcherSettings,
    "Verifier": VerifierSettings,
}


def tables() -> Iterator[tuple[str, list[str]]]:
    """Yield each table's title and its rows."""
    shared = {name: field for group in _GROUPS for name, field in group.model_fields.items()}
    yield "Shared", [_row(name, field, _users(name)) for name, field in shared.items()]
    for service, settings in _SERVICES.items():
        own = {n: f for n, f in settings.model_fields.items() if n not in shared}
        yield service, [_row(name, field) for name, field in own.items()]


def _users(name: str) -> str:
    users = [service for service, settings in _SERVICES.items() if name in settings.model_fields]
    return "" if len(users) == len(_SERVICES) else f" ({', '.join(users)})"


def _row(name: str, field: FieldInfo, users: str = "") -> str:
    default = "required" if field.is_required() else f"`{_shown(field.default)}`"
    return f"| `CONDUIT_{name.upper()}` | {default} | {field.description}{users} |"


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value)) or "empty"
    if isinstance(value, bool):
        return str(value).lower()
    return "unset" if value is None else str(value)


if __name__ == "__main__":
    for title, rows in tables():
        print(f"### {title}\n| variable | default | what it does |\n|---|---|---|")
        print("\n".join(rows), end="\n\n")
