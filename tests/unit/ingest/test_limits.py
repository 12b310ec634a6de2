"""The memory for unfinished mails: who gets how much of it."""

from conduit_smtp_ingest.limits import Budget

MIB = 1024 * 1024


def test_all_that_there_is_may_be_taken_and_no_more() -> None:
    budget = Budget(1_000)
    assert budget.take(600)
    assert not budget.take(401)
    assert budget.take(400)
    budget.give_back(600)
    assert budget.take(600)


def test_large_mails_leave_an_eighth_to_small_ones() -> None:
    budget = Budget(8 * MIB)
    assert budget.take(6 * MIB, MIB)
    assert not budget.take(MIB + 1, 7 * MIB)
    assert budget.take(MIB, 7 * MIB)
    assert not budget.take(1, 8 * MIB)
    assert budget.take(MIB - 1, 0)
    assert budget.take(1, 256 * 1024)
    assert not budget.take(1, 0)
