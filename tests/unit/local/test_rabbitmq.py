"""The broker's files and environment keep it private to its stack."""

import stat
from pathlib import Path

import pytest

from conduit_local import rabbitmq
from conduit_local.ports import Ports

PORTS = Ports(8080, 2525, 9101, 9102, 9103, 9104, 20672, 27017, 20673)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    rabbitmq.prepare(tmp_path, PORTS, "amqp://us%40er:p%2Fw@127.0.0.1:20672/mails")
    return tmp_path / "rabbitmq"


def test_it_listens_on_loopback_only(home: Path) -> None:
    assert "listeners.tcp.local = 127.0.0.1:20672\n" in (home / "rabbitmq.conf").read_text()


def test_user_password_and_vhost_are_those_of_the_url(home: Path) -> None:
    text = (home / "rabbitmq.conf").read_text()
    assert "default_user = us@er\n" in text
    assert "default_pass = p/w\n" in text
    assert "default_vhost = mails\n" in text


def test_the_cookie_is_secret_and_kept(home: Path) -> None:
    cookie = home / ".erlang.cookie"
    assert stat.S_IMODE(cookie.stat().st_mode) == 0o400
    before = cookie.read_text()
    rabbitmq.prepare(home.parent, PORTS, "amqp://127.0.0.1:20672/")
    assert cookie.read_text() == before


def test_a_broker_is_known_by_its_stack(tmp_path: Path) -> None:
    ours, other = tmp_path / "ours", tmp_path / "other"
    greeting = b"\x01 cluster_name " + rabbitmq.cluster_name(other).encode()
    assert rabbitmq.is_of_another_stack(greeting, ours)
    assert not rabbitmq.is_of_another_stack(greeting, other)
    assert not rabbitmq.is_of_another_stack(b"\x01 cluster_name rabbit@mail", ours)
