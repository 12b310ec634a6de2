"""Two-factor authentication: setting it up, signing in with it, and giving it up."""

import asyncio
import base64
import re
import time
from dataclasses import dataclass, field
from typing import Any

import pyotp
import pytest

from conduit.model.audit import Action
from conduit.store.audit_log import AuditLog
from conduit.store.connection import Store
from tests.integration.api.client import Client, Reply, User
from tests.integration.api.conftest import NewUser

WRONG_CODE = (401, "invalid_totp_code")
WRONG_TOKEN = (401, "invalid_totp_token")
STEP = 30


@dataclass
class App:
    """An authenticator app. Its clock is at most a step ahead, so that each code is a new one."""

    secret: str
    last: int = field(default=0)

    def code(self) -> str:
        """Return a code that was not used yet; two can be had within a step."""
        self.last = max(self.last + 1, int(time.time()) // STEP)
        return self.of(self.last)

    def of(self, step: int) -> str:
        return pyotp.TOTP(self.secret).generate_otp(step)

    def wrong(self) -> str:
        """Return a code that is not right anywhere near."""
        now = int(time.time()) // STEP
        near = {self.of(now + offset) for offset in range(-3, 4)}
        return next(f"{n:06}" for n in range(10) if f"{n:06}" not in near)


@dataclass
class Protected:
    """Somebody with two-factor authentication."""

    user: User
    app: App
    backup_codes: list[str]

    async def challenge(self) -> str:
        reply = await self.user.client.sign_in(self.user.email)
        assert set(reply.expect(200)) == {"totp_required", "totp_token"}
        assert reply.json["totp_required"] is True
        return str(reply.json["totp_token"])


async def set_up(user: User) -> Any:
    return (await user.client.post("/accounts/me/2fa/setup")).expect(200)


async def enabled(user: User, code: str) -> Reply:
    return await user.client.post("/accounts/me/2fa/enable", {"code": code})


async def disabled(user: User, code: str) -> Reply:
    return await user.client.delete("/accounts/me/2fa", {"code": code})


async def regenerated(user: User, code: str) -> Reply:
    return await user.client.post("/accounts/me/2fa/backup-codes", {"code": code})


async def completed(client: Client, token: str, code: str) -> Reply:
    return await client.post("/sessions/2fa", {"totp_token": token, "code": code})


@pytest.fixture
async def app(user: User) -> App:
    """An app that has the secret, before the first code."""
    return App((await set_up(user))["secret"])


@pytest.fixture
async def protected(user: User, app: App) -> Protected:
    codes = (await enabled(user, app.code())).expect(200)["backup_codes"]
    return Protected(user, app, codes)


async def test_set_up_gives_the_secret_in_three_ways(user: User) -> None:
    given = await set_up(user)
    assert set(given) == {"secret", "otpauth_url", "qr_code_png"}
    totp = pyotp.parse_uri(given["otpauth_url"])
    assert (totp.secret, totp.name, totp.issuer) == (given["secret"], user.email, "Conduit")
    head, _, encoded = given["qr_code_png"].partition(",")
    assert head == "data:image/png;base64"
    assert base64.b64decode(encoded).startswith(b"\x89PNG\r\n\x1a\n")


async def test_setting_up_alone_changes_no_sign_in(user: User, app: App) -> None:
    assert "access_token" in (await user.client.sign_in(user.email)).expect(200)


async def test_setting_up_again_gives_another_secret(user: User, app: App) -> None:
    other = App((await set_up(user))["secret"])
    assert other.secret != app.secret
    assert (await enabled(user, app.code())).failure == WRONG_CODE
    (await enabled(user, other.code())).expect(200)


async def test_enabling_gives_eight_backup_codes(protected: Protected) -> None:
    assert len(set(protected.backup_codes)) == 8
    assert all(re.fullmatch("[0-9A-Z]{5}-[0-9A-Z]{5}", code) for code in protected.backup_codes)


async def test_enabling_needs_a_right_code(user: User, app: App) -> None:
    assert (await enabled(user, app.wrong())).failure == WRONG_CODE
    assert "access_token" in (await user.client.sign_in(user.email)).expect(200)


async def test_what_is_not_set_up_cannot_be_enabled(user: User) -> None:
    assert (await enabled(user, "000000")).failure == (422, "totp_not_set_up")


async def test_what_is_enabled_is_neither_set_up_nor_enabled_again(protected: Protected) -> None:
    taken = (409, "totp_already_enabled")
    user = protected.user
    assert (await user.client.post("/accounts/me/2fa/setup")).failure == taken
    assert (await enabled(user, protected.app.code())).failure == taken


async def test_what_is_not_enabled_is_neither_disabled_nor_renewed(user: User, app: App) -> None:
    for reply in (await disabled(user, app.code()), await regenerated(user, app.code())):
        assert reply.failure == (422, "totp_not_enabled")


async def test_a_sign_in_takes_a_code(protected: Protected, client: Client) -> None:
    token = await protected.challenge()
    session = (await completed(client, token, protected.app.code())).expect(200)
    assert set(session) == {"access_token", "refresh_token", "expires_in"}
    me = await client.with_token(session["access_token"]).get("/accounts/me")
    assert me.expect(200)["id"] == protected.user.id


async def test_a_wrong_password_tells_nothing_of_it(protected: Protected) -> None:
    reply = await protected.user.client.sign_in(protected.user.email, "wrong password")
    assert reply.failure == (401, "invalid_credentials")


async def test_a_code_works_once(protected: Protected, client: Client) -> None:
    first, second = await protected.challenge(), await protected.challenge()
    code = protected.app.code()
    (await completed(client, first, code)).expect(200)
    assert (await completed(client, second, code)).failure == WRONG_CODE
    earlier = protected.app.of(protected.app.last - 1)
    assert (await completed(client, second, earlier)).failure == WRONG_CODE


async def test_a_code_used_twice_at_once_works_once(protected: Protected, client: Client) -> None:
    tokens = [await protected.challenge() for _ in range(4)]
    code = protected.app.code()
    replies = await asyncio.gather(*(completed(client, token, code) for token in tokens))
    assert sorted(reply.status for reply in replies) == [200, 401, 401, 401]


async def test_a_challenge_used_twice_at_once_gives_one_session(
    protected: Protected, client: Client
) -> None:
    token = await protected.challenge()
    codes = [protected.app.code(), *protected.backup_codes[:3]]
    replies = await asyncio.gather(*(completed(client, token, code) for code in codes))
    assert sorted(reply.status for reply in replies) == [200, 401, 401, 401]


async def test_a_backup_code_does_as_well_and_works_once(
    protected: Protected, client: Client
) -> None:
    code = protected.backup_codes[0]
    (await completed(client, await protected.challenge(), code)).expect(200)
    token = await protected.challenge()
    assert (await completed(client, token, code)).failure == WRONG_CODE
    (await completed(client, token, protected.backup_codes[1].lower())).expect(200)


async def test_a_challenge_ends_with_its_success(protected: Protected, client: Client) -> None:
    token = await protected.challenge()
    (await completed(client, token, protected.app.code())).expect(200)
    assert (await completed(client, token, protected.backup_codes[0])).failure == WRONG_TOKEN


async def test_a_challenge_ends_after_five_wrong_codes(
    protected: Protected, client: Client
) -> None:
    token, wrong = await protected.challenge(), protected.app.wrong()
    for _ in range(5):
        assert (await completed(client, token, wrong)).failure == WRONG_CODE
    assert (await completed(client, token, protected.app.code())).failure == WRONG_TOKEN


async def test_a_challenge_is_good_for_five_minutes(
    protected: Protected, client: Client, store: Store
) -> None:
    token = await protected.challenge()
    challenges = store.collection("sign_in_challenges")
    document = await challenges.find_one({"account_id": protected.user.id})
    assert document is not None
    assert token not in str(document)
    begun = document["expires_at"].timestamp() - 300
    assert 0 <= time.time() - begun < 60
    past = {**document, "expires_at": document["expires_at"].replace(year=2020)}
    await challenges.replace_one({"_id": document["_id"]}, past)
    assert (await completed(client, token, protected.app.code())).failure == WRONG_TOKEN


async def test_a_new_password_voids_challenges(protected: Protected, client: Client) -> None:
    token = await protected.challenge()
    body = {"current_password": "correct horse battery", "new_password": "another password"}
    (await protected.user.client.put("/accounts/me/password", body)).expect(204)
    assert (await completed(client, token, protected.app.code())).failure == WRONG_TOKEN


@pytest.mark.parametrize(
    ("body", "failure"),
    [
        ({"code": "000000"}, (400, "missing_field")),
        ({"totp_token": "t"}, (400, "missing_field")),
        ({"totp_token": "t", "code": 123456}, (422, "validation_error")),
        ({"totp_token": "t", "code": "000000"}, WRONG_TOKEN),
        ({"totp_token": "", "code": ""}, WRONG_TOKEN),
    ],
)
async def test_wrong_completions_are_refused(
    client: Client, body: object, failure: tuple[int, str]
) -> None:
    assert (await client.post("/sessions/2fa", body)).failure == failure


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/enable"), ("DELETE", ""), ("POST", "/backup-codes")],
)
async def test_wrong_requests_are_refused(user: User, method: str, path: str) -> None:
    for body, failure in [({}, (400, "missing_field")), ({"code": 1}, (422, "validation_error"))]:
        reply = await user.client.send(method, f"/accounts/me/2fa{path}", body)
        assert reply.failure == failure


