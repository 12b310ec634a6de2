"""Fixtures that all tests share."""

pytest_plugins = [
    "tests.support.dns",
    "tests.support.infrastructure",
]
