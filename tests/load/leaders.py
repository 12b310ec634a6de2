"""Endurance run: the leaders of the quorum queues move, and nodes of the cluster go, under load.

    python -m tests.load.leaders [--rounds 1] [--rate 100]

Three RabbitMQ nodes on loopback; Conduit knows all of them by CONDUIT_AMQP_URL. In each round the
queues of both lanes get another leader, that of `deliveries` has its node killed with SIGKILL, and
each node in turn is stopped in order and started again. After each of these mail must flow again
within ten seconds, with no more repeated calls than were under way; in the end every mail that got
its 250 must have arrived and be on record. Prints a table, and exits with 1 when a promise is
broken.
"""

import argparse
import asyncio
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

from conduit.bus.topology import DELIVERIES, LANES
from conduit_local.programs import ALL
from conduit_local.receiver import Receiver
from conduit_local.stack import Stack
from tests.support.disturbances import Disturbance, Report, mail_flows
from tests.support.rabbitmq_cluster import Cluster, Node
from tests.support.stacks import patiently
from tests.support.user import open_user


def main() -> None:
    """Run and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--rate", type=float, default=100, help="mails a second")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        report = asyncio.run(run(Path(directory), arguments.rounds, arguments.rate))
    print("\n".join(report.lines()))
    sys.exit("\n".join(report.complaints()) or 0)


async def run(directory: Path, rounds: int, rate: float) -> Report:
    """Start everything, disturb, and count."""
    async with AsyncExitStack() as cleanup:
        cluster = cleanup.enter_context(Cluster(directory / "cluster"))
        others = [name for name in ALL if name != "rabbitmq"]
        settings = {"CONDUIT_AMQP_URL": cluster.urls}
        stack = cleanup.enter_context(
            patiently(Stack.isolated(directory / "stack", others, settings))
        )
        receiver = await cleanup.enter_async_context(Receiver())
        user = await cleanup.enter_async_context(open_user(stack.urls.api))
        webhook = await user.webhook(receiver.url)
        mail = await cleanup.enter_async_context(
            mail_flows(stack, webhook["address"], receiver, rate=rate)
        )
        for disturbance in [each for _ in range(rounds) for each in _disturbances(cluster)]:
            effect = await mail.disturb(disturbance)
            print(f"  {effect}, machine's load {os.getloadavg()[0]:.0f}", flush=True)
        return await mail.end()


class _LeadersNode:
    """The node that leads `deliveries` at the moment when it is looked for."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._found: Node | None = None

    def find(self) -> None:
        """Wait until all nodes take part, and look for it."""
        self._cluster.wait_complete()
        self._found = self._cluster.leader(DELIVERIES)

    def kill(self) -> None:
        """End it with SIGKILL."""
        self._node().kill()

    def start(self) -> None:
        """Start it again."""
        self._node().start()

    def _node(self) -> Node:
        assert self._found is not None, "the leader has not been looked for"
        return self._found


def _disturbances(cluster: Cluster) -> Iterator[Disturbance]:
    leaders = _LeadersNode(cluster)
    for lane in LANES:
        move = partial(cluster.transfer_leader, lane)
        yield Disturbance(f"leader of {lane} moved", move, cluster.wait_complete)
    yield Disturbance("leader's node killed", leaders.kill, leaders.find)
    yield Disturbance("that node started", leaders.start)
    for number, node in enumerate(cluster.nodes, start=1):
        yield Disturbance(f"node {number} stopped", node.stop, cluster.wait_complete)
        yield Disturbance(f"node {number} started", node.start)


if __name__ == "__main__":
    main()
