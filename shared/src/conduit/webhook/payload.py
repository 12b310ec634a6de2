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
    stripped_text   of a mail that answers another one: its text without what is quoted and without
                    a signature, empty when nothing is left; as good as programs and people mark it
    headers         name to list of values, decoded, without those that stand elsewhere:
                    Message-Id, From, To, Subject, Date, Content-Type, Mime-Version
    header_from     {name, address}
    header_to, cc, reply_to
                    lists of {name, address}
    attachments     list of {filename, content_type, size, content_id, inline, content}, content
                    in base64; where the webhook asks for links, {url, url_expires_at} in place of
                    it; left out, the `reason` is in its place
    notes           what was left out of the above or guessed, and why

A webhook's payload options may leave out `text` (with `stripped_text`), `html`, `headers` and the
contents of attachments, which is not told in `notes`. What `body_limit` leaves out is.
"""

from typing import Any

from conduit.events import MailAccepted
from conduit.mail.parse import Mailbox, ParsedMail
from conduit.mail.reply import MAX_TEXT, new_words
from conduit.model.authentication import Arc, AuthResults, Dkim, Dmarc, Spf
from conduit.model.payload_options import EVERYTHING, PayloadOptions
from conduit.webhook.attachments import Links, attachments
from conduit.webhook.body_limit import encoded, fitted

_Json = dict[str, Any]

NO_LINKS = "there are no links to the attachments of this mail"
_TOO_LONG = f"stripped_text was left out, for the text has more than {MAX_TEXT} characters"


def build(
    mail: ParsedMail,
    event: MailAccepted,
    *,
    attachment_limit: int,
    body_limit: int | None = None,
    options: PayloadOptions = EVERYTHING,
    links: Links | str = NO_LINKS,
) -> bytes:
    """Return the JSON of a mail, in `body_limit` octets at most; for the rest see `fields`."""
    made = fields(mail, event, attachment_limit=attachment_limit, options=options, links=links)
    body = encoded(made)
    if body_limit is None or len(body) <= body_limit:
        return body
    return fitted(made, body_limit)


def fields(
    mail: ParsedMail,
    event: MailAccepted,
    *,
    attachment_limit: int,
    options: PayloadOptions = EVERYTHING,
    links: Links | str = NO_LINKS,
) -> _Json:
    """Return what `build` writes as JSON, with what the options leave of it.

    Contents of attachments take `attachment_limit` octets in all at most. `links` are for a webhook
    that asks for them, or the text says why there are none.
    """
    text, notes = (mail.text if options.text else None), mail.notes
    stripped = None
    if mail.is_reply and text is not None:
        if len(text) <= MAX_TEXT:
            stripped = new_words(text)
        else:
            notes = (*notes, _TOO_LONG)
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
                "text": text,
                "stripped_text": stripped,
                "html": mail.html if options.html else None,
                "headers": mail.headers if options.headers else None,
                "header_from": mail.from_ and _mailbox(mail.from_),
                "header_to": [_mailbox(mailbox) for mailbox in mail.to],
                "cc": [_mailbox(mailbox) for mailbox in mail.cc],
                "reply_to": [_mailbox(mailbox) for mailbox in mail.reply_to],
                "attachments": attachments(
                    mail.attachments, options.attachments, limit=attachment_limit, links=links
                ),
                "notes": notes,
            }
        ),
    }


def _present(fields: _Json) -> _Json:
    """Leave out what is None or an empty list or map; an empty text stays."""
    return {name: value for name, value in fields.items() if value or isinstance(value, str)}


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
