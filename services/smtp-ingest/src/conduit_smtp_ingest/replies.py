"""Every reply that a sender can get, with its enhanced status code (RFC 3463, RFC 5248)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from conduit.model.verdict import Accept, Reason, Verdict


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply of RFC 5321 §4.2 with the enhanced code of RFC 2034; None where it has no place."""

    code: int
    enhanced: str | None
    text: str

    def __str__(self) -> str:
        enhanced = f"{self.enhanced} " if self.enhanced else ""
        return f"{self.code} {enhanced}{self.text}"


OK = Reply(250, "2.0.0", "OK")
SENDER_OK = Reply(250, "2.1.0", "OK")
RECIPIENT_OK = Reply(250, "2.1.5", "OK")
GO_AHEAD = Reply(354, None, "End data with <CR><LF>.<CR><LF>")
BYE = Reply(221, "2.0.0", "Bye")
START_TLS = Reply(220, "2.0.0", "Ready to start TLS")
HELP = Reply(214, "2.0.0", "EHLO HELO STARTTLS AUTH MAIL RCPT DATA RSET NOOP QUIT VRFY")
NOT_VERIFIED = Reply(252, "2.1.5", "Cannot verify the address, but will take mail for it")

TIMED_OUT = Reply(421, "4.4.2", "Timeout, closing the connection")
STOPPING = Reply(421, "4.3.2", "Service is going down, try again later")
TOO_MANY_CONNECTIONS = Reply(421, "4.3.2", "Too many connections, try again later")
TOO_MANY_CONNECTIONS_OF_ADDRESS = Reply(
    421, "4.7.0", "Too many connections from your address, try again later"
)
TOO_MANY_COMMANDS = Reply(421, "4.7.0", "Too many commands without a mail")
TOO_EARLY = Reply(554, "5.5.1", "You spoke before the greeting")
NOT_HTTP = Reply(554, "5.5.1", "This is SMTP, not HTTP")
TOO_MANY_ERRORS = Reply(421, "4.7.0", "Too many errors")
TOO_MANY_UNKNOWN = Reply(421, "4.7.0", "Too many unknown recipients")
INTERNAL = Reply(451, "4.3.0", "Temporary failure, try again later")

UNKNOWN_COMMAND = Reply(500, "5.5.1", "Unknown command")
COMMAND_TOO_LONG = Reply(500, "5.5.2", "Command line too long")
NOT_ASCII = Reply(500, "5.5.2", "The verb of a command is ASCII")
NO_ARGUMENT = Reply(501, "5.5.4", "This command takes no argument")
NEEDS_HOSTNAME = Reply(501, "5.5.4", "Give the name of your host")
BAD_PARAMETER = Reply(501, "5.5.4", "Malformed parameter")
UNKNOWN_PARAMETER = Reply(555, "5.5.4", "Unknown parameter")
MAIL_SYNTAX = Reply(501, "5.5.2", "Syntax: MAIL FROM:<address>")
RCPT_SYNTAX = Reply(501, "5.5.2", "Syntax: RCPT TO:<address>")
NOT_IMPLEMENTED = Reply(502, "5.5.1", "Not implemented")
HELLO_FIRST = Reply(503, "5.5.1", "Send EHLO or HELO first")
MAIL_FIRST = Reply(503, "5.5.1", "Send MAIL first")
RECIPIENT_FIRST = Reply(503, "5.5.1", "Send RCPT first")
NESTED_MAIL = Reply(503, "5.5.1", "A mail has begun already; send RSET to give it up")
TLS_ACTIVE = Reply(503, "5.5.1", "TLS is active already")
NO_TLS = Reply(502, "5.5.1", "TLS is not available")

AUTHENTICATED = Reply(235, "2.7.0", "Authentication succeeded")
AUTH_CONTINUE = Reply(334, None, "")
AUTH_USERNAME = Reply(334, None, "VXNlcm5hbWU6")  # Username: in base64, as clients expect it
AUTH_PASSWORD = Reply(334, None, "UGFzc3dvcmQ6")  # Password:
AUTH_AWAY = Reply(454, "4.7.0", "Temporary authentication failure, try again later")
AUTH_BLOCKED = Reply(454, "4.7.0", "Too many failed authentications, try again later")
TOO_MANY_AUTH_FAILURES = Reply(421, "4.7.0", "Too many failed authentications")
BAD_CREDENTIALS = Reply(535, "5.7.8", "Authentication credentials invalid")
AUTH_LINE_TOO_LONG = Reply(500, "5.5.6", "Authentication exchange line is too long")
AUTH_NOT_BASE64 = Reply(501, "5.5.2", "Cannot decode the response: it is not base64")
AUTH_MALFORMED = Reply(501, "5.5.2", "Cannot read a user name and a password in the response")
AUTH_CANCELLED = Reply(501, "5.7.0", "Authentication cancelled")
NEEDS_MECHANISM = Reply(501, "5.5.4", "Syntax: AUTH mechanism [initial-response]")
UNKNOWN_MECHANISM = Reply(504, "5.5.4", "Unknown authentication mechanism")
ENCRYPTION_REQUIRED = Reply(538, "5.7.11", "Encryption required: send STARTTLS first")
ALREADY_AUTHENTICATED = Reply(503, "5.5.1", "Authenticated already")
AUTH_DURING_MAIL = Reply(503, "5.5.1", "A mail has begun already; authenticate before MAIL")

