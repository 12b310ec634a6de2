"""Conduit's exceptions, told apart once, where they arise.

ConduitError
├── SettingsError         a setting is missing or wrong; the service does not start
├── Unavailable           transient: try again later
│   ├── BrokerUnavailable
│   │   └── NoAnswer      the request was taken, but its deadline passed without an answer
│   ├── StoreUnavailable
│   └── TemporaryDnsFailure
├── DuplicateKey          the store holds another document under this unique key
├── VersionConflict       the document was changed or removed since it was read
├── MalformedEvent        what came over the bus cannot be read, now or later
└── UnknownEventVersion   made by a newer Conduit; a newer replica can read it
"""


class ConduitError(Exception):
    """Base of everything that Conduit raises on purpose."""


class SettingsError(ConduitError):
    """A setting is missing or wrong; the text says which and how to mend it."""


class Unavailable(ConduitError):
    """A neighbour does not answer; the same call may go through later."""


class BrokerUnavailable(Unavailable):
    """RabbitMQ did not confirm in time, so nothing may be taken for granted."""


class NoAnswer(BrokerUnavailable):
    """RabbitMQ has the request, but nobody answered it in time."""


class StoreUnavailable(Unavailable):
    """MongoDB did not answer in time."""


class TemporaryDnsFailure(Unavailable):
    """DNS gave no answer (timeout, SERVFAIL, no server): one may come later."""


class DuplicateKey(ConduitError):
    """A unique index refused the document."""


class VersionConflict(ConduitError):
    """Optimistic locking: read the document again and repeat the change."""


class MalformedEvent(ConduitError):
    """A message on the bus is not one of ours, or is damaged."""


class UnknownEventVersion(ConduitError):
    """A message on the bus was made by a newer version of Conduit."""
