"""What may be delivered to whom: the decisions over recipients and mails, as tables."""

from dataclasses import dataclass
from ipaddress import ip_network

import pytest

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
from conduit.model.policy import Credential, SmtpPolicy
from conduit.model.record import utc_now
from conduit.model.verdict import Accept, Defer, Reason, Reject, Verdict
from conduit.model.webhook import DeliveryMode, Sealed, Webhook, public_address
from conduit_smtp_ingest.policy import (
    LOOP_HOPS,
    DataRules,
    decide_further,
    decide_message,
    decide_recipient,
    rules_of,
    user_for,
)

ID = "wh_01arz3ndektsv4rrffq69g5fav"
OWNER, OTHER = "acc_owner", "acc_other"
NOW = utc_now()


@dataclass(frozen=True)
class Client:
    remote_ip: str = "192.0.2.1"
    authenticated_as: str | None = None
    satisfied: frozenset[str] = frozenset()


def webhook(**fields: object) -> Webhook:
    known = {
        "id": ID,
        "created_at": NOW,
        "updated_at": NOW,
        "account_id": OWNER,
        "address": public_address(ID, "incoming.localhost"),
        "target_url": "https://example.com/",
        "secret": Sealed("sealed"),
    }
    return Webhook.model_validate(known | fields)


def policy(**fields: object) -> SmtpPolicy:
    known: dict[str, object] = {
        "id": "pol_1",
        "created_at": NOW,
        "updated_at": NOW,
        "account_id": OWNER,
        "name": "office",
    }
    return SmtpPolicy.model_validate(known | fields)


ANYBODY = Client()
ACCEPT = Accept()


class TestRecipients:
    UNKNOWN = Reject(Reason.UNKNOWN_ADDRESS)
    INACTIVE = Reject(Reason.INACTIVE_WEBHOOK)
    UNVERIFIED = Defer(Reason.DOMAIN_NOT_VERIFIED)
    PUBLIC = webhook()
    OWN = webhook(address="alerts@example.com")
    LOOKS_PUBLIC = webhook(address=public_address(ID, "example.com"))
    ANOTHERS_NAME = webhook(address=public_address("wh_01arz3ndektsv4rrffq69g5faw", "example.com"))

    @pytest.mark.parametrize(
        ("found", "domain_owner", "verdict"),
        [
            (None, None, UNKNOWN),
            (None, OWNER, UNKNOWN),
            (PUBLIC, None, ACCEPT),
            (OWN, OWNER, ACCEPT),
            (OWN, None, UNVERIFIED),
            (OWN, OTHER, UNKNOWN),
            (LOOKS_PUBLIC, OTHER, UNKNOWN),
            (ANOTHERS_NAME, None, UNVERIFIED),
            (webhook(active=False), None, INACTIVE),
            (webhook(active=False, address="alerts@example.com"), None, INACTIVE),
            (webhook(active=False, address="alerts@example.com"), OTHER, UNKNOWN),
        ],
    )
    def test_without_a_policy(
        self, found: Webhook | None, domain_owner: str | None, verdict: Verdict
    ) -> None:
        assert decide_recipient(found, domain_owner, None, ANYBODY) == verdict

    @pytest.mark.parametrize(
        ("found", "domain_owner", "verdict"),
        [
            (webhook(smtp_security_policy_id="pol_1", active=False), None, INACTIVE),
            (webhook(smtp_security_policy_id="pol_1", address="a@example.com"), OTHER, UNKNOWN),
            (webhook(smtp_security_policy_id="pol_1", address="a@example.com"), None, UNVERIFIED),
        ],
    )
    def test_what_the_address_says_goes_before_its_policy(
        self, found: Webhook, domain_owner: str | None, verdict: Verdict
    ) -> None:
        nobody = policy(source_networks=("203.0.113.0/24",), require_smtp_auth=True)
        assert decide_recipient(found, domain_owner, nobody, ANYBODY) == verdict

    @pytest.mark.parametrize("found", [None, policy(id="pol_2")])
    def test_without_the_policy_that_a_webhook_names_its_mail_waits(
        self, found: SmtpPolicy | None
    ) -> None:
        guarded = webhook(smtp_security_policy_id="pol_1")
        verdict = decide_recipient(guarded, None, found, ANYBODY)
        assert verdict == Defer(Reason.POLICY_MISSING)


GUARDED = webhook(smtp_security_policy_id="pol_1")


