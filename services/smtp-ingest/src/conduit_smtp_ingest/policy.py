"""What may be delivered to whom: pure functions that return a verdict with its reason."""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Protocol

from conduit.mail.trace import received_count
from conduit.model.authentication import AuthResults, Dkim, DkimStatus, Spf, SpfStatus
from conduit.model.policy import SmtpPolicy
from conduit.model.remote_address import unmapped
from conduit.model.verdict import Accept, Defer, Reason, Reject, Verdict
from conduit.model.webhook import DeliveryMode, Webhook

LOOP_HOPS = 100
"""`Received` fields that make a loop (RFC 5321 §6.3)."""


class Client(Protocol):
    """What decides about who is connected.

    `satisfied` has the ids of the policies whose user `authenticated_as` is, with the password
    that was given; `authenticated_as` is None without AUTH.
    """

    @property
    def remote_ip(self) -> str:
        """Where the client connects from."""

    @property
    def authenticated_as(self) -> str | None:
        """The user name of the AUTH that went through."""

    @property
    def satisfied(self) -> frozenset[str]:
        """The policies that this AUTH satisfies."""


def decide_recipient(
    webhook: Webhook | None, domain_owner: str | None, policy: SmtpPolicy | None, client: Client
) -> Verdict:
    """Decide at RCPT, by the webhook of the address, if it has one, and who owns the domain.

    `domain_owner` is the account that has verified the address's domain, None when nobody has. A
    webhook may be left over from an account whose verification has ended: another account that
    has verified the domain since then must not lose its mail to it. While nobody has, the mail
    waits for the former owner to put the DNS record back.

    `policy` is the webhook's. Without one nothing is asked of the client.
    """
    if webhook is None or domain_owner not in (None, webhook.account_id):
        return Reject(Reason.UNKNOWN_ADDRESS)
    if not webhook.active:
        return Reject(Reason.INACTIVE_WEBHOOK)
    if domain_owner is None and not webhook.has_public_address:
        return Defer(Reason.DOMAIN_NOT_VERIFIED)
    if webhook.smtp_security_policy_id is None:
        return Accept()
    if policy is None or policy.id != webhook.smtp_security_policy_id:
        # Deleted or exchanged a moment ago: what is remembered of the webhook is older.
        return Defer(Reason.POLICY_MISSING)
    return _decide_client(policy, client)


def _decide_client(policy: SmtpPolicy, client: Client) -> Verdict:
    """A policy that does not require AUTH takes no offence at other credentials."""
    if policy.source_networks and not _is_within(client.remote_ip, policy):
        return Reject(Reason.SOURCE_NOT_ALLOWED)
    if not policy.require_smtp_auth:
        return Accept()
    if client.authenticated_as is None:
        return Reject(Reason.AUTH_REQUIRED)
    # Who is no longer among the users is out at once, although the session goes on.
    users = {credential.username for credential in policy.credentials}
    if policy.id not in client.satisfied or client.authenticated_as not in users:
        return Reject(Reason.AUTH_NOT_ALLOWED)
    return Accept()


def _is_within(remote_ip: str, policy: SmtpPolicy) -> bool:
    try:
        address = unmapped(ip_address(remote_ip))
    except ValueError:  # a socket without an address
        return False
    return any(address in network for network in policy.source_networks)


def user_for(webhook: Webhook, client: Client) -> str | None:
    """Return whom a webhook may be told to have authenticated.

    A user of its own policy only: in another account's, anybody may have any name.
    """
    satisfied = webhook.smtp_security_policy_id in client.satisfied
    return client.authenticated_as if satisfied else None


@dataclass(frozen=True, slots=True)
class DataRules:
    """What is to be decided of a recipient's mail at the end of DATA.

    There is one reply for all recipients, so that they may share a mail only when these are equal.
    Domains of what is not required mean nothing and are left out; no domains stand for any.
    `waits_for` is the webhook whose endpoint has a say in the reply, None when the mail is queued.
    """

    require_spf: bool = False
    spf_domains: frozenset[str] = frozenset()
    require_dkim: bool = False
    dkim_domains: frozenset[str] = frozenset()
    mode: DeliveryMode = DeliveryMode.QUEUED
    waits_for: str | None = None

    @property
    def ask_for_results(self) -> bool:
        """Whether SPF or DKIM must be looked into."""
        return self.require_spf or self.require_dkim


