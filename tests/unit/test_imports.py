"""The rules of who may import whom, held against our source and the reader itself."""

from pathlib import Path

import pytest

from tests.support.imports import MAY_IMPORT, modules, violations

ROOT = Path(__file__).parents[2]
SOURCES = sorted([ROOT / "shared/src", *ROOT.glob("services/*/src"), ROOT / "deploy/local/src"])


def test_all_source_keeps_the_rules() -> None:
    found = [
        str(violation)
        for source in SOURCES
        for module, path in modules(source)
        for violation in violations(module, path.read_text())
    ]
    assert found == []


def test_every_package_has_rules_and_every_rule_a_package() -> None:
    names = {module for source in SOURCES for module, _ in modules(source)}
    for zone in MAY_IMPORT:
        assert any(f"{name}.".startswith(f"{zone}.") for name in names), zone
    for name in names - {"conduit"}:
        assert any(f"{name}.".startswith(f"{zone}.") for zone in MAY_IMPORT), name


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("conduit.model.domain", "from conduit.events import Packet"),
        ("conduit.model.domain", "from conduit import events"),
        ("conduit.model.domain", "import conduit.store.domains"),
        ("conduit.errors", "from conduit.model.ids import Prefix"),
        ("conduit.events", "from conduit.mail.address import Address"),
        ("conduit.mail.parse", "from conduit.bus.publisher import Publisher"),
        ("conduit.bus.rpc", "from conduit.store.domains import Domains"),
        ("conduit.store.domains", "import json, conduit.bus.rpc"),
        ("conduit.telemetry.health", "from conduit.bus.connection import Bus"),
        ("conduit.settings", "from conduit.model.ids import Prefix"),
        ("conduit.service", "from conduit.store.connection import Store"),
        ("conduit.store.domains", "from conduit_api.app import compose"),
        ("conduit_api.app", "from conduit_verifier.checks import Checks"),
        ("conduit_verifier.app", "import conduit_local.stack"),
        ("conduit_local.stack", "from conduit_api.app import compose"),
        ("conduit_unheard_of.app", "from conduit.events import Packet"),
        ("conduit_api.app", "from motor.motor_asyncio import AsyncIOMotorClient"),
        ("conduit_api.app", "import bson"),
        ("conduit.bus.rpc", "from pymongo.errors import PyMongoError"),
        ("conduit.store.domains", "import aio_pika.abc"),
        ("conduit_dispatcher.app", "from aiormq import Channel"),
        ("conduit_api.auth", "import jwt"),
        ("conduit_api.auth", "from passlib.hash import argon2"),
        ("conduit_smtp_ingest.app", "from cryptography import x509"),
        ("conduit_smtp_ingest.app", "from aiosmtpd.smtp import SMTP"),
        ("conduit_local.stack", "import secantusdb"),
        ("conduit.model.domain", "def f():\n    from conduit.store.domains import Domains"),
        ("conduit.model.domain", "if TYPE_CHECKING:\n    from conduit.bus.rpc import RpcClient"),
        ("conduit.model.domain", "from . import ids"),
        ("conduit.model.domain", "import importlib\nimportlib.import_module('motor')"),
        ("conduit.model.domain", "__import__('motor')"),
    ],
)
def test_a_forbidden_import_is_found(module: str, source: str) -> None:
    assert len(violations(module, source)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("conduit.model.domain", "from conduit.model.record import Record\nimport secrets"),
        ("conduit.events", "from conduit.model.envelope import Envelope"),
        ("conduit.webhook.payload", "from conduit.events import MailAccepted"),
        ("conduit.bus.rpc", "from conduit.security.secrets import SecretBox"),
        ("conduit.bus.rpc", "import aio_pika"),
        ("conduit.store.domains", "from motor.motor_asyncio import AsyncIOMotorClient"),
        ("conduit.security.tokens", "import jwt"),
        ("conduit_api.app", "from conduit import __version__"),
        ("conduit_api.app", "from conduit.bus.rpc import RpcClient\nimport conduit_api.routes"),
        ("conduit_local.stack", "import supervisor.xmlrpc"),
        ("conduit_api.app", "import motorway"),
    ],
)
def test_an_allowed_import_is_not(module: str, source: str) -> None:
    assert violations(module, source) == []
