"""Who may import whom: the rules, and a reading of the source that holds it to them.

model ← events ← {mail, webhook, security} ← {bus, store, telemetry} ← services. Services never
import each other, the bus and the store don't know each other, and each big library has one owner.
"""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

_PURE = ("conduit.errors", "conduit.model", "conduit.events")
_MIDDLE = (*_PURE, "conduit.settings", "conduit.mail", "conduit.webhook", "conduit.security")
_SHARED = ("conduit",)

MAY_IMPORT: Mapping[str, tuple[str, ...]] = {
    "conduit.errors": (),
    "conduit.model": ("conduit.errors",),
    "conduit.settings": ("conduit.errors", "conduit.model.payload_options"),
    "conduit.events": ("conduit.errors", "conduit.model"),
    "conduit.mail": _PURE,
    "conduit.webhook": (*_PURE, "conduit.settings", "conduit.mail"),
    "conduit.security": (*_PURE, "conduit.settings"),
    "conduit.telemetry": _MIDDLE,
    "conduit.bus": (*_MIDDLE, "conduit.telemetry"),
    "conduit.store": (*_MIDDLE, "conduit.telemetry"),
    "conduit.dns": ("conduit.errors", "conduit.settings"),
    "conduit.dns.cache": (),
    "conduit.dns.lookups": ("conduit.errors", "conduit.dns", "conduit.dns.cache"),
    "conduit.service": ("conduit.errors", "conduit.settings", "conduit.telemetry"),
    "conduit_api": _SHARED,
    "conduit_dispatcher": _SHARED,
    "conduit_smtp_ingest": _SHARED,
    "conduit_verifier": _SHARED,
    "conduit_local": _SHARED,
}
"""Our own packages, and which of the others each may import (itself always)."""

OWNERS: Mapping[str, str | None] = {
    **dict.fromkeys(("motor", "pymongo", "bson", "gridfs"), "conduit.store"),
    **dict.fromkeys(("aio_pika", "aiormq", "pamqp"), "conduit.bus"),
    **dict.fromkeys(
        ("passlib", "jwt", "pyotp", "cryptography", "argon2", "bcrypt"), "conduit.security"
    ),
    **dict.fromkeys(("dkim", "nacl", "spftrace", "publicsuffixlist"), "conduit.mail"),
    "httptools": "conduit_dispatcher",
    "aiosmtpd": None,
    "supervisor": "conduit_local",
    "secantusdb": None,
}
"""Libraries with one owner; None: no service's, being a program to be started, or for tests."""


@dataclass(frozen=True)
class Violation:
    """An import that is not allowed."""

    module: str
    line: int
    imported: str

    def __str__(self) -> str:
        return f"{self.module}:{self.line} imports {self.imported}"


def modules(root: Path) -> Iterator[tuple[str, Path]]:
    """Yield the name and file of each module below a `src` directory."""
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        yield ".".join(parts).removesuffix(".__init__"), path


def violations(module: str, source: str) -> list[Violation]:
    """Return the imports in the source of a module that the rules forbid."""
    found = []
    for line, names in _imports(source):
        # `from a import b` may mean the module a.b or the name b in a: judged by the worse one.
        bad = next((name for name in names if not _allowed(module, name)), None)
        if bad is not None:
            found.append(Violation(module, line, bad))
    return found


def _imports(source: str) -> Iterator[tuple[int, list[str]]]:
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import():
                yield node.lineno, [alias.name for alias in node.names]
            case ast.ImportFrom(level=0, module=str(base)):
                yield node.lineno, [f"{base}.{alias.name}" for alias in node.names]
            case ast.ImportFrom():
                yield node.lineno, ["a relative name"]
            case ast.Call(func=ast.Name(id="__import__") | ast.Attribute(attr="import_module")):
                yield node.lineno, ["a name at run time"]


def _allowed(module: str, imported: str) -> bool:
    if " " in imported:
        return False
    top = imported.partition(".")[0]
    if top in OWNERS:
        owner = OWNERS[top]
        return owner is not None and _within(module, owner)
    if not top.startswith("conduit") or imported == "conduit.__version__":
        return True
    zone = next((zone for zone in MAY_IMPORT if _within(module, zone)), None)
    if zone is None:  # `conduit/__init__.py`, or a package that has no rules yet
        return False
    return any(_within(imported, target) for target in (zone, *MAY_IMPORT[zone]))


def _within(name: str, package: str) -> bool:
    return f"{name}.".startswith(f"{package}.")
