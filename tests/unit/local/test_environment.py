"""What the stack's processes find in their environment."""

from pathlib import Path

from conduit_local import processes
from conduit_local.environment import local_environment, without_settings
from conduit_local.ports import Ports

PORTS = Ports(8080, 2525, 9101, 9102, 9103, 9104, 5672, 27017, 25672)


def environment(directory: Path, **inherited: str) -> dict[str, str]:
    return local_environment(inherited, directory, PORTS, "amqp://broker/", "mongodb://store")


def test_local_use_opens_http_and_loopback_targets(tmp_path: Path) -> None:
    found = environment(tmp_path)
    assert found["CONDUIT_EGRESS_ALLOW_HTTP"] == "true"
    assert found["CONDUIT_EGRESS_ALLOWED_NETWORKS"] == "127.0.0.0/8,::1/128"


def test_mails_are_kept_as_files_and_their_links_lead_to_this_stack(tmp_path: Path) -> None:
    found = environment(tmp_path)
    assert found["CONDUIT_MAIL_DIRECTORY"] == str(tmp_path / "mail")
    assert found["CONDUIT_PUBLIC_URL"] == "http://127.0.0.1:8080"


def test_the_users_settings_win_over_local_defaults(tmp_path: Path) -> None:
    found = environment(tmp_path, CONDUIT_EGRESS_ALLOW_HTTP="false", CONDUIT_TOKEN_KEYS="mine:key")
    assert found["CONDUIT_EGRESS_ALLOW_HTTP"] == "false"
    assert found["CONDUIT_TOKEN_KEYS"] == "mine:key"


def test_a_certificate_of_the_user_is_not_replaced(tmp_path: Path) -> None:
    found = environment(tmp_path, CONDUIT_SMTP_TLS_CERTIFICATE="/etc/ssl/mine.pem")
    assert found["CONDUIT_SMTP_TLS_CERTIFICATE"] == "/etc/ssl/mine.pem"
    assert "CONDUIT_SMTP_TLS_SELF_SIGNED" not in found


def test_the_stacks_own_addresses_win_over_everything(tmp_path: Path) -> None:
    found = environment(tmp_path, CONDUIT_API_PORT="1", CONDUIT_METRICS_HOST="192.0.2.1")
    assert found["CONDUIT_API_PORT"] == "8080"
    assert found["CONDUIT_METRICS_HOST"] == "127.0.0.1"
    assert found["CONDUIT_AMQP_URL"] == "amqp://broker/"
    assert found[processes.MARK] == str(tmp_path)


def test_settings_of_other_erlang_nodes_are_not_inherited(tmp_path: Path) -> None:
    found = environment(tmp_path, RABBITMQ_NODENAME="other@host", ERL_FLAGS="+S 64", PATH="/bin")
    assert found["PATH"] == "/bin"
    assert not {"RABBITMQ_NODENAME", "ERL_FLAGS"} & set(found)


def test_an_isolated_stack_has_no_settings_of_the_user() -> None:
    assert without_settings({"CONDUIT_API_PORT": "1", "HOME": "/root"}) == {"HOME": "/root"}
