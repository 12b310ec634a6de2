"""What is answered while the broker or the store is away, and after."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from conduit_local.stack import Stack
from tests.integration.api.client import PASSWORD, Reply, User, new_email
from tests.integration.api.conftest import STORE_TIMEOUT


@contextmanager
def stopped(stack: Stack, program: str) -> Iterator[None]:
    """Have a program stopped for a while."""
    stack.stop_program(program)
    try:
        yield
    finally:
        stack.start_program(program)
        stack.wait_ready()


def assert_unavailable(reply: Reply) -> None:
    assert reply.failure == (503, "unavailable")
    assert int(reply.headers["Retry-After"]) > 0


async def test_without_the_broker_only_what_others_must_do_is_unavailable(
    resident: User, stack: Stack
) -> None:
    claim = await resident.new_domain()
    with stopped(stack, "rabbitmq"):
        begun = time.monotonic()
        assert_unavailable(await resident.client.post(f"/domains/{claim['id']}/verify"))
        webhook = await resident.new_webhook()
        assert_unavailable(await resident.client.post(f"/webhooks/{webhook['id']}/simulate"))
        assert time.monotonic() - begun < 2


async def test_without_the_store_all_is_unavailable_and_then_it_is_back(
    resident: User, stack: Stack
) -> None:
    with stopped(stack, "store"):
        begun = time.monotonic()
        assert_unavailable(await resident.client.get("/accounts/me"))
        account = {"email": new_email(), "password": PASSWORD}
        assert_unavailable(await resident.client.post("/accounts", account))
        assert time.monotonic() - begun < 3 * STORE_TIMEOUT
        readyz = stack.urls.metrics["api"].replace("metrics", "readyz")
        ready = await resident.client.get(readyz)
        assert (ready.status, ready.json) == (503, {"started": True, "store": False})
    (await resident.client.get("/accounts/me")).expect(200)
