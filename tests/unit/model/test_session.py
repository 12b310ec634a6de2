"""A used refresh token may be used once more for some moments, and no other one."""

from datetime import UTC, datetime, timedelta

from conduit.model.session import Session

NOW = datetime(2026, 4, 2, 12, tzinfo=UTC)
GRACE = timedelta(seconds=10)


def session(**fields: object) -> Session:
    return Session.model_validate(
        {
            "id": "ses_1",
            "created_at": NOW,
            "updated_at": NOW,
            "account_id": "acc_1",
            "family_hash": "family",
            "turn_hash": "third",
            "expires_at": NOW + timedelta(days=1),
            **fields,
        }
    )


def test_the_token_before_the_newest_may_be_used_again_for_some_moments() -> None:
    turned = session(previous_hash="second", turned_at=NOW)
    assert turned.may_repeat("second", NOW, GRACE)
    assert turned.may_repeat("second", NOW + timedelta(seconds=9.9), GRACE)
    assert not turned.may_repeat("second", NOW + GRACE, GRACE)


def test_older_tokens_may_not() -> None:
    assert not session(previous_hash="second", turned_at=NOW).may_repeat("first", NOW, GRACE)
    assert not session().may_repeat("second", NOW, GRACE)
