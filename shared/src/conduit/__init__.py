"""What Conduit's services share: the model, the bus, the store, and the pure parts between them.

Imports point one way:
model ← events ← {mail, webhook, security} ← {bus, store, telemetry} ← services.
"""

from importlib.metadata import version

__version__ = version("conduit-shared")
