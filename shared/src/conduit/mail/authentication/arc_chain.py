"""The sets of header fields that intermediaries added to a mail for ARC (RFC 8617 §4)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from conduit.mail.authentication.signature import SignatureProblem, Signer, read_signer
from conduit.mail.authentication.signed_mail import SignedMail
from conduit.mail.authentication.tag_list import TagListError, read_tags

MAX_INSTANCES = 50  # §4.2.1

_RESULTS = b"arc-authentication-results"
_MESSAGE = b"arc-message-signature"
_SEAL = b"arc-seal"
_instance_of_results = re.compile(rb"\s*+i\s*+=\s*+([0-9]{1,2})\s*+;")
_instance = re.compile(r"[0-9]{1,2}")

_Found = dict[int, tuple[int, Mapping[str, str]]]


class BrokenChain(ValueError):
    """The chain fails; the text says why."""


@dataclass(frozen=True, slots=True)
class ArcSet:
    """What one intermediary added: the places of its three fields, and who sealed them.

    `message_tags` are those of the ARC-Message-Signature; `verdict` is what the sealer says of the
    chain before it (`cv=`).
    """

    results: int
    message: int
    seal: int
    message_tags: Mapping[str, str]
    verdict: str
    sealer: Signer


def read_chain(mail: SignedMail) -> list[ArcSet]:
    """Return the sets from the first on, () for a mail without any, or raise BrokenChain (§5.2)."""
    fields = [mail.places(name) for name in (_RESULTS, _MESSAGE, _SEAL)]
    if not any(fields):
        return []
    if mail.problem is not None:
        raise BrokenChain(mail.problem)
    if max(map(len, fields)) > MAX_INSTANCES:
        raise BrokenChain(f"the chain has more than {MAX_INSTANCES} sets")
    results = {_instance_at(mail, place): place for place in fields[0]}
    messages, seals = (_by_instance(mail, places) for places in fields[1:])
    last = len(fields[0])
    wanted = set(range(1, last + 1))
    if any(len(places) != last for places in fields) or not (
        wanted == results.keys() == messages.keys() == seals.keys()
    ):
        raise BrokenChain("the sets of the chain are not complete, or not numbered from 1 on")
    return [
        _set(number, results[number], messages[number], seals[number])
        for number in range(1, last + 1)
    ]


def _instance_at(mail: SignedMail, place: int) -> int:
    match = _instance_of_results.match(mail.fields[place][1])
    if match is None:
        raise BrokenChain("an ARC-Authentication-Results field has no instance (i=)")
    return int(match[1])


def _by_instance(mail: SignedMail, places: list[int]) -> _Found:
    found: _Found = {}
    for place in places:
        try:
            tags = read_tags(mail.fields[place][1])
        except TagListError as error:
            raise BrokenChain(f"a signature of the chain cannot be read: {error}") from error
        if not _instance.fullmatch(tags.get("i", "")):
            raise BrokenChain("a signature of the chain has no instance (i=)")
        found[int(tags["i"])] = (place, tags)
    return found


def _set(
    number: int,
    results: int,
    message: tuple[int, Mapping[str, str]],
    seal: tuple[int, Mapping[str, str]],
) -> ArcSet:
    tags = seal[1]
    if "h" in tags:
        raise BrokenChain(f"the seal {number} lists header fields (h=)")  # §4.1.3
    verdict = tags.get("cv", "").lower()
    if verdict not in ({"none"} if number == 1 else {"pass", "fail"}):
        raise BrokenChain(f"the seal {number} says nothing valid of the chain before it (cv=)")
    try:
        sealer = read_signer(tags)
    except SignatureProblem as error:
        raise BrokenChain(f"the seal {number} cannot be verified: {error}") from error
    return ArcSet(results, message[0], seal[0], message[1], verdict, sealer)
