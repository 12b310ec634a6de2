"""How the commands print: titles, named values, JSON, webhook calls."""

import json

from conduit_local.receiver import Received

_HEADERS = (
    "Content-Type",
    "User-Agent",
    "X-Conduit-Signature",
    "webhook-id",
    "webhook-timestamp",
    "webhook-signature",
)


def title(text: str) -> None:
    """Print the title of what follows."""
    print(f"\n── {text}", flush=True)


def line(name: str, value: str) -> None:
    """Print a value with its name."""
    print(f"  {name:20} {value}", flush=True)


def print_json(value: object) -> None:
    """Print a value as indented JSON."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    print("\n".join(f"  {row}" for row in text.splitlines()), flush=True)


def show_call(received: Received) -> None:
    """Print a webhook call: its path, the headers that matter, its body."""
    print(f"  {received.method} {received.path}")
    for name in _HEADERS:
        print(f"  {name}: {received.headers.get(name, '(missing)')}")
    print()
    try:
        print_json(received.json())
    except ValueError:
        print(f"  {received.body.decode(errors='replace')}", flush=True)