def decide(policy: SmtpPolicy, client: Client) -> Verdict:
    return decide_recipient(GUARDED, None, policy, client)


class TestSourceNetworks:
    FROM_ELSEWHERE = Reject(Reason.SOURCE_NOT_ALLOWED)
    OFFICES = ("192.0.2.0/24", "198.51.100.7/32", "2001:db8:1::/48")

    @pytest.mark.parametrize(
        ("remote_ip", "verdict"),
        [
            ("192.0.2.0", ACCEPT),
            ("192.0.2.255", ACCEPT),
            ("192.0.3.0", FROM_ELSEWHERE),
            ("198.51.100.7", ACCEPT),
            ("198.51.100.8", FROM_ELSEWHERE),
            ("::ffff:192.0.2.9", ACCEPT),
            ("::ffff:192.0.3.9", FROM_ELSEWHERE),
            ("::192.0.2.9", FROM_ELSEWHERE),
            ("64:ff9b::192.0.2.9", FROM_ELSEWHERE),
            ("2001:db8:1:ffff::1", ACCEPT),
            ("2001:db8:2::1", FROM_ELSEWHERE),
            ("fe80::1%eth0", FROM_ELSEWHERE),
            ("", FROM_ELSEWHERE),
            ("localhost", FROM_ELSEWHERE),
        ],
    )
    def test_only_clients_within_them_are_let_in(self, remote_ip: str, verdict: Verdict) -> None:
        assert decide(policy(source_networks=self.OFFICES), Client(remote_ip)) == verdict

    def test_all_of_ipv6_has_no_ipv4_client_in_it(self) -> None:
        all_of_ipv6 = policy(source_networks=(ip_network("::/0"),))
        assert decide(all_of_ipv6, Client("::ffff:192.0.2.1")) == self.FROM_ELSEWHERE

    @pytest.mark.parametrize("remote_ip", ["192.0.2.1", "2001:db8::1", ""])
    def test_none_stand_for_any(self, remote_ip: str) -> None:
        assert decide(policy(), Client(remote_ip)) == ACCEPT

    def test_they_go_before_authentication(self) -> None:
        both = policy(source_networks=self.OFFICES, require_smtp_auth=True)
        assert decide(both, Client("203.0.113.1")) == self.FROM_ELSEWHERE


class TestAuthentication:
    STRANGER = Reject(Reason.AUTH_REQUIRED)
    SOMEBODY_ELSE = Reject(Reason.AUTH_NOT_ALLOWED)
    ALICE = (Credential(username="alice", password_hash="h"),)
    HERS, ANOTHER, BOTH = (frozenset(ids.split()) for ids in ("pol_1", "pol_2", "pol_1 pol_2"))

    @pytest.mark.parametrize(
        ("username", "satisfied", "verdict"),
        [
            (None, frozenset(), STRANGER),
            ("alice", HERS, ACCEPT),
            ("alice", BOTH, ACCEPT),
            ("alice", ANOTHER, SOMEBODY_ELSE),
            ("alice", frozenset(), SOMEBODY_ELSE),
            ("bob", HERS, SOMEBODY_ELSE),
        ],
    )
    def test_where_it_is_required(
        self, username: str | None, satisfied: frozenset[str], verdict: Verdict
    ) -> None:
        guarded = policy(require_smtp_auth=True, credentials=self.ALICE)
        client = Client(authenticated_as=username, satisfied=satisfied)
        assert decide(guarded, client) == verdict

    @pytest.mark.parametrize(("username", "satisfied"), [(None, frozenset()), ("bob", ANOTHER)])
    def test_where_it_is_not_required_anybody_may_come(
        self, username: str | None, satisfied: frozenset[str]
    ) -> None:
        open_to_all = policy(credentials=self.ALICE)
        client = Client(authenticated_as=username, satisfied=satisfied)
        assert decide(open_to_all, client) == ACCEPT

    @pytest.mark.parametrize(
        ("found", "satisfied", "told"),
        [
            (GUARDED, HERS, "alice"),
            (GUARDED, BOTH, "alice"),
            (GUARDED, ANOTHER, None),
            (webhook(), HERS, None),
            (webhook(), frozenset(), None),
        ],
    )
    def test_a_webhook_is_told_of_users_of_its_own_policy(
        self, found: Webhook, satisfied: frozenset[str], told: str | None
    ) -> None:
        assert user_for(found, Client(authenticated_as="alice", satisfied=satisfied)) == told


