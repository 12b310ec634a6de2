"""Ways to ask a program whether it is ready: a probe returns None, or what is missing."""

import socket
from collections.abc import Callable
from functools import partial
from http.client import HTTPConnection, HTTPException

from conduit_local.ports import LOOPBACK

Probe = Callable[[], str | None]
_TIMEOUT = 1.0
_PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"
_METHOD_FRAME = b"\x01"


def amqp(host: str, port: int) -> Probe:
    """Ready when a broker greets."""
    return lambda: None if greeting(host, port) else f"no AMQP broker answers on port {port}"


def tcp(port: int) -> Probe:
    """Ready when something accepts connections on this port of the loopback address."""
    return partial(_tcp, port)


def readyz(port: int) -> Probe:
    """Ready when /readyz on this port of the loopback address answers 200."""
    return partial(_readyz, port)


def greeting(host: str, port: int) -> bytes | None:
    """Return what a broker says first (its properties are in it), None when there is none.

    AMQP 0-9-1, section 4.2.2: the client sends the protocol header, the server Connection.Start.
    """
    try:
        with socket.create_connection((host, port), _TIMEOUT) as connection:
            connection.sendall(_PROTOCOL_HEADER)
            answer = connection.recv(8192)
    except OSError:
        return None
    return answer if answer.startswith(_METHOD_FRAME) else None


def _tcp(port: int) -> str | None:
    try:
        socket.create_connection((LOOPBACK, port), _TIMEOUT).close()
    except OSError as error:
        return f"port {port}: {error.strerror or error}"
    return None


def _readyz(port: int) -> str | None:
    connection = HTTPConnection(LOOPBACK, port, timeout=_TIMEOUT)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        body = answer.read(500).decode(errors="replace").strip()
    except (OSError, HTTPException) as error:
        return f"port {port}: {error}"
    finally:
        connection.close()
    return None if answer.status == 200 else f"/readyz says {answer.status} {body}"
