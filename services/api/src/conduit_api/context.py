"""What the handlers of all operations work with, made once by `app.compose`."""

from dataclasses import dataclass

from conduit.security.attachment_links import AttachmentLinks
from conduit.security.passwords import PasswordHasher
from conduit.security.secrets import SecretBox
from conduit.security.smtp_passwords import SmtpPasswordHasher
from conduit.security.tokens import AccessTokens, Succession
from conduit.store.accounts import Accounts
from conduit.store.api_tokens import ApiTokens
from conduit.store.audit_log import AuditLog
from conduit.store.challenges import Challenges
from conduit.store.deliveries import Deliveries
from conduit.store.delivery_logs import DeliveryLogs
from conduit.store.domains import Domains
from conduit.store.endpoint_health import EndpointHealths
from conduit.store.mailed_tokens import MailedTokens
from conduit.store.messages import Messages
from conduit.store.notices import Notices
from conduit.store.sessions import Sessions
from conduit.store.smtp_policies import SmtpPolicies
from conduit.store.webhooks import Webhooks
from conduit_api.background import Background
from conduit_api.domain_checks import DomainChecks
from conduit_api.erasure import Erasure
from conduit_api.mailer import Mailer
from conduit_api.replays import Replays
from conduit_api.settings import ApiSettings
from conduit_api.simulations import Simulations
from conduit_api.throttle import Throttles


@dataclass(frozen=True, slots=True)
class Context:
    """The service's settings, collections, secrets and limits."""

    settings: ApiSettings
    accounts: Accounts
    sessions: Sessions
    challenges: Challenges
    password_resets: MailedTokens
    email_confirmations: MailedTokens
    api_tokens: ApiTokens
    webhooks: Webhooks
    healths: EndpointHealths
    notices: Notices
    policies: SmtpPolicies
    domains: Domains
    logs: DeliveryLogs
    deliveries: Deliveries
    messages: Messages
    audit_log: AuditLog
    box: SecretBox
    attachment_links: AttachmentLinks
    passwords: PasswordHasher
    smtp_passwords: SmtpPasswordHasher
    tokens: AccessTokens
    succession: Succession
    background: Background
    mailer: Mailer
    erasure: Erasure
    throttles: Throttles
    domain_checks: DomainChecks
    simulations: Simulations
    replays: Replays
