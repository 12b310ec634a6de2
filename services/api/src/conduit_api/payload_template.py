"""Checking a payload template when it is saved: it must compile, and make JSON of a mail."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from conduit.events import MailAccepted
from conduit.mail.parse import parse
from conduit.model.envelope import Envelope
from conduit.webhook import payload
from conduit.webhook.shape import ShapeError, shaped
from conduit_api.errors import Unprocessable

_MAIL = b"""\
From: Ann Example <ann@example.com>\r
To: alerts@example.org\r
Cc: Bob <bob@example.com>\r
Reply-To: support@example.com\r
Subject: A sample\r
Date: Mon, 6 Jan 2025 10:00:00 +0000\r
Message-ID: <sample@example.com>\r
X-Priority: 1\r
MIME-Version: 1.0\r
Content-Type: multipart/mixed; boundary=outer\r
\r
--outer\r
Content-Type: multipart/alternative; boundary=inner\r
\r
--inner\r
Content-Type: text/plain; charset=utf-8\r
\r
Hello,\r
this is a sample.\r
--inner\r
Content-Type: text/html; charset=utf-8\r
\r
<p>Hello,<br>this is a sample.</p>\r
--inner--\r
--outer\r
Content-Type: text/csv; name=sample.csv\r
Content-Disposition: attachment; filename=sample.csv\r
\r
1,2\r
--outer--\r
"""

_EVENT = MailAccepted(
    delivery_id="dlv_01jgxb9k2r0000000000000000",
    message_id="msg_01jgxb9k2r0000000000000000",
    webhook_id="wh_01jgxb9k2r0000000000000000",
    envelope=Envelope("ann@example.com", ("alerts@example.org",), "mx.example.com", "192.0.2.1"),
    received_at=datetime(2025, 1, 6, 10, 0, 1, tzinfo=UTC),
    size=len(_MAIL),
    raw=_MAIL,
)

_ATTACHMENTS = 1024  # octets, more than the sample has

# One at a time: a template may take as many steps as its limits allow.
_WORKER = ThreadPoolExecutor(max_workers=1, thread_name_prefix="template")


async def check_payload_template(text: str) -> None:
    """Raise Unprocessable unless the template makes JSON of a sample mail."""
    try:
        await asyncio.get_running_loop().run_in_executor(_WORKER, _try, text)
    except ShapeError as error:
        raise Unprocessable("invalid_payload_template", f"payload_template: {error}") from None


def _try(text: str) -> None:
    shaped(text, payload.fields(parse(_MAIL), _EVENT, attachment_limit=_ATTACHMENTS))
