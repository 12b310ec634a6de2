"""Accounts and what lets people in to them, on every server."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta

import pytest

from conduit.errors import StoreUnavailable
from conduit.model.account import Account, Totp
from conduit.model.challenge import TRIES, Challenge
from conduit.model.ids import Prefix, new_id
from conduit.model.mailed_token import MailedToken
from conduit.model.record import utc_now
from conduit.model.session import Session
from conduit.model.webhook import Sealed
from conduit.settings import StoreSettings
from conduit.store.accounts import Accounts
from conduit.store.challenges import Challenges
from conduit.store.connection import Store
from conduit.store.mailed_tokens import MailedTokens, password_resets
from conduit.store.sessions import Sessions
from conduit.store.webhooks import Webhooks
from conduit_api.erasure import Erasure
from tests.integration.store.conftest import account, webhook

LATER = timedelta(minutes=5)


def challenge(token_hash: str, account_id: str = "acc_1", lives: timedelta = LATER) -> Challenge:
    return Challenge(
        token_hash=token_hash,
        account_id=account_id,
        password_hash="hash",
        expires_at=utc_now() + lives,
    )


def mailed(token_hash: str, account_id: str = "acc_1", lives: timedelta = LATER) -> MailedToken:
    return MailedToken(account_id=account_id, token_hash=token_hash, expires_at=utc_now() + lives)


def session(account_id: str) -> Session:
    now, session_id = utc_now(), new_id(Prefix.SESSION)
    return Session(
        id=session_id,
        created_at=now,
        updated_at=now,
        account_id=account_id,
        family_hash=session_id,
        turn_hash="turn",
        expires_at=now + LATER,
    )


async def test_the_second_factor_is_kept_as_it_was(store: Store) -> None:
    totp = Totp(secret=Sealed("s"), enabled=True, last_timecode=58_000_000, backup_hashes=("a",))
    accounts, inserted = Accounts(store), account(totp=totp)
    await accounts.insert(inserted)
    assert await accounts.of_id(inserted.id) == inserted


async def test_parallel_changes_of_an_account_all_count(store: Store) -> None:
    accounts, inserted = Accounts(store), account(password_hash="")
    await accounts.insert(inserted)

    def longer(current: Account) -> Account:
        return current.model_copy(update={"password_hash": current.password_hash + "x"})

    await asyncio.gather(*(accounts.change(inserted.id, longer) for _ in range(10)))
    found = await accounts.of_id(inserted.id)
    assert found is not None
    assert (found.password_hash, found.version) == ("x" * 10, 10)


async def test_no_account_is_not_changed(store: Store) -> None:
    assert await Accounts(store).change("acc_none", lambda account: account) is None


async def test_a_marked_account_is_found_as_such_only(store: Store) -> None:
    accounts = Accounts(store)
    first, second, other = (account(email=f"{n}@example.com") for n in range(3))
    for each in (first, second, other):
        await accounts.insert(each)
    for each, age in ((second, 1), (first, 2)):
        deleted_at = utc_now() - timedelta(minutes=age)
        await accounts.replace(each.model_copy(update={"deleted_at": deleted_at}))
    assert [each.id for each in await accounts.deleted(10)] == [first.id, second.id]
    assert await accounts.of_id(first.id) is None
    assert await accounts.of_email(first.email) is None
    assert await accounts.of_id(other.id) == other
    await accounts.remove(first.id)
    assert [each.id for each in await accounts.deleted(10)] == [second.id]


async def test_all_sessions_but_one_are_revoked(store: Store) -> None:
    sessions = Sessions(store)
    kept, ended, others = session("acc_1"), session("acc_1"), session("acc_2")
    for each in (kept, ended, others):
        await sessions.insert(each)
    await sessions.revoke_all("acc_1", but=kept.id)
    assert await sessions.of_id(kept.id) == kept
    assert await sessions.of_id(ended.id) is None
    await sessions.revoke_all("acc_1")
    assert await sessions.of_id(kept.id) is None
    assert await sessions.of_id(others.id) == others


async def test_a_challenge_counts_parallel_tries(store: Store) -> None:
    challenges, added = Challenges(store), challenge("hash")
    await challenges.add(added)
    assert await challenges.find("hash", utc_now()) == added
    counted = await asyncio.gather(*(challenges.count_try("hash") for _ in range(3 * TRIES)))
    assert sum(counted) == TRIES
    assert await challenges.find("hash", utc_now()) is None


async def test_a_challenge_is_spent_once_and_ends(store: Store) -> None:
    challenges = Challenges(store)
    for each in (challenge("a"), challenge("b"), challenge("old", lives=-LATER)):
        await challenges.add(each)
    assert sorted(await asyncio.gather(*(challenges.spend("a") for _ in range(3)))) == [
        False,
        False,
        True,
    ]
    assert await challenges.find("old", utc_now()) is None
    await challenges.forget("acc_1")
    assert await challenges.find("b", utc_now()) is None


@pytest.fixture
def tokens(store: Store) -> MailedTokens:
    return password_resets(store)


async def test_a_mailed_token_is_spent_once(tokens: MailedTokens) -> None:
    await tokens.put(mailed("hash"))
    spent = await asyncio.gather(*(tokens.spend("hash", utc_now()) for _ in range(5)))
    assert sorted(map(str, spent)) == ["None"] * 4 + ["acc_1"]


async def test_a_mailed_token_takes_the_place_of_the_former(tokens: MailedTokens) -> None:
    await tokens.put(mailed("first"))
    await tokens.put(mailed("second"))
    await tokens.put(mailed("other", "acc_2"))
    assert await tokens.spend("first", utc_now()) is None
    assert await tokens.spend("second", utc_now()) == "acc_1"
    assert await tokens.spend("other", utc_now()) == "acc_2"


async def test_of_two_first_mailed_tokens_one_stays(tokens: MailedTokens) -> None:
    hashes = [str(number) for number in range(5)]
    await asyncio.gather(*(tokens.put(mailed(each)) for each in hashes))
    spent = [await tokens.spend(each, utc_now()) for each in hashes]
    assert [owner for owner in spent if owner] == ["acc_1"]


async def test_an_expired_or_forgotten_token_is_refused(tokens: MailedTokens) -> None:
    await tokens.put(mailed("old", lives=-LATER))
    assert await tokens.spend("old", utc_now()) is None
    await tokens.put(mailed("new"))
    await tokens.forget("acc_1")
    assert await tokens.spend("new", utc_now()) is None


@dataclass
class Failing:
    """A collection whose store goes away as it is asked to forget, once."""

    failed: bool = False

    async def forget(self, _ids: object) -> None:
        if not self.failed:
            self.failed = True
            raise StoreUnavailable("away")


async def erased(erasure: Erasure, account: Account) -> None:
    await erasure.begin(account)
    await erasure.round()


async def test_an_erasure_that_fails_anywhere_is_finished_later(
    store: Store, settings: StoreSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The account is marked by then, so that it is nobody's any more."""
    for name in ("_credentials", "_possessions", "_of_webhooks"):
        gone = account()
        await Accounts(store).insert(gone)
        await Webhooks(store).insert(webhook(account_id=gone.id))
        await Sessions(store).insert(session(gone.id))
        erasure = Erasure(store, settings, settled=timedelta(0))
        failing = (Failing(), *getattr(erasure, name))
        monkeypatch.setattr(erasure, name, failing)
        with pytest.raises(StoreUnavailable):
            await erased(erasure, gone)
        assert await Accounts(store).of_id(gone.id) is None
        assert len(await Accounts(store).deleted(10)) == 1
        await erasure.round()
        assert await Accounts(store).deleted(10) == []
        assert await Webhooks(store).of_account(gone.id) == []
        assert await Sessions(store).find({"account_id": gone.id}) is None
