"""The supervisor's configuration says what the programs say."""

import configparser
import shlex
from pathlib import Path

import pytest

from conduit_local.errors import NotRunning, StackError
from conduit_local.programs import Program
from conduit_local.supervision import Supervisor, configuration


def program(**changes: object) -> Program:
    values: dict[str, object] = {
        "name": "api",
        "command": ("/bin/run it", "--rate=5%", "it's"),
        "priority": 50,
        "stop_seconds": 30,
        "probe": lambda: None,
        "environment": {"FLAGS": "-eval 'say(\"hello\")'"},
    }
    return Program(**values | changes)  # type: ignore[arg-type]


def sections(*programs: Program) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser()
    parser.read_string(configuration(Path("/data"), programs))
    return parser


def test_a_command_survives_spaces_quotes_and_percent_signs() -> None:
    line = sections(program())["program:api"]["command"]
    assert shlex.split(line % {}) == [
        "/usr/bin/env",
        "FLAGS=-eval 'say(\"hello\")'",
        "/bin/run it",
        "--rate=5%",
        "it's",
    ]


def test_a_program_is_restarted_unless_its_settings_are_bad() -> None:
    section = sections(program())["program:api"]
    assert section["autorestart"] == "unexpected"
    assert section["exitcodes"] == "2"


def test_a_program_has_its_time_to_stop() -> None:
    section = sections(program(stop_seconds=42))["program:api"]
    assert section["stopwaitsecs"] == "42"
    assert section["priority"] == "50"


def test_logs_rotate() -> None:
    section = sections(program())["program:api"]
    assert section["stdout_logfile"] == "/data/log/api.log"
    assert section["stdout_logfile_maxbytes"] == "10MB"


def test_the_socket_is_for_its_owner() -> None:
    assert sections()["unix_http_server"]["chmod"] == "0700"


def test_a_path_too_long_for_a_socket_is_refused() -> None:
    with pytest.raises(StackError, match="CONDUIT_DATA_DIR"):
        Supervisor(Path("/" + "d" * 100))


def test_without_a_supervisor_nothing_answers(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path)
    assert not supervisor.answers()
    with pytest.raises(NotRunning):
        supervisor.processes()
