"""ARC (RFC 8617): whether the chain of intermediaries that a mail came through is unbroken.

Reported only: nothing is decided by it. The signatures are verified as DKIM's are. The flags of
their keys (t=) are about identities and testing of DKIM, and without effect here.
"""

from collections.abc import Sequence
from functools import partial
from hashlib import sha256

from conduit.mail.aside import aside
from conduit.mail.authentication.arc_chain import ArcSet, BrokenChain, read_chain
from conduit.mail.authentication.dns import Dns
from conduit.mail.authentication.keys import Key, KeyProblem, key_of, look_up
from conduit.mail.authentication.signature import (
    Coverage,
    SignatureProblem,
    Signer,
    read_coverage,
    read_signer,
)
from conduit.mail.authentication.signed_mail import Check, Signed, SignedMail, verify
from conduit.mail.authentication.spare_time import Allotment, is_short
from conduit.model.authentication import Arc, ArcStatus


async def check_arc(dns: Dns, raw: bytes, *, deadline: float) -> Arc:
    """Validate the chain (§5.2). `deadline` is a moment of the running loop's clock.

    What DNS or the work has not come to by then is a temperror. Nothing is raised, whatever the
    mail.
    """
    mail = await aside(partial(SignedMail, raw), len(raw))
    try:
        chain = read_chain(mail)
    except BrokenChain as error:
        return Arc(ArcStatus.FAIL, problem=str(error))
    if not chain:
        return Arc(ArcStatus.NONE)
    status, problem = await _Validation(dns, mail, chain, Allotment(deadline)).result()
    return Arc(status, chain[-1].sealer.domain, len(chain), problem)


class _Unanswered(Exception):
    """DNS did not say what a key is."""


class _Validation:
    """Of one chain, the newest set first: nobody's chain asks DNS for 50 keys and signs nothing."""

    def __init__(
        self, dns: Dns, mail: SignedMail, chain: Sequence[ArcSet], time_left: Allotment
    ) -> None:
        self._dns = dns
        self._mail = mail
        self._chain = chain
        self._time = time_left
        self._short = is_short(mail.size, 1 + len(chain))

    async def result(self) -> tuple[ArcStatus, str | None]:
        """Return the status, and why it is no pass."""
        try:
            await self._check()
        except (BrokenChain, KeyProblem, SignatureProblem) as error:
            return ArcStatus.FAIL, str(error)
        except TimeoutError:
            return ArcStatus.TEMPERROR, "the chain was not validated in time"
        except _Unanswered:
            return ArcStatus.TEMPERROR, "DNS gave no answer about a key"
        return ArcStatus.PASS, None

    async def _check(self) -> None:
        """Raise when the chain does not hold."""
        if any(each.verdict == "fail" for each in self._chain):
            raise BrokenChain("the chain was found broken by one of its sealers (cv=fail)")
        newest = self._chain[-1]
        signer, coverage = _message_signature(newest)
        keys = await self._keys([signer, newest.sealer])
        signed = Signed(newest.message, signer, coverage, keys[signer])
        check = partial(_check_message, self._mail, signed)
        await self._time.do(check, short=self._short)
        check = partial(_check_seals, self._mail, self._chain, {newest.sealer: keys[newest.sealer]})
        await self._time.do(check, short=self._short)
        older = await self._keys([each.sealer for each in self._chain[:-1]])
        check = partial(_check_seals, self._mail, self._chain, older)
        await self._time.do(check, short=self._short)

    async def _keys(self, signers: Sequence[Signer]) -> dict[Signer, Key]:
        names = [signer.key_name for signer in signers]
        answers = await look_up(self._dns, names, self._time.dns)
        return {signer: _key(signer, answers[signer.key_name]) for signer in signers}


def _message_signature(newest: ArcSet) -> tuple[Signer, Coverage]:
    signer, coverage = read_signer(newest.message_tags), read_coverage(newest.message_tags)
    if b"arc-seal" in coverage.fields:
        raise BrokenChain("the newest signature covers seals")  # §4.1.2
    return signer, coverage


def _key(signer: Signer, records: tuple[bytes, ...] | None) -> Key:
    if records is None:
        raise _Unanswered
    key = key_of(records)
    if key.kind != signer.kind:
        raise KeyProblem("a key is not of the kind that the signature was made with (k=, a=)")
    return key


def _check_message(mail: SignedMail, signed: Signed, check: Check) -> None:
    [verdict] = verify(mail, [signed], check)
    if verdict.problem is not None:
        raise BrokenChain(f"the newest signature does not hold: {verdict.problem}")
    if verdict.beyond:
        raise BrokenChain("the newest signature does not cover the whole body (l=)")


def _check_seals(
    mail: SignedMail, chain: Sequence[ArcSet], keys: dict[Signer, Key], check: Check
) -> None:
    """Verify the seals that there are keys for.

    Each is of all sets up to its own (§5.1.1), so one running hash is enough for all.
    """
    running = sha256()
    for number, each in enumerate(chain, 1):
        check()
        for place in (each.results, each.message):
            running.update(mail.canonical(place, relaxed=True))
        if each.sealer in keys:
            digest = running.copy()
            digest.update(mail.unsigned(each.seal, relaxed=True))
            if not keys[each.sealer].verifies(each.sealer.octets, digest):
                raise BrokenChain(f"the seal {number} does not hold")
        running.update(mail.canonical(each.seal, relaxed=True))
