"""A dispatcher's records without a dispatcher: mails that were handled, as a test wants them."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from conduit.model.authentication import (
    Arc,
    ArcStatus,
    AuthResults,
    Dkim,
    DkimStatus,
    Dmarc,
    DmarcStatus,
    Spf,
    SpfScope,
    SpfStatus,
)
from conduit.model.delivery import Attempt, Delivery, DeliveryState, Result
from conduit.model.ids import Prefix, new_id
from conduit.model.message import Message
from conduit.model.record import utc_now
from conduit.store.deliveries import Deliveries
from conduit.store.delivery_logs import DeliveryLogs
from conduit.store.messages import Messages

RAW = (
    b"From: Ann <ann@example.com>\r\nTo: alerts@example.org\r\nSubject: Hello\r\n"
    b"Message-ID: <1@example.com>\r\nX-Team: ops\r\n\r\nIt works.\r\n"
)
AUTHENTICATION = AuthResults(
    Spf(SpfStatus.SOFTFAIL, SpfScope.MAIL_FROM, "example.com", "not from there, probably"),
    (Dkim(DkimStatus.PASS, "example.com", "s1", "rsa-sha256"),),
    Dmarc(DmarcStatus.PASS, "example.com", "reject"),
    Arc(ArcStatus.NONE),
)
_ENDS = {
    DeliveryState.DELIVERED: Result.DELIVERED,
    DeliveryState.PENDING: Result.TRANSIENT,
    DeliveryState.FAILED: Result.PERMANENT,
}


@dataclass(frozen=True)
class Mail:
    """Writes what a dispatcher would."""

    deliveries: Deliveries
    logs: DeliveryLogs
    messages: Messages

    async def handled(
        self,
        webhook_id: str,
        state: DeliveryState = DeliveryState.FAILED,
        *,
        raw: bytes | None = RAW,
        minutes_ago: int = 0,
        attempts: int = 1,
        **changes: Any,
    ) -> tuple[Delivery, list[Attempt]]:
        """Record a mail, kept unless `raw` is None, with its attempts a minute apart."""
        received_at = utc_now() - timedelta(minutes=minutes_ago)
        message = Message(new_id(Prefix.MESSAGE), received_at, raw or b"")
        fields: dict[str, Any] = {
            "id": new_id(Prefix.DELIVERY),
            "webhook_id": webhook_id,
            "account_id": new_id(Prefix.ACCOUNT),
            "message_id": message.id,
            "smtp_message_id": "<1@example.com>",
            "sender": "ann@example.com",
            "recipients": ("alerts@example.org",),
            "subject": "Hello",
            "size": len(message.raw),
            "state": state,
            "attempts": attempts,
            "next_attempt_at": None,
            "received_at": received_at,
            "updated_at": received_at,
            "helo": "mx.example.com",
            "remote_ip": "192.0.2.1",
            "tls": "TLSv1.3",
        }
        delivery = Delivery(**fields | changes)
        tried = [_attempt(delivery, number) for number in range(1, attempts + 1)]
        await self.deliveries.put([delivery])
        if tried:
            await self.logs.add(tried)
        if raw is not None:
            await self.messages.keep([message])
        return delivery, tried

    async def gone(self, delivery: Delivery) -> None:
        """Have a mail kept no longer."""
        await self.messages.forget([delivery.message_id])


def _attempt(delivery: Delivery, number: int) -> Attempt:
    result = _ENDS[delivery.state] if number == delivery.attempts else Result.TRANSIENT
    delivered = result is Result.DELIVERED
    return Attempt(
        id=new_id(Prefix.LOG),
        delivery_id=delivery.id,
        webhook_id=delivery.webhook_id,
        number=number,
        smtp_message_id=delivery.smtp_message_id,
        sender=delivery.sender,
        result=result,
        http_status=200 if delivered else 500,
        error=None if delivered else "the endpoint answered 500",
        duration_ms=12,
        attempted_at=delivery.received_at + timedelta(minutes=number - 1),
    )
