"""Every reply that a sender can get."""

import pytest

from conduit.model.verdict import Accept, Defer, Reason, Reject
from conduit_smtp_ingest import replies
from conduit_smtp_ingest.replies import Reply, bad_address, for_verdict, queued

ALL = [
    *(value for value in vars(replies).values() if isinstance(value, Reply)),
    *(for_verdict(Reject(reason)) for reason in Reason),
    *(bad_address(sender, "a local part has at most 64 octets") for sender in (True, False)),
    *queued(["dlv_01jd0000000000000000000000"]),
]


@pytest.mark.parametrize("reply", ALL, ids=str)
def test_its_form(reply: Reply) -> None:
    line = f"{reply}\r\n"
    assert len(line) <= 512
    assert line.isascii()
    assert line[:-2].isprintable()
    if reply.code // 100 == 3:
        assert reply.enhanced is None
        return
    assert reply.enhanced is not None
    status = [int(number) for number in reply.enhanced.split(".")]
    assert len(status) == 3
    assert status[0] == reply.code // 100


def test_every_reason_has_a_reply_of_its_verdicts_class() -> None:
    deferred = {
        Reason.TOO_MANY_RECIPIENTS,
        Reason.NO_MEMORY,
        Reason.UNAVAILABLE,
        Reason.DOMAIN_NOT_VERIFIED,
        Reason.POLICY_MISSING,
        Reason.DNS_FAILURE,
        Reason.OTHER_DECISION,
        Reason.OVER_RATE,
        Reason.ENDPOINT_FAILED,
    }
    for reason in Reason:
        verdict = Defer(reason) if reason in deferred else Reject(reason)
        assert for_verdict(verdict).code // 100 == (4 if reason in deferred else 5)
    assert for_verdict(Accept()).code == 250


def test_each_webhook_is_told_its_delivery() -> None:
    assert list(map(str, queued(["dlv_1", "dlv_2"]))) == [
        "250 2.0.0 queued as dlv_1",
        "250 2.0.0 queued as dlv_2",
    ]