@pytest.mark.parametrize("backup", [False, True])
async def test_disabling_needs_a_code(protected: Protected, backup: bool) -> None:
    user = protected.user
    assert (await disabled(user, protected.app.wrong())).failure == WRONG_CODE
    code = protected.backup_codes[0] if backup else protected.app.code()
    reply = await disabled(user, code)
    assert (reply.status, reply.octets) == (204, b"")
    assert "access_token" in (await user.client.sign_in(user.email)).expect(200)
    assert (await disabled(user, protected.backup_codes[1])).failure == (422, "totp_not_enabled")


@pytest.mark.parametrize("backup", [False, True])
async def test_new_backup_codes_replace_the_former(
    protected: Protected, client: Client, backup: bool
) -> None:
    user, former = protected.user, protected.backup_codes
    assert (await regenerated(user, protected.app.wrong())).failure == WRONG_CODE
    code = former[0] if backup else protected.app.code()
    codes = (await regenerated(user, code)).expect(200)["backup_codes"]
    assert len(codes) == 8
    assert not set(codes) & set(former)
    token = await protected.challenge()
    assert (await completed(client, token, former[1])).failure == WRONG_CODE
    (await completed(client, token, codes[0])).expect(200)


async def test_the_store_has_neither_secret_nor_backup_codes(
    protected: Protected, store: Store
) -> None:
    document = await store.collection("accounts").find_one({"_id": protected.user.id})
    assert protected.app.secret not in str(document)
    assert not any(code in str(document) for code in protected.backup_codes)


