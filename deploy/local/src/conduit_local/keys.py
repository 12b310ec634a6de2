"""Keys of the local stack: made at the first start, kept in a file that only its owner reads."""

import base64
import os
import secrets
from pathlib import Path

_NAMES = ("CONDUIT_ENCRYPTION_KEYS", "CONDUIT_TOKEN_KEYS")


def load(directory: Path) -> dict[str, str]:
    """Return the keys as environment variables; make them when they are missing."""
    path = directory / "secrets.env"
    if not path.exists():
        write_private(path, "".join(f"{name}={_key()}\n" for name in _NAMES))
    lines = path.read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


def write_private(path: Path, text: str, mode: int = 0o600) -> None:
    """Write a file that is never readable by others, and never half there."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
        file.write(text)
    draft.replace(path)


def _key() -> str:
    return "local:" + base64.b64encode(secrets.token_bytes(32)).decode()
