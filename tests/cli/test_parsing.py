"""Durations, TTLs and lease IDs on the command line."""

from __future__ import annotations

import pytest

from etcdnaming.cli.parsing import parse_duration, parse_lease, parse_timeout, parse_ttl


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("5", 5),
        ("2.5", 2.5),
        (".5", 0.5),
        ("+5", 5),
        ("5s", 5),
        ("500ms", 0.5),
        ("1m30s", 90),
        ("1h1m1.5s", 3661.5),
        (".5s", 0.5),
        ("5.s", 5),
        ("+5s", 5),
        ("1000us", 0.001),
        ("1000\u00b5s", 0.001),
        ("1000\u03bcs", 0.001),
        ("1000000ns", 0.001),
    ],
)
def test_duration_has_units_of_go_or_is_bare_seconds(text: str, seconds: float) -> None:
    """Go, and so etcdctl, refuses a bare number, so it can be read as seconds here."""
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text",
    [
        *("", "-5s", "-5", "s", ".", ".s", "5 s", "5s ", "5x", "1m5", "51m5", "1e3", "1e3s"),
        *("5s\n", "5\n", "\u0665", "\u0665s", "1_0", "inf", "nan", "0x5"),
    ],
)
def test_duration_is_refused_when_it_is_invalid(text: str) -> None:
    """For example, a number without a unit may not follow one that has a unit."""
    with pytest.raises(ValueError, match=r"is not a duration such as 500ms, 5s or 1m30s$"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["2562048h", "9223372037s", "9223372037", f"{'9' * 400}s"])
def test_duration_is_refused_above_the_maximum_of_go(text: str) -> None:
    """No program could wait longer either."""
    with pytest.raises(ValueError, match=r"is longer than the maximum duration of 292 years$"):
        parse_duration(text)
    assert parse_duration("2562047h") == 2562047 * 3600


def test_timeout_is_refused_when_it_is_zero() -> None:
    """In some programs 0 means no timeout, in others an immediate one."""
    with pytest.raises(ValueError, match=r"^a timeout must be more than 0$"):
        parse_timeout("0s")


@pytest.mark.parametrize(("text", "seconds"), [("1", 1), ("30", 30), ("1m30s", 90), ("1000ms", 1)])
def test_ttl_may_be_bare_seconds_or_a_duration(text: str, seconds: int) -> None:
    """etcdctl accepts only bare seconds."""
    assert parse_ttl(text) == seconds


@pytest.mark.parametrize("text", ["0", "0s", "1500ms", "9000000001"])
def test_ttl_is_refused_unless_it_is_whole_seconds(text: str) -> None:
    """It is also limited to the maximum of etcd."""
    with pytest.raises(
        ValueError, match=r"^a TTL is a whole number of seconds from 1 to 9000000000$"
    ):
        parse_ttl(text)


@pytest.mark.parametrize(("text", "lease"), [("0", 0), ("1f", 31), ("7fffffffffffffff", 2**63 - 1)])
def test_lease_id_is_hexadecimal(text: str, lease: int) -> None:
    """etcdctl prints lease IDs in the same form."""
    assert parse_lease(text) == lease


@pytest.mark.parametrize("text", ["", "x", "-1", "0x1f", "1_0", " 1", "8000000000000000", "\u0661"])
def test_lease_id_is_refused_when_it_is_invalid(text: str) -> None:
    """Lease IDs of etcd have 63 bits."""
    with pytest.raises(ValueError, match=r"is not a lease ID \(hex\)"):
        parse_lease(text)
