"""The body of a webhook call: one mail as JSON.

Always present:
    message_id      the Message-ID header with its angle brackets; when the mail has none, an id
                    made of the first delivery's, the same at each attempt and replay
    from            envelope sender, empty for the null reverse-path
    to              envelope recipients that lead to this webhook
    id              the delivery, as in the `webhook-id` header
    received_at     RFC 3339, UTC
    envelope        helo, remote_ip, tls, authenticated_as; the last two null when there was none

Present when the mail has it:
    replay_of       the delivery that the mail first came with, when its owner had it sent again
    tag             what stood after the plus sign in the first recipient that had a tag
    authentication  what SPF, DKIM, DMARC and ARC say of who it is from, when they were asked:
                        spf    {result, scope, domain, reason}, scope `mailfrom` or `helo`
                        dkim   list of {result, domain, selector, algorithm, reason}, one for each
                               signature, empty when there is none
                        dmarc  {result, domain, policy, reason}, domain that of the From field,
                               policy what its owner asks for: `none`, `quarantine` or `reject`
                        arc    {result, domain, instances, reason}, domain that of the last sealer
                    each result a word of RFC 8601: pass, fail, none, softfail, neutral, policy,
                    temperror, permerror; what is not known, and the reason of a pass, is left out
    subject         decoded
    date            RFC 3339, UTC
    text, html      all parts that are meant to be read, line ends as `\\n`
    headers         name to list of values, decoded, without those that stand elsewhere:
                    Message-Id, From, To, Subject, Date, Content-Type, Mime-Version
    header_from     {name, address}
    header_to, cc, reply_to
                    lists of {name, address}
    attachments     list of {filename, content_type, size, content_id, inline, content}, content
                    in base64, or left out with the `reason` in its place
    notes           what was left out of the above or guessed, and why
"""

from binascii import b2a_base64
from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from conduit.events import MailAccepted
from conduit.mail.parse import Attachment, Mailbox, ParsedMail
from conduit.model.authentication import Arc, AuthResults, Dkim, Dmarc, Spf

_Json = dict[str, Any]


def build(mail: ParsedMail, event: MailAccepted, *, attachment_limit: int) -> bytes:
    """Return the JSON of a mail, with attachments of `attachment_limit` octets in all at most."""
    made = fields(mail, event, attachment_limit=attachment_limit)
    return orjson.dumps(made, option=orjson.OPT_UTC_Z)


def fields(mail: ParsedMail, event: MailAccepted, *, attachment_limit: int) -> _Json:
    """Return what `build` writes as JSON."""
    return {
        "message_id": mail.message_id or _made_message_id(event),
        "from": event.envelope.mail_from,
        "to": event.envelope.recipients,
        "id": event.delivery_id,
        "received_at": event.received_at,
        "envelope": _envelope(event),
        **_present(
            {
                "replay_of": event.replay_of,
                "tag": event.envelope.tag,
                "authentication": event.authentication and authentication(event.authentication),
                "subject": mail.subject,
                "date": mail.date,
                "text": mail.text,
                "html": mail.html,
                "headers": mail.headers,
                "header_from": mail.from_ and _mailbox(mail.from_),
                "header_to": [_mailbox(mailbox) for mailbox in mail.to],
                "cc": [_mailbox(mailbox) for mailbox in mail.cc],
                "reply_to": [_mailbox(mailbox) for mailbox in mail.reply_to],
                "attachments": list(_attachments(mail.attachments, attachment_limit)),
                "notes": mail.notes,
            }
        ),
    }


def _present(fields: _Json) -> _Json:
    return {name: value for name, value in fields.items() if value not in (None, [], (), {})}


def _made_message_id(event: MailAccepted) -> str:
    delivery_id = event.replay_of or event.delivery_id
    return f"<{delivery_id}@conduit.invalid>"  # a name that never exists (RFC 2606 §2)


def _envelope(event: MailAccepted) -> _Json:
    return {
        "helo": event.envelope.helo,
        "remote_ip": event.envelope.remote_ip,
        "tls": event.envelope.tls,
        "authenticated_as": event.envelope.authenticated_as,
    }


def authentication(results: AuthResults) -> _Json:
    """Return the field `authentication`."""
    spf, dmarc, arc = results.spf, results.dmarc, results.arc
    return {
        "spf": _result(spf, scope=spf.scope, domain=spf.domain),
        "dkim": [
            _result(each, domain=each.domain, selector=each.selector, algorithm=each.algorithm)
            for each in results.dkim
        ],
        "dmarc": _result(dmarc, domain=dmarc.domain, policy=dmarc.policy),
        "arc": _result(arc, domain=arc.domain, instances=arc.instances),
    }


def _result(of: Spf | Dkim | Dmarc | Arc, **known: object) -> _Json:
    return {"result": of.status, **_told(known), **_told({"reason": of.problem})}


def _told(known: _Json) -> _Json:
    return {name: value for name, value in known.items() if value not in (None, "")}


def _mailbox(mailbox: Mailbox) -> _Json:
    return {"name": mailbox.name, "address": mailbox.address}


def _attachments(attachments: Iterable[Attachment], limit: int) -> Iterator[_Json]:
    """Yield each attachment, its content for as long as the sum stays within the limit."""
    left = limit
    for attachment in attachments:
        fields = _present(
            {
                "filename": attachment.filename,
                "content_type": attachment.content_type,
                "size": attachment.size,
                "content_id": attachment.content_id,
                "inline": attachment.inline,
            }
        )
        if attachment.size > left:
            reason = f"the attachments of one call are limited to {limit} octets"
            yield {**fields, "reason": reason}
            continue
        left -= attachment.size
        yield {**fields, "content": _base64(attachment.content)}


def _base64(content: bytes) -> orjson.Fragment:
    """Return octets as a JSON string, which orjson takes over without looking through it."""
    return orjson.Fragment(b'"%b"' % b2a_base64(content, newline=False))
