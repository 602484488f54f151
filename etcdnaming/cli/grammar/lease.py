"""What people say of leases: ids in hex, as etcdctl prints them, and times to live."""

from __future__ import annotations

import re

from .durations import parse_duration

__all__ = ["parse_lease", "parse_ttl"]

MAX_TTL = 9_000_000_000
"""Seconds. etcd grants no more."""


def parse_lease(text: str) -> int:
    """
    Return the id of a lease. 0 is none.

    >>> parse_lease("7ffaa20539177e6e")
    9221861330310889070
    """
    if not re.fullmatch("[0-9a-fA-F]{1,16}", text) or int(text, 16) >= 1 << 63:
        raise ValueError(f"{text!r} is not the id of a lease, such as 7ffaa20539177e6e")
    return int(text, 16)


def parse_ttl(text: str) -> int:
    """
    Return the whole seconds that *text* stands for.

    >>> parse_ttl("30"), parse_ttl("1m30s")
    (30, 90)
    """
    seconds = parse_duration(text)
    if not (seconds.is_integer() and 1 <= seconds <= MAX_TTL):
        raise ValueError(f"a TTL is a whole number of seconds from 1 to {MAX_TTL}")
    return int(seconds)
