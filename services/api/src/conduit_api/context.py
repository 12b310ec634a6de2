"""What the handlers of all operations work with, made once by `app.compose`."""

from dataclasses import dataclass

from conduit.security.passwords import PasswordHasher
from conduit.security.secrets import SecretBox
from conduit.security.tokens import AccessTokens
from conduit.store.accounts import Accounts
from conduit.store.delivery_logs import DeliveryLogs
from conduit.store.domains import Domains
from conduit.store.sessions import Sessions
from conduit.store.webhooks import Webhooks
from conduit_api.domain_checks import DomainChecks
from conduit_api.settings import ApiSettings
from conduit_api.throttle import Throttles


@dataclass(frozen=True, slots=True)
class Context:
    """The service's settings, collections, secrets and limits."""

    settings: ApiSettings
    accounts: Accounts
    sessions: Sessions
    webhooks: Webhooks
    domains: Domains
    logs: DeliveryLogs
    box: SecretBox
    passwords: PasswordHasher
    tokens: AccessTokens
    throttles: Throttles
    domain_checks: DomainChecks
