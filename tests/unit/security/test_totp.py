"""Codes of two-factor authentication are right for a minute and a half, and work once."""

import re
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit.model.account import Totp
from conduit.model.webhook import Sealed
from conduit.security.totp import (
    BACKUP_CODES,
    backup_hash,
    backup_hashes,
    new_backup_codes,
    new_secret,
    otpauth_url,
    spent,
    timecode_of,
)

# RFC 6238, appendix B: the key of the SHA-1 vectors, and their last six digits.
SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
VECTORS = [(59, "287082"), (1111111109, "081804"), (1234567890, "005924"), (2000000000, "279037")]
NOW = datetime.fromtimestamp(1234567890, UTC)
CODE, STEP = "005924", 1234567890 // 30


def totp(*codes: str, last_timecode: int = 0) -> Totp:
    return Totp(
        secret=Sealed("sealed"),
        enabled=True,
        last_timecode=last_timecode,
        backup_hashes=backup_hashes(codes, SECRET),
    )


@pytest.mark.parametrize(("seconds", "code"), VECTORS)
def test_the_rfcs_codes_are_right(seconds: int, code: str) -> None:
    now = datetime.fromtimestamp(seconds, UTC)
    assert timecode_of(code, SECRET, now, after=0) == seconds // 30


@pytest.mark.parametrize("steps", [-1, 0, 1])
def test_a_clock_may_be_a_step_off(steps: int) -> None:
    now = NOW + timedelta(seconds=30 * steps)
    assert timecode_of(CODE, SECRET, now, after=0) == STEP


@pytest.mark.parametrize("steps", [-2, 2, 100])
def test_a_clock_may_not_be_two_steps_off(steps: int) -> None:
    now = NOW + timedelta(seconds=30 * steps)
    assert timecode_of(CODE, SECRET, now, after=0) is None


@pytest.mark.parametrize("code", ["", "005925", "05924", "0005924", "٠٠٥٩٢٤", "0x5924", "-05924"])
def test_other_codes_are_wrong(code: str) -> None:
    assert timecode_of(code, SECRET, NOW, after=0) is None


def test_a_code_may_be_written_in_groups() -> None:
    assert timecode_of("005 924", SECRET, NOW, after=0) == STEP


def test_a_code_works_once_and_no_older_one_after_it() -> None:
    left = spent(totp(), CODE, SECRET, NOW)
    assert left is not None
    assert left.last_timecode == STEP
    assert spent(left, CODE, SECRET, NOW) is None
    assert spent(totp(last_timecode=STEP + 1), CODE, SECRET, NOW) is None


def test_a_backup_code_does_as_well_and_works_once() -> None:
    codes = new_backup_codes()
    left = spent(totp(*codes), codes[3], SECRET, NOW)
    assert left is not None
    assert left.backup_hashes == backup_hashes(codes[:3] + codes[4:], SECRET)
    assert left.last_timecode == 0
    assert spent(left, codes[3], SECRET, NOW) is None
    assert spent(left, codes[4], SECRET, NOW) is not None


def test_backup_codes_are_eight_of_a_form_that_can_be_read_out() -> None:
    codes = new_backup_codes()
    assert len(set(codes)) == BACKUP_CODES == 8
    assert all(re.fullmatch(r"[0-9A-HJKMNP-TV-Z]{5}-[0-9A-HJKMNP-TV-Z]{5}", c) for c in codes)


@pytest.mark.parametrize("written", ["ab1d0-efghj", "AB1D0EFGHJ", "abld0 efghj", "ABIDO-EFGHJ"])
def test_a_backup_code_may_be_written_as_it_was_read(written: str) -> None:
    assert backup_hash(written, SECRET) == backup_hash("AB1D0-EFGHJ", SECRET)


@given(st.text(max_size=20))
def test_any_other_text_is_wrong_and_no_fault(text: str) -> None:
    assert spent(totp(*("AB1D0-EFGHJ",)), text, new_secret(), NOW) is None


def test_a_hash_is_of_one_account_and_does_not_tell_the_code() -> None:
    hashed = backup_hash("AB1D0-EFGHJ", SECRET)
    assert hashed is not None
    assert len(hashed) == 64
    assert hashed != backup_hash("AB1D0-EFGHJ", new_secret())


def test_a_url_tells_apps_what_they_need() -> None:
    secret = new_secret()
    url = urlsplit(otpauth_url(secret, "user+tag@example.com"))
    assert (url.scheme, url.netloc) == ("otpauth", "totp")
    assert unquote(url.path) == "/Conduit:user+tag@example.com"
    assert parse_qs(url.query) == {"secret": [secret], "issuer": ["Conduit"]}


def test_a_secret_has_160_bits() -> None:
    assert re.fullmatch("[A-Z2-7]{32}", new_secret())
    assert new_secret() != new_secret()
