"""The public suffix list: under which names anybody may register one (publicsuffix.org).

The list comes with its library, so that nothing is fetched. It takes 60 ms and 2 MB to load, once a
process, and 4 µs to ask.
"""

from functools import cache

from publicsuffixlist import PublicSuffixList


@cache
def public_suffixes() -> PublicSuffixList:
    """Return the list with its private section, loaded at the first call.

    The names of the private section, such as `github.io`, belong to one registrant whose customers
    have the names below them: what holds of one customer must not hold of another.
    """
    return PublicSuffixList()
