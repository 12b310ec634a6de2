"""Sends mail at an even rate over kept connections."""

import asyncio
import time


async def send_paced(
    server: str, sender: str, recipient: str, size: int, rate: float, count: int
) -> None:
    """Send `count` mails of `size` octets, `rate` a second; raise when one is not accepted."""
    host, _, port = server.rpartition(":")
    turns = iter(range(count))
    started = time.monotonic()
    mail = b"Subject: paced\r\n\r\n" + (b"x" * 70 + b"\r\n") * (size // 72) + b".\r\n"

    async def connection() -> None:
        reader, writer = await asyncio.open_connection(host, int(port))
        await _reply(reader)
        await _say(reader, writer, b"EHLO load.example.com\r\n")
        for turn in turns:
            await asyncio.sleep(max(0.0, started + turn / rate - time.monotonic()))
            await _say(reader, writer, f"MAIL FROM:<{sender}>\r\n".encode())
            await _say(reader, writer, f"RCPT TO:<{recipient}>\r\n".encode())
            await _say(reader, writer, b"DATA\r\n")
            await _say(reader, writer, mail)
        await _say(reader, writer, b"QUIT\r\n")
        writer.close()

    await asyncio.gather(*(connection() for _ in range(20)))


async def _say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, octets: bytes) -> None:
    writer.write(octets)
    reply = await _reply(reader)
    if reply[:1] not in (b"2", b"3"):
        raise RuntimeError(f"the server said {reply!r}")


async def _reply(reader: asyncio.StreamReader) -> bytes:
    while (line := await reader.readline())[3:4] == b"-":
        pass
    return line
