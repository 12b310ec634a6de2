"""The stack's keys are made once and can be read by their owner only."""

import base64
import stat
from pathlib import Path

from conduit_local import keys


def test_keys_are_random_and_of_the_right_form(tmp_path: Path) -> None:
    made = keys.load(tmp_path)
    values = [made["CONDUIT_ENCRYPTION_KEYS"], made["CONDUIT_TOKEN_KEYS"]]
    assert len(set(values)) == 2
    for value in values:
        name, _, key = value.partition(":")
        assert name == "local"
        assert len(base64.b64decode(key, validate=True)) == 32


def test_keys_are_kept(tmp_path: Path) -> None:
    assert keys.load(tmp_path) == keys.load(tmp_path)


def test_only_the_owner_can_read_them(tmp_path: Path) -> None:
    keys.load(tmp_path)
    (file,) = tmp_path.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_private_file_replaces_an_older_one(tmp_path: Path) -> None:
    path = tmp_path / "file"
    keys.write_private(path, "old", mode=0o400)
    keys.write_private(path, "new", mode=0o400)
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o400
