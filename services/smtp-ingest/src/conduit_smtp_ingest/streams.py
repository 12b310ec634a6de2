"""What asyncio's streams cannot do in public: put octets back, and forget what was read ahead."""

import asyncio


def _read_ahead(reader: asyncio.StreamReader) -> bytearray:
    octets: bytearray = reader._buffer  # type: ignore[attr-defined]  # noqa: SLF001
    return octets


def unread(reader: asyncio.StreamReader, octets: bytes) -> None:
    """Put back what a pipelining client sent after its mail."""
    if octets:
        _read_ahead(reader)[:0] = octets


def forget(reader: asyncio.StreamReader) -> None:
    """Drop what came before a TLS handshake, which may be an attacker's (RFC 3207 §4.2)."""
    _read_ahead(reader).clear()