SPF = policy(require_spf=True)
SPF_OF_TWO = policy(require_spf=True, spf_domains=("a.example", "b.example"))
SPF_OF_TWO_TURNED = policy(id="pol_2", require_spf=True, spf_domains=("b.example", "a.example"))
DKIM = policy(require_dkim=True)
DKIM_OF_ONE = policy(require_dkim=True, dkim_domains=("a.example",))
WITH_UNUSED_DOMAINS = policy(spf_domains=("a.example",), dkim_domains=("a.example",))
OTHER_IN_EARLIER_MATTERS = policy(
    id="pol_2", source_networks=("192.0.2.0/24",), require_smtp_auth=True
)
SYNC = DeliveryMode.SYNC
SYNC_THEN_QUEUED = DeliveryMode.SYNC_THEN_QUEUED


def rules(
    policy: SmtpPolicy | None = None, mode: DeliveryMode = DeliveryMode.QUEUED, of: str = ID
) -> DataRules:
    return rules_of(webhook(id=of, delivery_mode=mode), policy)


class TestFurtherRecipients:
    TOGETHER = ACCEPT
    APART = Defer(Reason.OTHER_DECISION)
    ANOTHER = "wh_01arz3ndektsv4rrffq69g5faw"

    @pytest.mark.parametrize(
        ("first", "further", "verdict"),
        [
            (rules(), rules(of=ANOTHER), TOGETHER),
            (rules(), rules(WITH_UNUSED_DOMAINS), TOGETHER),
            (rules(), rules(OTHER_IN_EARLIER_MATTERS), TOGETHER),
            (rules(SPF), rules(SPF, of=ANOTHER), TOGETHER),
            (rules(SPF_OF_TWO), rules(SPF_OF_TWO_TURNED, of=ANOTHER), TOGETHER),
            (rules(), rules(SPF), APART),
            (rules(SPF), rules(SPF_OF_TWO), APART),
            (rules(SPF), rules(DKIM), APART),
            (rules(DKIM), rules(DKIM_OF_ONE), APART),
            (rules(mode=SYNC), rules(mode=SYNC), TOGETHER),
            (rules(mode=SYNC), rules(mode=SYNC, of=ANOTHER), APART),
            (rules(mode=SYNC), rules(), APART),
            (rules(mode=SYNC), rules(of=ANOTHER), APART),
            (rules(mode=SYNC_THEN_QUEUED), rules(of=ANOTHER), APART),
            (rules(mode=SYNC_THEN_QUEUED), rules(mode=SYNC), APART),
            (rules(SPF, SYNC), rules(SPF, SYNC), TOGETHER),
            (rules(SPF, SYNC), rules(mode=SYNC), APART),
        ],
    )
    def test_share_a_mail_only_when_it_is_decided_by_the_same_rules(
        self, first: DataRules, further: DataRules, verdict: Verdict
    ) -> None:
        assert decide_further(first, further) == verdict
        assert decide_further(further, first) == verdict


def spf(status: SpfStatus, domain: str = "a.example") -> Spf:
    return Spf(status, SpfScope.MAIL_FROM, domain)


def dkim(status: DkimStatus, domain: str = "a.example") -> Dkim:
    return Dkim(status, domain, "s1", "rsa-sha256")


def results(of_spf: Spf, *of_dkim: Dkim) -> AuthResults:
    return AuthResults(of_spf, of_dkim, Dmarc(DmarcStatus.FAIL, ""), Arc(ArcStatus.FAIL))


NO_SPF = spf(SpfStatus.NONE)
MAIL = b"Subject: x\r\n\r\nx\r\n"
HOP = b"Received: from a by b; Sat, 1 Jan 2028 00:00:00 +0000\r\n"
FOLDED_HOP = b"received : from a\r\n\tby b\r\n Received: not this\r\n"
DNS_AWAY = Defer(Reason.DNS_FAILURE)
LOOP = Reject(Reason.MAIL_LOOP)