def rules_of(webhook: Webhook, policy: SmtpPolicy | None) -> DataRules:
    """Return the rules for a recipient that was accepted, with its policy if it has one."""
    mode = webhook.delivery_mode
    waits_for = None if mode is DeliveryMode.QUEUED else webhook.id
    if policy is None:
        return DataRules(mode=mode, waits_for=waits_for)
    return DataRules(
        require_spf=policy.require_spf,
        spf_domains=frozenset(policy.spf_domains if policy.require_spf else ()),
        require_dkim=policy.require_dkim,
        dkim_domains=frozenset(policy.dkim_domains if policy.require_dkim else ()),
        mode=mode,
        waits_for=waits_for,
    )


def decide_further(first: DataRules, further: DataRules) -> Verdict:
    """Decide whether one more recipient may share the mail of the first."""
    return Accept() if first == further else Defer(Reason.OTHER_DECISION)


def decide_message(raw: bytes, results: AuthResults | None, rules: DataRules) -> Verdict:
    """Decide at the end of DATA. `results` may be None where the rules do not ask for them.

    A loop goes before SPF, SPF before DKIM. But what is refused for good goes before what may
    change: when DKIM fails, waiting until DNS answers about SPF would not help the sender.
    """
    if _loops(raw):
        return Reject(Reason.MAIL_LOOP)
    if not rules.ask_for_results:
        return Accept()
    if results is None:
        return Defer(Reason.DNS_FAILURE)
    verdicts = (_decide_spf(results.spf, rules), _decide_dkim(results.dkim, rules))
    for kind in (Reject, Defer):
        for verdict in verdicts:
            if isinstance(verdict, kind):
                return verdict
    return Accept()


def _loops(raw: bytes) -> bool:
    """Whether the mail came through too many hosts; so many fields need as many lines."""
    return raw.count(b"\n") >= LOOP_HOPS and received_count(raw) >= LOOP_HOPS


def _decide_spf(spf: Spf, rules: DataRules) -> Verdict:
    """Domains match as wholes: one that is listed does not stand for those below it.

    Whoever sends for a sub-domain is often somebody else, a mailing service for one, and the
    lists have no wildcards. A sub-domain that may send is listed itself.
    """
    if not rules.require_spf:
        return Accept()
    if spf.status is SpfStatus.TEMPERROR:
        return Defer(Reason.DNS_FAILURE)
    if spf.status is not SpfStatus.PASS:
        return Reject(Reason.SPF_NOT_PASSED)
    if rules.spf_domains and spf.domain not in rules.spf_domains:
        return Reject(Reason.SPF_DOMAIN_NOT_ALLOWED)
    return Accept()


def _decide_dkim(signatures: Sequence[Dkim], rules: DataRules) -> Verdict:
    """One valid signature of an allowed domain will do; domains match as wholes, as for SPF."""
    if not rules.require_dkim:
        return Accept()
    statuses = {one.status for one in signatures if _may_count(one, rules.dkim_domains)}
    if DkimStatus.PASS in statuses:
        return Accept()
    if DkimStatus.TEMPERROR in statuses:
        return Defer(Reason.DNS_FAILURE)
    if any(one.status is DkimStatus.PASS for one in signatures):
        return Reject(Reason.DKIM_DOMAIN_NOT_ALLOWED)
    return Reject(Reason.DKIM_NOT_PASSED)


def _may_count(signature: Dkim, domains: frozenset[str]) -> bool:
    """Whether the signature is of an allowed domain, or of one that is not known as yet."""
    if not signature.domain and signature.status is DkimStatus.TEMPERROR:
        return True
    return not domains or signature.domain in domains
