"""Opened secrets: each once while it is needed, and only for the webhook that it belongs to."""

import pytest
from pydantic import SecretBytes

from conduit.model.webhook import Sealed
from conduit.security.secrets import SecretBox, UnsealError
from conduit.webhook.signature import Signer, sign
from conduit_dispatcher.opened import KEPT, Opened

WEBHOOK, ANOTHER = "wh_1", "wh_2"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class CountingBox(SecretBox):
    """Counts what it opens."""

    def __init__(self) -> None:
        super().__init__({"k": SecretBytes(b"k" * 32)})
        self.openings = 0

    def open(self, sealed: Sealed, context: str) -> str:
        self.openings += 1
        return super().open(sealed, context)


@pytest.fixture
def box() -> CountingBox:
    return CountingBox()


@pytest.fixture
def opened(box: CountingBox) -> Opened:
    return Opened(box)


def test_a_secret_is_opened_once(box: CountingBox, opened: Opened) -> None:
    sealed = box.seal("Bearer t", WEBHOOK)
    assert [opened.text(sealed, WEBHOOK) for _ in range(3)] == ["Bearer t"] * 3
    assert box.openings == 1


def test_a_signer_is_made_once_and_signs_as_its_secret(box: CountingBox, opened: Opened) -> None:
    sealed = box.seal(SECRET, WEBHOOK)
    signer = opened.signer(sealed, WEBHOOK)
    assert opened.signer(sealed, WEBHOOK) is signer
    assert box.openings == 1
    assert sign(b"{}", [signer], "dlv_1", 1) == sign(b"{}", [Signer(SECRET)], "dlv_1", 1)


def test_what_replaces_a_secret_is_used_at_once(box: CountingBox, opened: Opened) -> None:
    old, new = box.seal("old", WEBHOOK), box.seal("new", WEBHOOK)
    assert opened.text(old, WEBHOOK) == "old"
    assert opened.text(new, WEBHOOK) == "new"
    by_new = sign(b"{}", [opened.signer(new, WEBHOOK)], "dlv_1", 1)
    assert by_new == sign(b"{}", [Signer("new")], "dlv_1", 1)


def test_a_secret_in_another_record_stays_closed(box: CountingBox, opened: Opened) -> None:
    sealed = box.seal(SECRET, WEBHOOK)
    opened.text(sealed, WEBHOOK)
    opened.signer(sealed, WEBHOOK)
    for _ in range(2):
        with pytest.raises(UnsealError):
            opened.text(sealed, ANOTHER)
        with pytest.raises(UnsealError):
            opened.signer(sealed, ANOTHER)


def test_what_was_needed_last_is_kept_and_no_more(box: CountingBox, opened: Opened) -> None:
    sealed = [box.seal(f"secret {number}", WEBHOOK) for number in range(KEPT + 1)]
    for each in sealed:
        opened.text(each, WEBHOOK)
    opened.text(sealed[-1], WEBHOOK)
    assert box.openings == KEPT + 1
    opened.text(sealed[0], WEBHOOK)
    assert box.openings == KEPT + 2


def test_no_secret_is_shown(box: CountingBox, opened: Opened) -> None:
    sealed = box.seal(SECRET, WEBHOOK)
    signer = opened.signer(sealed, WEBHOOK)
    opened.text(sealed, WEBHOOK)
    for shown in (repr(opened), repr(vars(opened)), repr(signer), repr(vars(signer))):
        assert SECRET not in shown
        assert SECRET.removeprefix("whsec_") not in shown