class TestLoops:
    @pytest.mark.parametrize(
        ("raw", "verdict"),
        [
            (b"", ACCEPT),
            (b"\r\n", ACCEPT),
            (b"\xff\x00", ACCEPT),
            (HOP * (LOOP_HOPS - 1) + b"\r\nx", ACCEPT),
            (HOP * LOOP_HOPS + b"\r\nx", LOOP),
            (FOLDED_HOP * (LOOP_HOPS - 1) + b"\r\nx", ACCEPT),
            (FOLDED_HOP * LOOP_HOPS + b"\r\nx", LOOP),
            (b"Subject: x\r\n\r\n" + HOP * LOOP_HOPS, ACCEPT),
        ],
    )
    def test_are_cut_at_a_hundred_hops(self, raw: bytes, verdict: Verdict) -> None:
        assert decide_message(raw, None, rules()) == verdict

    @pytest.mark.parametrize("found", [None, results(spf(SpfStatus.FAIL))])
    def test_are_told_before_anything_else(self, found: AuthResults | None) -> None:
        assert decide_message(HOP * LOOP_HOPS, found, rules(SPF)) == LOOP


class TestSpf:
    NOT_PASSED = Reject(Reason.SPF_NOT_PASSED)
    NOT_ALLOWED = Reject(Reason.SPF_DOMAIN_NOT_ALLOWED)

    @pytest.mark.parametrize(
        ("status", "verdict"),
        [
            (SpfStatus.PASS, ACCEPT),
            (SpfStatus.NONE, NOT_PASSED),
            (SpfStatus.NEUTRAL, NOT_PASSED),
            (SpfStatus.FAIL, NOT_PASSED),
            (SpfStatus.SOFTFAIL, NOT_PASSED),
            (SpfStatus.PERMERROR, NOT_PASSED),
            (SpfStatus.TEMPERROR, DNS_AWAY),
        ],
    )
    def test_only_a_pass_gets_through(self, status: SpfStatus, verdict: Verdict) -> None:
        assert decide_message(MAIL, results(spf(status)), rules(SPF)) == verdict

    @pytest.mark.parametrize(
        ("status", "domain", "verdict"),
        [
            (SpfStatus.PASS, "a.example", ACCEPT),
            (SpfStatus.PASS, "b.example", ACCEPT),
            (SpfStatus.PASS, "c.example", NOT_ALLOWED),
            (SpfStatus.PASS, "mail.a.example", NOT_ALLOWED),
            (SpfStatus.PASS, "xa.example", NOT_ALLOWED),
            (SpfStatus.PASS, "example", NOT_ALLOWED),
            (SpfStatus.PASS, "", NOT_ALLOWED),
            (SpfStatus.FAIL, "a.example", NOT_PASSED),
            (SpfStatus.FAIL, "c.example", NOT_PASSED),
            (SpfStatus.TEMPERROR, "c.example", DNS_AWAY),
        ],
    )
    def test_of_an_allowed_domain(self, status: SpfStatus, domain: str, verdict: Verdict) -> None:
        assert decide_message(MAIL, results(spf(status, domain)), rules(SPF_OF_TWO)) == verdict

    def test_of_a_domain_outside_ascii(self) -> None:
        allowed = rules(policy(require_spf=True, spf_domains=("xn--bcher-kva.example",)))
        found = results(spf(SpfStatus.PASS, "xn--bcher-kva.example"))
        assert decide_message(MAIL, found, allowed) == ACCEPT


