"""The audit log: an account's own actions, newest first."""

import pytest

from conduit.model.audit import Action, AuditEntry
from conduit.model.ids import Prefix, new_id
from conduit.model.record import utc_now
from conduit.store.audit_log import AuditLog
from conduit.store.connection import Store
from tests.integration.api.client import User


async def test_actions_are_listed_newest_first(user: User) -> None:
    made = await user.new_token(name="ci")
    (await user.client.delete(f"/api-tokens/{made['id']}")).expect(204)
    newest, before = (await user.client.get("/accounts/me/audit-log?limit=2")).expect(200)
    assert set(newest) == {
        "id", "action", "subject", "remote_ip", "user_agent", "details", "at",
    }  # fmt: skip
    assert [entry["action"] for entry in (newest, before)] == ["token.deleted", "token.created"]
    assert {entry["subject"] for entry in (newest, before)} == {made["id"]}
    assert newest["details"] == {"name": "ci"}
    assert newest["remote_ip"].startswith("127.")
    assert newest["id"].startswith("al_")
    assert newest["at"] >= before["at"]
    assert made["token"] not in str((newest, before))


async def test_others_actions_are_not_shown(user: User, resident: User) -> None:
    made = await resident.new_token()
    entries = (await user.client.get("/accounts/me/audit-log?limit=200")).expect(200)
    assert made["id"] not in {entry.get("subject") for entry in entries}


async def test_so_many_are_shown_as_are_asked_for(user: User, store: Store) -> None:
    log = AuditLog(store)
    for _ in range(210):
        await log.add(
            AuditEntry(
                id=new_id(Prefix.AUDIT),
                account_id=user.id,
                action=Action.WEBHOOK_UPDATED,
                subject=None,
                remote_ip="192.0.2.1",
                user_agent="",
                at=utc_now(),
            )
        )
    for query, count in (("", 50), ("?limit=1", 1), ("?limit=200", 200)):
        entries = (await user.client.get(f"/accounts/me/audit-log{query}")).expect(200)
        assert len(entries) == count


@pytest.mark.parametrize("limit", ["0", "201", "-1", "x", "", "1.5"])
async def test_a_wrong_limit_is_refused(resident: User, limit: str) -> None:
    reply = await resident.client.get(f"/accounts/me/audit-log?limit={limit}")
    assert reply.failure == (422, "validation_error")


async def test_a_program_may_read_it(user: User) -> None:
    made = await user.new_token(scopes=["read"])
    client = user.client.with_token(made["token"])
    [entry] = (await client.get("/accounts/me/audit-log?limit=1")).expect(200)
    assert entry["action"] == "token.created"
