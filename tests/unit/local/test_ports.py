"""The ports of a stack come from the settings, or are free ones."""

import socket
from collections.abc import Iterator

import pytest

from conduit_local.errors import PortTaken, StackError
from conduit_local.ports import LOOPBACK, Ports, amqp_address, check_free, is_free


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server((LOOPBACK, 0)) as server:
        yield server.getsockname()[1]


def test_defaults_are_those_of_the_services() -> None:
    ports = Ports.from_environment({})
    assert (ports.api, ports.smtp, ports.amqp) == (8080, 2525, 5672)
    assert ports.variables()["CONDUIT_DISPATCHER_METRICS_PORT"] == "9103"


def test_variables_change_them() -> None:
    ports = Ports.from_environment(
        {"CONDUIT_API_PORT": "18080", "CONDUIT_AMQP_URL": "amqp://u:p@localhost:15672/vhost"}
    )
    assert ports.variables()["CONDUIT_API_PORT"] == "18080"
    assert ports.amqp == 15672


@pytest.mark.parametrize("value", ["http", "-1", "0", "65536", "80 80"])
def test_what_is_no_port_is_named(value: str) -> None:
    with pytest.raises(StackError, match=r"CONDUIT_SMTP_PORT: .* is not a port"):
        Ports.from_environment({"CONDUIT_SMTP_PORT": value})


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("amqp://guest:guest@127.0.0.1:5673/", ("127.0.0.1", 5673)),
        ("amqp://broker.example/", ("broker.example", 5672)),
        ("amqp://", ("127.0.0.1", 5672)),
        ("amqp://a.example:5673,amqp://b.example:5674", ("a.example", 5673)),
        ("amqp://a:b,c@d.example/, amqps://e.example/", ("d.example", 5672)),
    ],
)
def test_address_of_an_amqp_url(url: str, address: tuple[str, int]) -> None:
    assert amqp_address(url) == address


def test_a_bad_port_in_the_amqp_url_is_named() -> None:
    with pytest.raises(StackError, match="CONDUIT_AMQP_URL"):
        amqp_address("amqp://127.0.0.1:99999/")


def test_free_ports_differ_from_call_to_call() -> None:
    first, second = Ports.free(), Ports.free()
    assert not set(vars(first).values()) & set(vars(second).values())
    assert len(set(vars(first).values())) == 9


def test_a_taken_port_is_named_with_the_variable_that_changes_it(taken_port: int) -> None:
    ports = Ports.from_environment({"CONDUIT_API_PORT": str(taken_port)})
    with pytest.raises(PortTaken, match=rf"port {taken_port} is taken .* CONDUIT_API_PORT"):
        check_free(ports, ("api",))


def test_free_and_taken_are_told_apart(taken_port: int) -> None:
    assert not is_free(taken_port)
    assert is_free(Ports.free().api)
