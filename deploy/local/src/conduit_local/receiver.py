"""An endpoint for webhook calls on loopback: records what arrives, answers as it is told."""

import asyncio
import json
import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from conduit_local.ports import LOOPBACK


@dataclass(frozen=True)
class Received:
    """One request. `headers` are case-insensitive, `at` is in seconds since the epoch."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    at: float

    @property
    def webhook_id(self) -> str:
        """The id that stays the same over retries."""
        return self.headers.get("webhook-id", "")

    def json(self) -> Any:  # noqa: ANN401
        """Return the decoded body."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Answer:
    """What the receiver says to a request, after `delay` seconds."""

    status: int = 200
    headers: Mapping[str, str] | None = None
    body: str = ""
    delay: float = 0


class Receiver:
    """The endpoint. `async with` opens it; closed and opened again, it keeps its port."""

    def __init__(self, port: int = 0, host: str = LOOPBACK) -> None:
        self.requests: list[Received] = []
        self.port = port
        self.host = host
        self._answers: defaultdict[str, deque[Answer]] = defaultdict(deque)
        self._usual: dict[str, Answer] = {}
        self._arrived = asyncio.Condition()
        self._runner: web.ServerRunner | None = None

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    @property
    def url(self) -> str:
        """Address of the endpoint; any path below it does."""
        return f"http://{self.host}:{self.port}"

    async def open(self) -> None:
        """Listen; before that, connections are refused."""
        server = web.Server(self._receive, access_log=None)
        self._runner = web.ServerRunner(server, shutdown_timeout=1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.host, self.port, backlog=1024)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def close(self) -> None:
        """Stop listening and close all connections; what was recorded stays."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def answer(self, *answers: Answer | int, path: str = "/") -> None:
        """Give these answers, in this order, to the next requests to a path."""
        self._answers[path].extend(map(_answer, answers))

    def always_answer(self, answer: Answer | int, path: str = "/") -> None:
        """Give this answer to a path when no other one is waiting (without this: 200)."""
        self._usual[path] = _answer(answer)

    def at(self, path: str) -> list[Received]:
        """Return the requests to one path."""
        return [request for request in self.requests if request.path == path]

    async def wait_for(
        self, count: int, timeout: float | None = 30, path: str | None = None
    ) -> list[Received]:
        """Return the requests (to a path, or all) once there are so many, or raise TimeoutError."""
        return await self.wait_until(lambda found: len(found) >= count, timeout, path)

    async def wait_until(
        self,
        enough: Callable[[list[Received]], bool],
        timeout: float | None = 30,
        path: str | None = None,
    ) -> list[Received]:
        """Return the requests (to a path, or all) once they are enough, or raise TimeoutError."""
        async with self._arrived:
            try:
                async with asyncio.timeout(timeout):
                    await self._arrived.wait_for(lambda: enough(self._at(path)))
            except TimeoutError:
                where = path or "the receiver"
                message = f"{len(self._at(path))} requests to {where} after {timeout:g} s"
                raise TimeoutError(message) from None
            return list(self._at(path))

    def _at(self, path: str | None) -> list[Received]:
        return self.requests if path is None else self.at(path)

    async def _receive(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.content.read()
        received = Received(request.method, request.path, request.headers, body, time.time())
        async with self._arrived:
            self.requests.append(received)
            self._arrived.notify_all()
        waiting = self._answers[request.path]
        answer = waiting.popleft() if waiting else self._usual.get(request.path, Answer())
        if answer.delay:
            await asyncio.sleep(answer.delay)
        return web.Response(status=answer.status, headers=answer.headers, text=answer.body)


def _answer(answer: Answer | int) -> Answer:
    return Answer(answer) if isinstance(answer, int) else answer
