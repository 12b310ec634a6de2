"""Damage to whole mails, the same each time."""

import random
from collections.abc import Callable, Iterator

from tests.support.made_mails.encodings import UUENCODED
from tests.support.made_mails.formats import REPORTS
from tests.support.made_mails.structures import ALTERNATIVE, IMAGE, PDF
from tests.support.made_mails.writing import Made, container, mail, mail_of, text

WHOLE = {
    "plain": mail(b"Subject: Hello", body=b"It works.\r\n" * 5),
    "words": mail(
        b"Subject: =?utf-8?b?w6TDtsO8?= =?iso-2022-jp?b?GyRCRnxLXBsoQg==?=",
        b"Content-Type: text/plain; charset=utf-8",
        b"Content-Transfer-Encoding: quoted-printable",
        body=b"Gr=C3=BC=C3=9Fe=\r\n!\r\n",
    ),
    "files": mail_of(container(b"mixed", ALTERNATIVE, PDF, IMAGE), b"Subject: Files"),
    "report": mail_of(REPORTS["delivery-status"], b"Subject: Undelivered"),
    "uuencoded": mail(b"Subject: Old", body=b"".join(UUENCODED)),
    "deep": mail_of(
        container(
            b"mixed",
            container(
                b"mixed", container(b"mixed", text(b"a"), boundary=b"z"), text(b"b"), boundary=b"y"
            ),
            boundary=b"x",
        )
    ),
}


def _flipped(raw: bytes, chance: random.Random) -> bytes:
    damaged = bytearray(raw)
    for _ in range(len(raw) // 50):
        damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
    return bytes(damaged)


def _shuffled(raw: bytes, chance: random.Random) -> bytes:
    lines = raw.split(b"\r\n")
    chance.shuffle(lines)
    return b"\r\n".join(lines)


def _holed(raw: bytes, chance: random.Random) -> bytes:
    return bytes(octet for octet in raw if chance.random() > 0.02)


def _wrapped(raw: bytes, chance: random.Random) -> bytes:
    width = chance.randint(20, 40)
    return b"\r\n".join(raw[start : start + width] for start in range(0, len(raw), width))


DAMAGES: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "cut-in-the-header": lambda raw, _: raw[: len(raw) // 5],
    "cut-in-half": lambda raw, _: raw[: len(raw) // 2],
    "cut-at-the-end": lambda raw, _: raw[:-4],
    "headless": lambda raw, _: raw[len(raw) // 5 :],
    "twice": lambda raw, _: raw + raw,
    "backwards": lambda raw, _: raw[::-1],
    "lines-backwards": lambda raw, _: b"\r\n".join(raw.split(b"\r\n")[::-1]),
    "line-feeds": lambda raw, _: raw.replace(b"\r\n", b"\n"),
    "carriage-returns": lambda raw, _: raw.replace(b"\r\n", b"\r"),
    "double-spaced": lambda raw, _: raw.replace(b"\r\n", b"\r\n\r\n"),
    "extra-carriage-returns": lambda raw, _: raw.replace(b"\r\n", b"\r\r\n"),
    "no-line-ends": lambda raw, _: raw.replace(b"\r\n", b""),
    "indented": lambda raw, _: b" " + raw.replace(b"\r\n", b"\r\n "),
    "upper-case": lambda raw, _: raw.upper(),
    "stripped-of-spaces": lambda raw, _: raw.replace(b" ", b""),
    "high-bits": lambda raw, _: bytes(octet | 0x80 for octet in raw),
    "utf-16": lambda raw, _: raw.decode("latin-1").encode("utf-16"),
    "nuls": lambda raw, _: raw.replace(b" ", b"\x00"),
    "flipped": _flipped,
    "shuffled": _shuffled,
    "holed": _holed,
    "wrapped": _wrapped,
}


def mails() -> Iterator[Made]:
    """Yield each mail with each damage."""
    for kind, raw in WHOLE.items():
        for name, damage in DAMAGES.items():
            chance = random.Random(f"{kind} {name}")
            yield Made(f"damage-{kind}-{name}", damage(raw, chance))
