"""Spans of time: as Go writes them, as for etcdctl, or a bare number of seconds."""

from __future__ import annotations

import re

__all__ = ["parse_duration", "parse_timeout"]

_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}
_NUMBER = r"[0-9]+\.?[0-9]*|\.[0-9]+"
_PART = rf"({_NUMBER})(ns|us|µs|μs|ms|s|m|h)"
_DURATION = rf"\+?(?:(?P<bare>{_NUMBER})|(?:{_PART})+)"
_LONGEST = 2**63 // 10**9  # Go counts nanoseconds in 64 bits; nor can a thread wait longer


def parse_duration(text: str) -> float:
    """
    Return the seconds that *text* stands for.

    >>> parse_duration("1m30s"), parse_duration("500ms"), parse_duration("30")
    (90.0, 0.5, 30.0)
    """
    # Compiled when used: --help would pay for it too.
    found = re.fullmatch(_DURATION, text)
    if not found:
        raise ValueError(f"{text!r} is not a duration such as 500ms, 5s or 1m30s")
    parts = [(found["bare"], "s")] if found["bare"] else re.findall(_PART, text)
    seconds = float(sum(float(number) * _SECONDS[unit] for number, unit in parts))
    if seconds > _LONGEST:
        raise ValueError(f"{text!r} is longer than the 292 years that a duration may be")
    return seconds


def parse_timeout(text: str) -> float:
    """Return the seconds that *text* stands for, which can't be none."""
    seconds = parse_duration(text)
    if not seconds:
        raise ValueError("a timeout must be more than 0")
    return seconds
