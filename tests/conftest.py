"""Fixtures that all tests share, and how they look for examples."""

from hypothesis import settings

pytest_plugins = [
    "tests.support.dns",
    "tests.support.infrastructure",
]

# How long an example takes says more about what else the machine does.
settings.register_profile("conduit", deadline=None)
settings.load_profile("conduit")
