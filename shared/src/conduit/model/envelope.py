"""The SMTP envelope (RFC 5321 §2.3.1) and what the session knew of its sender."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Envelope:
    """Who sent a mail to whom, and over what connection.

    `mail_from` is empty for the null reverse-path `<>`. `tls` is the protocol version, such as
    `TLSv1.3`, or None for a connection in the clear. `tag` is what stood after the plus sign in the
    first recipient that had a tag (`orders+2026@example.com`: `2026`).
    """

    mail_from: str
    recipients: tuple[str, ...]
    helo: str
    remote_ip: str
    tls: str | None = None
    authenticated_as: str | None = None
    tag: str | None = None