_LINE = 512
"""Octets of a reply line with its end."""
_SESSION_ENDS = (221, 421)
_own_enhanced = re.compile(
    r"(?P<enhanced>(?P<class>[245])\.[0-9]{1,3}\.[0-9]{1,3})(?: +(?P<text>.*))?"
)

_OF_REASON = {
    Reason.UNKNOWN_ADDRESS: Reply(550, "5.1.1", "No such address here"),
    Reason.INACTIVE_WEBHOOK: Reply(550, "5.2.1", "This address takes no mail at present"),
    Reason.DOMAIN_NOT_VERIFIED: Reply(
        450, "4.2.1", "This address takes no mail at present, try again later"
    ),
    Reason.POLICY_MISSING: INTERNAL,
    Reason.SOURCE_NOT_ALLOWED: Reply(550, "5.7.1", "This address takes no mail from your network"),
    Reason.AUTH_REQUIRED: Reply(530, "5.7.0", "Authentication required"),
    Reason.AUTH_NOT_ALLOWED: Reply(550, "5.7.1", "Your credentials are not for this address"),
    Reason.SPF_NOT_PASSED: Reply(550, "5.7.23", "SPF did not pass, which this address requires"),
    Reason.SPF_DOMAIN_NOT_ALLOWED: Reply(
        550, "5.7.23", "SPF passed for a domain from which this address takes no mail"
    ),
    Reason.DKIM_NOT_PASSED: Reply(
        550, "5.7.20", "No valid DKIM signature, which this address requires"
    ),
    Reason.DKIM_DOMAIN_NOT_ALLOWED: Reply(
        550, "5.7.21", "No valid DKIM signature of a domain from which this address takes mail"
    ),
    Reason.DNS_FAILURE: Reply(451, "4.4.3", "DNS does not answer at present, try again later"),
    Reason.OTHER_DECISION: Reply(
        452, "4.5.3", "Send this recipient's mail by itself: it is decided on by other rules"
    ),
    Reason.OVER_RATE: Reply(450, "4.7.1", "Too much mail for this address, try again later"),
    Reason.ENDPOINT_REFUSED: Reply(550, "5.3.0", "The receiving application refused the mail"),
    Reason.ENDPOINT_FAILED: Reply(
        450, "4.3.0", "The receiving application does not answer, try again later"
    ),
    Reason.TOO_LARGE: Reply(552, "5.3.4", "Message too large"),
    Reason.LINE_TOO_LONG: Reply(554, "5.6.0", "A line of the message is too long"),
    Reason.TOO_MANY_RECIPIENTS: Reply(452, "4.5.3", "Too many recipients"),
    Reason.MAIL_LOOP: Reply(554, "5.4.6", "Mail loop: too many Received header fields"),
    Reason.NO_MEMORY: Reply(452, "4.3.1", "Too much mail at the moment, try again later"),
    Reason.UNAVAILABLE: INTERNAL,
}


def for_verdict(verdict: Verdict) -> Reply:
    """Return the reply to RCPT or to the end of DATA."""
    return RECIPIENT_OK if isinstance(verdict, Accept) else _OF_REASON[verdict.reason]


def delivered(delivery_id: str) -> Reply:
    """The endpoint has the mail."""
    return Reply(250, "2.0.0", f"delivered as {delivery_id}")


def as_endpoint_says(usual: Reply, code: int | None, message: str | None) -> Reply:
    """Return a reply with an endpoint's own code and text, where it may choose them.

    A code of another class than `usual` does not count, and neither do 221 and 421, which would
    tell the client that its session is over. A message can begin with an enhanced code of this
    class; what is not printable ASCII is none. The line keeps to RFC 5321 §4.5.3.1.5.
    """
    if code is None or code // 100 != usual.code // 100 or code in _SESSION_ENDS:
        code = usual.code
    if not message or not message.isascii() or not message.isprintable():
        return Reply(code, usual.enhanced, usual.text)
    own = _own_enhanced.fullmatch(message)
    if own is None or int(own["class"]) != code // 100:
        return _fitting(Reply(code, usual.enhanced, message))
    return _fitting(Reply(code, own["enhanced"], own["text"] or usual.text))


def _fitting(reply: Reply) -> Reply:
    over = len(f"{reply}\r\n") - _LINE
    return Reply(reply.code, reply.enhanced, reply.text[:-over]) if over > 0 else reply


def bad_address(sender: bool, problem: str) -> Reply:
    """A path that is none: X.1.7 for a sender's, X.1.3 for a recipient's address."""
    return Reply(501, "5.1.7" if sender else "5.1.3", f"Bad address: {problem}")


def queued(delivery_ids: Sequence[str]) -> Sequence[Reply]:
    """One line for each webhook that gets the mail, with the id under which it arrives."""
    return [Reply(250, "2.0.0", f"queued as {delivery_id}") for delivery_id in delivery_ids]
