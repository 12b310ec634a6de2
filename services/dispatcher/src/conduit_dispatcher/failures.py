"""Why a call has no answer: each failure's text is for the webhook's owner, and holds no internals.

CallFailed
├── InvalidCall       the target, or a header, cannot be sent; it never will be
├── EgressDenied      the endpoint's address is on a network that may not be called
├── ProxyFailed       the egress proxy makes no connections
├── ProxyRefused      the egress proxy makes none to this address
├── Unconnected       the endpoint has no address, or cannot be connected to
└── NotHttp           what the endpoint answered is no answer
"""


class CallFailed(Exception):
    """There is no answer."""


class InvalidCall(CallFailed):
    """The call cannot be made as it is."""


class EgressDenied(CallFailed):
    """The endpoint's address is on a network that may not be called."""


class ProxyFailed(CallFailed):
    """The egress proxy makes no connections."""


class ProxyRefused(CallFailed):
    """The egress proxy makes no connection to this address; another one may do."""


class Unconnected(CallFailed):
    """There is no connection to the endpoint."""


class NotHttp(CallFailed):
    """The endpoint does not answer as HTTP/1.1 has it."""
