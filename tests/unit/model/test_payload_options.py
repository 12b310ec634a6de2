"""Payload options as they are stored."""

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from conduit.model.payload_options import (
    EVERYTHING,
    SMALLEST_BODY,
    AttachmentMode,
    PayloadOptions,
)
from conduit.model.webhook import Webhook

NOW = datetime(2026, 1, 1, tzinfo=UTC)
STORED: dict[str, Any] = {
    "id": "wh_1",
    "created_at": NOW,
    "updated_at": NOW,
    "account_id": "acc_1",
    "address": "a@example.com",
    "target_url": "https://example.com/",
    "secret": "sealed",
}


def test_a_webhook_from_before_has_everything() -> None:
    assert Webhook.model_validate(STORED).payload == EVERYTHING == PayloadOptions()


def test_what_was_stored_is_read_again() -> None:
    options = PayloadOptions(html=False, attachments=AttachmentMode.LINKS, body_limit=1 << 20)
    webhook = Webhook.model_validate(STORED | {"payload": options})
    assert Webhook.model_validate(webhook.model_dump()) == webhook


def test_what_a_newer_conduit_wrote_is_read() -> None:
    stored = STORED | {"payload": {"html": False, "calendar": "links"}}
    assert Webhook.model_validate(stored).payload == PayloadOptions(html=False)


@pytest.mark.parametrize(
    "options", [{"attachment_limit": -1}, {"body_limit": SMALLEST_BODY - 1}, {"attachments": "x"}]
)
def test_nothing_else_is_stored(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        PayloadOptions.model_validate(options)