class TestDkim:
    NOT_PASSED = Reject(Reason.DKIM_NOT_PASSED)
    NOT_ALLOWED = Reject(Reason.DKIM_DOMAIN_NOT_ALLOWED)
    PASS, FAIL, WEAK = dkim(DkimStatus.PASS), dkim(DkimStatus.FAIL), dkim(DkimStatus.POLICY)
    TEMPERROR = dkim(DkimStatus.TEMPERROR)
    OTHER_PASS = dkim(DkimStatus.PASS, "c.example")
    OTHER_TEMPERROR = dkim(DkimStatus.TEMPERROR, "c.example")
    BELOW = dkim(DkimStatus.PASS, "mail.a.example")
    UNNAMED_PASS, UNNAMED_TEMPERROR = dkim(DkimStatus.PASS, ""), dkim(DkimStatus.TEMPERROR, "")

    @pytest.mark.parametrize(
        ("signatures", "verdict"),
        [
            ((), NOT_PASSED),
            ((PASS,), ACCEPT),
            ((FAIL,), NOT_PASSED),
            ((WEAK,), NOT_PASSED),
            ((dkim(DkimStatus.NEUTRAL),), NOT_PASSED),
            ((dkim(DkimStatus.PERMERROR),), NOT_PASSED),
            ((TEMPERROR,), DNS_AWAY),
            ((FAIL, PASS), ACCEPT),
            ((TEMPERROR, PASS), ACCEPT),
            ((TEMPERROR, FAIL), DNS_AWAY),
        ],
    )
    def test_one_valid_signature_will_do(
        self, signatures: tuple[Dkim, ...], verdict: Verdict
    ) -> None:
        assert decide_message(MAIL, results(NO_SPF, *signatures), rules(DKIM)) == verdict

    @pytest.mark.parametrize(
        ("signatures", "verdict"),
        [
            ((), NOT_PASSED),
            ((PASS,), ACCEPT),
            ((OTHER_PASS, PASS), ACCEPT),
            ((OTHER_TEMPERROR, PASS), ACCEPT),
            ((OTHER_PASS,), NOT_ALLOWED),
            ((BELOW,), NOT_ALLOWED),
            ((UNNAMED_PASS,), NOT_ALLOWED),
            ((OTHER_PASS, FAIL), NOT_ALLOWED),
            ((OTHER_PASS, TEMPERROR), DNS_AWAY),
            ((OTHER_PASS, OTHER_TEMPERROR), NOT_ALLOWED),
            ((OTHER_PASS, UNNAMED_TEMPERROR), DNS_AWAY),
            ((FAIL,), NOT_PASSED),
            ((FAIL, OTHER_TEMPERROR), NOT_PASSED),
            ((FAIL, TEMPERROR), DNS_AWAY),
        ],
    )
    def test_of_an_allowed_domain(self, signatures: tuple[Dkim, ...], verdict: Verdict) -> None:
        assert decide_message(MAIL, results(NO_SPF, *signatures), rules(DKIM_OF_ONE)) == verdict


class TestBoth:
    BOTH = rules(policy(require_spf=True, require_dkim=True))
    GOOD_SPF, BAD_SPF, LATE_SPF = map(spf, (SpfStatus.PASS, SpfStatus.FAIL, SpfStatus.TEMPERROR))
    GOOD_DKIM, BAD_DKIM, LATE_DKIM = map(
        dkim, (DkimStatus.PASS, DkimStatus.FAIL, DkimStatus.TEMPERROR)
    )
    SPF_FAILED, DKIM_FAILED = Reject(Reason.SPF_NOT_PASSED), Reject(Reason.DKIM_NOT_PASSED)

    @pytest.mark.parametrize(
        ("of_spf", "of_dkim", "verdict"),
        [
            (GOOD_SPF, GOOD_DKIM, ACCEPT),
            (GOOD_SPF, BAD_DKIM, DKIM_FAILED),
            (GOOD_SPF, LATE_DKIM, DNS_AWAY),
            (BAD_SPF, GOOD_DKIM, SPF_FAILED),
            (BAD_SPF, BAD_DKIM, SPF_FAILED),
            (BAD_SPF, LATE_DKIM, SPF_FAILED),
            (LATE_SPF, GOOD_DKIM, DNS_AWAY),
            (LATE_SPF, BAD_DKIM, DKIM_FAILED),
            (LATE_SPF, LATE_DKIM, DNS_AWAY),
        ],
    )
    def test_are_needed_and_what_is_final_is_told_first(
        self, of_spf: Spf, of_dkim: Dkim, verdict: Verdict
    ) -> None:
        assert decide_message(MAIL, results(of_spf, of_dkim), self.BOTH) == verdict


class TestResults:
    NOTHING_GOOD = results(spf(SpfStatus.FAIL), dkim(DkimStatus.FAIL))

    @pytest.mark.parametrize("nothing_asked", [rules(), rules(WITH_UNUSED_DOMAINS)])
    @pytest.mark.parametrize("found", [None, NOTHING_GOOD])
    def test_decide_nothing_where_they_are_not_asked_for(
        self, found: AuthResults | None, nothing_asked: DataRules
    ) -> None:
        assert not nothing_asked.ask_for_results
        assert decide_message(MAIL, found, nothing_asked) == ACCEPT

    @pytest.mark.parametrize("asked", [rules(SPF), rules(DKIM), rules(DKIM_OF_ONE)])
    def test_that_are_missing_let_nothing_through(self, asked: DataRules) -> None:
        assert asked.ask_for_results
        assert decide_message(MAIL, None, asked) == DNS_AWAY