async def test_codes_of_one_account_are_throttled(protected: Protected) -> None:
    user, wrong = protected.user, protected.app.wrong()
    replies = [await disabled(user, wrong) for _ in range(12)]
    statuses = [reply.status for reply in replies]
    assert statuses == [401] * 9 + [429] * 3  # one was to enable
    assert replies[-1].failure == (429, "too_many_requests")
    assert int(replies[-1].headers["Retry-After"]) > 0


async def test_what_happens_to_the_second_factor_is_in_the_audit_log(
    protected: Protected, client: Client, store: Store
) -> None:
    user, codes = protected.user, protected.backup_codes
    token = await protected.challenge()
    assert (await completed(client, token, protected.app.wrong())).failure == WRONG_CODE
    (await completed(client, token, codes[0])).expect(200)
    (await regenerated(user, codes[1])).expect(200)
    (await disabled(user, protected.app.code())).expect(204)
    entries = await AuditLog(store).newest(user.id, 50)
    assert sorted(entry.action for entry in entries) == sorted(
        [
            Action.ACCOUNT_CREATED,
            Action.SESSION_CREATED,
            Action.TOTP_SET_UP,
            Action.TOTP_ENABLED,
            Action.SESSION_REFUSED,
            Action.BACKUP_CODE_USED,
            Action.SESSION_CREATED,
            Action.BACKUP_CODE_USED,
            Action.BACKUP_CODES_REGENERATED,
            Action.TOTP_DISABLED,
        ]
    )
    assert not any(code in str(entries) for code in codes)


async def test_everybody_has_a_secret_of_their_own(new_user: NewUser) -> None:
    one, other = await new_user(), await new_user()
    app = App((await set_up(one))["secret"])
    await set_up(other)
    assert (await enabled(other, app.code())).failure == WRONG_CODE
