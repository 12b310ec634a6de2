"""Schemathesis against the running API: what it generates from our document, with all checks."""

import asyncio
import os
import sys
from dataclasses import replace
from pathlib import Path

from conduit_local.stack import Stack
from tests.integration.api.client import Client, User, new_email
from tests.integration.api.conftest import NewClient
from tests.integration.api.dispatcher import Dispatcher
from tests.integration.api.mail import Mail
from tests.integration.api.test_process import serving
from tests.integration.api.verifier import Verifier

ROOT = Path(__file__).parents[3]
_DEADLINE = 100  # seconds; it takes half of it

UNLIMITED = {
    f"CONDUIT_API_{name}": "1000000"
    for name in (
        *("SIGN_INS_PER_ADDRESS", "SIGN_INS_PER_ACCOUNT", "SIGN_UPS_PER_ADDRESS"),
        *("SIGN_UPS_PER_ACCOUNT", "REFRESHES_PER_ADDRESS", "REFRESHES_PER_ACCOUNT"),
        *("CODES_PER_ADDRESS", "CODES_PER_ACCOUNT", "RESETS_PER_ADDRESS", "RESETS_PER_ACCOUNT"),
        "SIMULATIONS_PER_ACCOUNT",
    )
}

CONFIG = """
seed = 1
hooks = "tests.integration.api.own_sessions"
continue-on-failure = true
[generation]
deterministic = true
max-examples = 8
database = "none"
[phases.stateful.generation]
max-examples = 12
[warnings]
fail-on = ["missing_auth", "missing_test_data", "rate_limited"]
[checks]
# A value may be of the right type and yet wrong, as a timezone that does not exist.
positive_data_acceptance.expected-statuses = ["2xx", "401", "403", "404", "409", "422"]
[[operations]]  # 401 without the right token from a mail or a challenge, which is no missing auth
include-operation-id = ["completeTOTPSession", "confirmEmail", "confirmPasswordReset"]
warnings = { display = ["validation_mismatch"] }
"""

# What only a dispatcher makes cannot come from the answer of another operation.
OBJECTS = """
[[operations]]
include-operation-id = ["getDelivery", "getDeliveryMessage", "downloadDeliveryMessage"]
parameters = {{ "path.id" = "{webhook}", "path.deliveryId" = "{delivery}" }}
[[operations]]
include-operation-id = ["getDeliveryLog", "replayDeliveryLog"]
parameters = {{ "path.id" = "{webhook}", "path.logId" = "{log}" }}
"""


async def signed_in(client: Client) -> User:
    email = new_email()
    account = await client.sign_up(email)
    session = (await client.sign_in(email)).expect(200)
    return User(account, session, client.with_token(session["access_token"]))


async def ended(directory: Path, *arguments: str, **variables: str) -> tuple[int | None, str]:
    """Run Schemathesis; return how it ended, and what it told."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", *arguments),
        cwd=directory,  # where it keeps what it found, for other runs
        env={**os.environ, "PYTHONPATH": str(ROOT), **variables},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(_DEADLINE):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
    return process.returncode, output.decode()


async def test_nothing_that_schemathesis_finds(
    stack: Stack,
    new_client: NewClient,
    mail: Mail,
    dispatcher: Dispatcher,
    verifier: Verifier,
    tmp_path: Path,
) -> None:
    config = tmp_path / "schemathesis.toml"
    async with serving(stack, **UNLIMITED, CONDUIT_EGRESS_ALLOW_HTTP="false") as url:
        api = url.removesuffix("/openapi.json")
        user = await signed_in(replace(new_client(), base=api))
        webhook = await user.new_webhook()
        delivery, [attempt] = await mail.handled(webhook["id"])
        objects = OBJECTS.format(webhook=webhook["id"], delivery=delivery.id, log=attempt.id)
        config.write_text(CONFIG + objects)
        code, output = await ended(
            tmp_path,
            *("--config-file", str(config), "run", url, "--checks", "all", "--no-color"),
            CONDUIT_TEST_API=api,
            CONDUIT_TEST_TOKEN=str(user.client.token),
        )
        assert code == 0, output
        # No call has ended the session of the others.
        (await user.client.get("/accounts/me")).expect(200)
