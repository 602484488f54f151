"""The simple format: lines that shell scripts can split, and parse back."""

from __future__ import annotations

import json
import re

import pytest
from cli.output.samples import EVERYTHING, HEADER, RESULT, printed, stored
from hypothesis import given
from hypothesis import strategies as st

from etcdnaming import keys
from etcdnaming.cli import update_file
from etcdnaming.model import JSON, Condition, Endpoint, Listing, Update

METADATA = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
KEYS = st.binary(min_size=1).map(keys.decode) | st.text(min_size=1)

LINES = [
    'foo/svc/e1\t10.0.0.1:80\t{"weight":1,"zone":"a"}',
    "foo/svc/e2\t10.0.0.2:80\tnull",
]


@pytest.mark.parametrize(
    ("what", "lines"),
    [
        ("added", ["OK", 'foo/svc/e1\t10.0.0.1:80\t{"weight":1,"zone":"a"}']),
        ("deleted", ["2", 'foo/svc/e1\t10.0.0.1:80\t{"weight":1,"zone":"a"}']),
        ("listing", LINES),
        ("addrs", ["10.0.0.1:80", "10.0.0.2:80"]),
        ("keys", ["foo/svc/e1"]),
        ("count", ["3"]),
        ("services", ["foo/svc\t3", "foo/web\t1"]),
        ("changed", ["OK", *LINES]),
        ("found", LINES),
        (
            "got",
            [
                *("KEY\tfoo/svc/e1", "ADDR\t10.0.0.1:80"),
                *('METADATA\t{"weight":1,"zone":"a"}', "LEASE\t7ffaa20539177e6e"),
                *("TTL\t9s of 10s", "CREATE REVISION\t70", "MOD REVISION\t72", "VERSION\t2"),
                *("DIALABLE\tyes", ""),
                *("KEY\tfoo/svc/e2", "ADDR\t10.0.0.2:80", "METADATA\tnull", "LEASE\t-", "TTL\t-"),
                *("CREATE REVISION\t70", "MOD REVISION\t72", "VERSION\t2"),
                *("DIALABLE\tno: the address '10.0.0.2' has no port", ""),
                *("KEY\tfoo/svc/e3", "NOT AN ENDPOINT\tit is not JSON", "VALUE\t\\xff{"),
                *("LEASE\t7ffaa20539177e6e", "MOD REVISION\t73"),
            ],
        ),
        (
            "checked",
            [
                "foo/svc/e1\t10.0.0.1:80\tSERVING\t12.3ms",
                "foo/svc/e2\t10.0.0.2:80\tUNREACHABLE\t-\tconnection refused",
            ],
        ),
        (
            "status",
            [
                (
                    "127.0.0.1:2379\t8e9e\t3.5.1\tleader\t74\t2\t20 kB\t-\t1.2ms\troot\tTLSv1.3"
                    "\t2027-01-01"
                ),
                "127.0.0.1:2380" + "\t-" * 11 + "\tconnection refused",
            ],
        ),
        ("transaction", ["SUCCESS"]),
        ("failure", ["FAILURE"]),
        (
            "plan",
            [
                "# if foo/svc/e1 is absent",
                "# if foo/e2 exists",
                "# if foo/e3 has mod_revision 7",
                'add foo/svc/e1 10.0.0.9:80 {"zone":"b"}',
                "# with lease 7ffaa20539177e6e",
                "add foo/svc/e2 10.0.0.2:80 null",
                "del foo/svc/e3",
                "# with no lease",
                'add foo/svc/e4 10.0.0.4:80 "new"',
            ],
        ),
        (
            "differences",
            [
                '-\tfoo/svc/e1\t10.0.0.1:80\t{"weight":1,"zone":"a"}',
                '+\tfoo/svc/e1\t10.0.0.9:80\t{"zone":"b"}',
                "-\tfoo/svc/e2\t10.0.0.2:80\tnull",
                '+\tfoo/svc/e4\t10.0.0.4:80\t"new"',
                "-\tfoo/svc/e3\t\t",
            ],
        ),
        (
            "export",
            [
                'add foo/svc/e1 10.0.0.1:80 {"weight":1,"zone":"a"}',
                "add foo/svc/e2 10.0.0.2:80 null",
                "# not an endpoint: foo/svc/e3: it is not JSON",
            ]
            * 2,
        ),
        ("version", ["etcdnaming\t1.0", "Python\t3.11.7"]),
    ],
)
def test_simple_format_prints_each_kind_of_result(what: str, lines: list[str]) -> None:
    """The output is only the result, in whole lines."""
    assert printed("simple", EVERYTHING[what]) == "".join(f"{line}\n" for line in lines)


def test_simple_format_omits_the_previous_value_unless_requested() -> None:
    """A script can compare the whole output with one word."""
    assert printed("simple", lambda to: to.transaction([RESULT, RESULT])) == ("SUCCESS\n")


@given(KEYS, KEYS, METADATA)
def test_simple_format_line_can_be_split_into_its_columns(
    key: str, addr: str, metadata: JSON
) -> None:
    """Keys and addresses may have any characters; the metadata is valid JSON."""
    listing = Listing(HEADER, "svc", [stored(key, addr, metadata)], [], 1, more=False)

    line = printed("simple", lambda to: to.listing(listing, {}))

    columns = line.removesuffix("\n").split("\t")
    assert [keys.decode(_unescaped(column)) for column in columns[:2]] == [key, addr]
    assert json.loads(columns[2]) == metadata


@given(KEYS, KEYS, METADATA)
def test_simple_format_of_a_dry_run_is_a_valid_update_file(
    key: str, addr: str, metadata: JSON
) -> None:
    """Parsing it returns the same updates."""
    updates = (Update.add(key, Endpoint(addr, metadata)), Update.delete(key))

    plan = printed("simple", lambda to: to.plan(updates, [Condition(key, 0)]))

    assert update_file.parse(plan.encode(), "plan", check=lambda _: None) == updates


def test_simple_format_prints_a_condition_on_one_line() -> None:
    """A key with a line end must not become an update."""
    plan = printed("simple", lambda to: to.plan([], [Condition("svc/e1\ndel svc/e2", 0)]))

    assert plan == "# if svc/e1\\ndel svc/e2 is absent\n"


def _unescaped(text: str) -> bytes:
    named = {b"t": b"\t", b"n": b"\n", b"r": b"\r", b"\\": b"\\"}
    return re.sub(
        rb"\\(?:x(..)|(.))",
        lambda match: bytes.fromhex(match[1].decode()) if match[1] else named[match[2]],
        text.encode(),
    )
