"""Loopback addresses of one's own."""

import random


def own_address() -> str:
    """Return a loopback address that hardly anybody else in any test has at this time.

    A port of 127.0.0.1 that a test has closed may be the next test's, and calls that are tried
    again for long would come to the wrong one.
    """
    second, third, fourth = random.randint(64, 254), random.randint(0, 255), random.randint(1, 254)
    return f"127.{second}.{third}.{fourth}"
