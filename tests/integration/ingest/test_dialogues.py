"""Plays every dialogue of tests/data/dialogues against the real process.

`C:` is a line that is sent with CRLF; lines that follow each other are sent in one packet. `R:` is
sent as it is, with Python's escapes and no line end. `S:` is a line that must come, `*` in it any
text. `S: (closed)` is the end of the connection, and nothing may come that is not expected.
`$active`, `$second` and `$inactive` are addresses of webhooks.
"""

import re
from ast import literal_eval
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import pytest

from tests.integration.ingest.conftest import NewWebhook
from tests.support.smtp import Client, Ingest, connected

FILES = sorted((Path(__file__).parents[2] / "data" / "dialogues").glob("*.txt"))
TEXTS = {file: file.read_text() for file in FILES}
CLOSED = "(closed)"

Step = tuple[str, str]


def test_there_are_dialogues() -> None:
    assert FILES


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
async def test_dialogue(file: Path, ingest: Ingest, new_webhook: NewWebhook) -> None:
    addresses = {
        "$active": (await new_webhook()).address,
        "$second": (await new_webhook()).address,
        "$inactive": (await new_webhook(active=False)).address,
    }
    steps = list(read(TEXTS[file], addresses))
    assert steps[0][0] == "S", "a server greets first"
    async with connected(ingest.port) as client:
        for server_speaks, turn in groupby(steps, lambda step: step[0] == "S"):
            if server_speaks:
                for _, line in turn:
                    await hear(client, line)
            else:
                await client.send(b"".join(octets(step) for step in turn))
        if steps[-1] != ("S", CLOSED):
            await no_more(client)


def read(text: str, addresses: dict[str, str]) -> Iterator[Step]:
    """Yield who speaks and what."""
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        side, separator, said = line.partition(":")
        assert separator, f"not a line of a dialogue: {line!r}"
        assert side in {"C", "R", "S"}, f"nobody speaks: {line!r}"
        said = said.removeprefix(" ")
        for name, address in addresses.items():
            said = said.replace(name, address)
        yield side, said


def octets(step: Step) -> bytes:
    side, said = step
    if side == "C":
        return said.encode() + b"\r\n"
    return bytes(literal_eval(f'b"{said}"'))


async def hear(client: Client, expected: str) -> None:
    if expected == CLOSED:
        assert await client.rest() == b""
        return
    line = (await client.line()).decode()
    pattern = ".*".join(map(re.escape, expected.split("*")))
    assert re.fullmatch(pattern, line), f"expected {expected!r}, heard {line!r}"


async def no_more(client: Client) -> None:
    """Nothing was said beyond what was expected."""
    await client.send(b"QUIT\r\n")
    assert await client.rest() == b"221 2.0.0 Bye\r\n"
