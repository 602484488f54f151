"""The JSON format: the shape never changes, and values are preserved."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import pytest
from cli.output.samples import (
    DELETION,
    EVERYTHING,
    HEADER,
    RESULT,
    Printing,
    printed,
    stored,
)
from hypothesis import given
from hypothesis import strategies as st
from wire_documents import metadata

from etcdnaming import keys
from etcdnaming.cli import update_file
from etcdnaming.cli.output import json_objects as objects
from etcdnaming.model import (
    JSON,
    Change,
    ChangeBatch,
    Deletion,
    Endpoint,
    InvalidValue,
    Listing,
    Operation,
    Services,
    Update,
)

HEAD = {"cluster_id": "cdf8", "member_id": "8e9e", "revision": 74, "raft_term": 2}
E1 = {
    "key": "foo/svc/e1",
    "key_base64": None,
    "addr": "10.0.0.1:80",
    "metadata": {"weight": 1, "zone": "a"},
    "create_revision": 70,
    "mod_revision": 72,
    "version": 2,
    "lease": "7ffaa20539177e6e",
}
E2 = {**E1, "key": "foo/svc/e2", "addr": "10.0.0.2:80", "metadata": None, "lease": "0"}
INVALID = {
    "key": "foo/svc/e3",
    "key_base64": None,
    "reason": "it is not JSON",
    "value_base64": "/3s=",
    "mod_revision": 73,
}
ADD_E1 = {
    "op": "add",
    "key": "foo/svc/e1",
    "key_base64": None,
    "addr": "10.0.0.9:80",
    "metadata": {"zone": "b"},
    "lease": None,
    "prev": None,
}
ADD_E2 = {
    **ADD_E1,
    "key": "foo/svc/e2",
    "addr": "10.0.0.2:80",
    "metadata": None,
    "lease": "7ffaa20539177e6e",
}
DELETE_E3 = {**ADD_E1, "op": "delete", "key": "foo/svc/e3", "addr": None, "metadata": None}
ADD_E4 = {**ADD_E1, "key": "foo/svc/e4", "addr": "10.0.0.4:80", "metadata": "new", "lease": "0"}
UPDATES = [ADD_E1, ADD_E2, DELETE_E3, ADD_E4]
ABSENT = {
    "key": "foo/svc/e1",
    "key_base64": None,
    "condition": "absent",
    "mod_revision": None,
}

MEMBER = {
    "endpoint": "127.0.0.1:2379",
    "header": HEAD,
    "version": "3.5.1",
    "role": "leader",
    "user": "root",
    "tls": "TLSv1.3",
    "expires": "2027-01-01",
    "db_size": 20480,
    "errors": [],
    "seconds": 0.0012,
    "reason": None,
}
UNREACHABLE = {"endpoint": "127.0.0.1:2380", "errors": [], "reason": "connection refused"}


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        (
            "added",
            {
                "header": HEAD,
                "endpoint": {
                    "key": "foo/svc/e1",
                    "key_base64": None,
                    "addr": "10.0.0.9:80",
                    "metadata": {"zone": "b"},
                    "lease": None,
                },
                "prev": E1,
            },
        ),
        ("deleted", {"header": HEAD, "deleted": 2, "prev": [E1, INVALID]}),
        (
            "listing",
            {
                "header": HEAD,
                "target": "foo/svc",
                "count": 3,
                "more": False,
                "endpoints": [E1, E2],
                "invalid": [INVALID],
            },
        ),
        (
            "addrs",
            {
                "header": HEAD,
                "target": "foo/svc",
                "count": 3,
                "more": False,
                "addrs": ["10.0.0.1:80", "10.0.0.2:80"],
                "invalid": [INVALID],
            },
        ),
        (
            "keys",
            {
                "header": HEAD,
                "target": "foo/svc",
                "count": 3,
                "more": True,
                "keys": [{name: E1[name] for name in E1 if name not in ("addr", "metadata")}],
            },
        ),
        ("count", {"header": HEAD, "target": "foo/svc", "count": 3}),
        (
            "services",
            {
                "header": HEAD,
                "prefix": "foo",
                "services": [
                    {"target": "foo/svc", "target_base64": None, "count": 3},
                    {"target": "foo/web", "target_base64": None, "count": 1},
                ],
                "others": 0,
            },
        ),
        (
            "changed",
            {
                "header": HEAD,
                "endpoints": [
                    {name: value for name, value in each.items() if name not in ("op", "prev")}
                    for each in UPDATES
                ],
                "prev": [E1, E2, INVALID],
            },
        ),
        ("found", {"target": "foo/svc", "revision": 74, "count": 2, "endpoints": [E1, E2]}),
        (
            "got",
            {
                "header": HEAD,
                "endpoints": [
                    {**E1, "granted_ttl": 10, "ttl": 9, "dialable": True, "fault": None},
                    {
                        **E2,
                        "granted_ttl": None,
                        "ttl": None,
                        "dialable": False,
                        "fault": "the address '10.0.0.2' has no port",
                    },
                ],
                "invalid": [INVALID],
                "missing": [{"key": "foo/svc/e9", "key_base64": None}],
            },
        ),
        (
            "checked",
            {
                "header": HEAD,
                "target": "foo/svc",
                "serving": 1,
                "count": 2,
                "endpoints": [
                    {**E1, "status": "SERVING", "seconds": 0.0123, "reason": None},
                    {
                        **E2,
                        "status": "UNREACHABLE",
                        "seconds": None,
                        "reason": "connection refused",
                    },
                ],
                "invalid": [INVALID],
            },
        ),
        ("status", {"members": [MEMBER, {**dict.fromkeys(MEMBER), **UNREACHABLE}]}),
        (
            "transaction",
            {
                "header": HEAD,
                "succeeded": True,
                "updates": UPDATES,
                "failed": [],
            },
        ),
        (
            "failure",
            {"header": HEAD, "succeeded": False, "updates": UPDATES, "failed": [ABSENT]},
        ),
        (
            "plan",
            {
                "dry_run": True,
                "updates": UPDATES,
                "conditions": [
                    ABSENT,
                    {**ABSENT, "key": "foo/e2", "condition": "exists"},
                    {**ABSENT, "key": "foo/e3", "condition": "mod_revision", "mod_revision": 7},
                ],
            },
        ),
        (
            "differences",
            {
                "header": HEAD,
                "target": "foo/svc",
                "dry_run": True,
                "added": 1,
                "changed": 1,
                "removed": 2,
                "unchanged": 1,
                "updates": [
                    {**ADD_E1, "prev": E1},
                    {**DELETE_E3, "key": "foo/svc/e2", "prev": E2},
                    {**ADD_E4, "lease": None},
                    {**DELETE_E3, "prev": INVALID},
                ],
                "kept": [E1, INVALID],
            },
        ),
        (
            "export",
            {
                "header": HEAD,
                "target": "foo/svc",
                "count": 3,
                "updates": [
                    {**ADD_E1, "addr": E1["addr"], "metadata": E1["metadata"]},
                    {**ADD_E2, "lease": None},
                ]
                * 2,
                "invalid": [INVALID] * 2,
            },
        ),
        ("version", {"etcdnaming": "1.0", "Python": "3.11.7"}),
    ],
)
def test_json_format_prints_each_kind_of_result_as_one_object(
    what: str, expected: dict[str, Any]
) -> None:
    """The object is on one line and always has all members, in the same order."""
    line = printed("json", EVERYTHING[what])

    text = re.sub(r'("seconds":0\.\d+?)0+(?=,)', r"\1", line)  # as Python writes it
    assert text == json.dumps(expected, separators=(",", ":")) + "\n"


def test_json_format_prints_one_object_for_each_transaction() -> None:
    """Each batch has its own revision; ``prev`` is null unless requested."""
    lines = printed("json", lambda to: to.transaction([RESULT, RESULT]))

    first, second = map(json.loads, lines.splitlines())
    assert first == second
    assert [update["prev"] for update in first["updates"]] == [None] * 4


@pytest.mark.parametrize(
    ("what", "members"),
    [
        (lambda to: to.deleted(DELETION, prev_kv=False), {"prev": []}),
        (lambda to: to.deleted(Deletion(HEADER, 0, []), prev_kv=True), {"deleted": 0, "prev": []}),
        (
            lambda to: to.listing(Listing(HEADER, "svc", [], [], 0, more=False), {}),
            {"count": 0, "endpoints": [], "invalid": []},
        ),
    ],
)
def test_json_format_prints_an_empty_list_when_there_are_no_elements(
    what: Printing, members: dict[str, Any]
) -> None:
    """The member is not left out."""
    assert members.items() <= json.loads(printed("json", what)).items()


def test_json_format_prints_numbers_in_metadata_as_go_does() -> None:
    """Integers of any size keep all digits."""
    metadata: JSON = {"big": 12345678901234567890123, "float": [1.0, 1e21, 1e-7]}
    listing = Listing(HEADER, "svc", [stored("svc/e", "a", metadata)], [], 1, more=False)

    assert '"metadata":{"big":12345678901234567890123,"float":[1,1e+21,1e-7]}' in printed(
        "json", lambda to: to.listing(listing, {})
    )


plain = st.text(st.characters(max_codepoint=0x7F))
flat = st.dictionaries(plain, plain | st.integers() | st.booleans() | st.none())
rows = st.lists(
    st.tuples(plain, plain, flat) | st.tuples(st.binary().map(keys.decode), st.text(), metadata),
    min_size=1,
    max_size=5,
)


@given(rows, st.integers(0, 2**63 - 1))
def test_json_format_writes_many_endpoints_as_it_writes_each_one(
    rows: list[tuple[str, str, Any]], lease: int
) -> None:
    """An endpoint with unusual text does not change how the others are written."""
    found = [stored(*row)._replace(lease=lease) for row in rows]

    assert "".join(objects.stored_endpoints(found)) == ",".join(map(objects.stored_endpoint, found))


@given(st.binary(), st.text(), st.binary(), st.text())
def test_json_format_preserves_keys_that_are_not_utf8(
    key: bytes, addr: str, value: bytes, reason: str
) -> None:
    """Invalid UTF-8 is printed as U+FFFD, with the raw key in base64 in a second member."""
    bad = InvalidValue(keys.decode(key), reason, value, 1, 0)
    listing = Listing(HEADER, "svc", [stored(keys.decode(key), addr, addr)], [bad], 2, more=False)

    found = json.loads(printed("json", lambda to: to.listing(listing, {})))

    (endpoint,), (invalid,) = found["endpoints"], found["invalid"]
    assert _raw(endpoint) == _raw(invalid) == key
    assert (endpoint["addr"], endpoint["metadata"], invalid["reason"]) == (addr, addr, reason)
    assert base64.b64decode(invalid["value_base64"]) == value


@given(st.binary(min_size=1).map(keys.decode), st.text(), st.sampled_from([None, 0, 0x1A]))
def test_json_format_of_a_dry_run_is_a_valid_update_file(
    key: str, addr: str, lease: int | None
) -> None:
    """The updates keep their leases."""
    updates = (Update.add(key, Endpoint(addr, addr), lease=lease), Update.delete(key))

    plan = json.loads(printed("json", lambda to: to.plan(updates, [])))

    file = json.dumps(plan["updates"]).encode()
    assert update_file.parse(file, "plan", check=lambda _: None) == updates


def test_json_format_of_a_watch_is_a_valid_update_file(capsys: pytest.CaptureFixture[str]) -> None:
    """The leases are those of the endpoints that were seen, so they are not asked for."""
    seen = stored("foo/svc/e1", "10.0.0.1:80", {"zone": "a"}, lease=7)
    bad = InvalidValue("foo/svc/e3", "it is not JSON", b"x", 73, 0)
    first = Change(Operation.ADD, seen.key, 72, seen.endpoint, 7, None)
    then = Change(Operation.DELETE, seen.key, 74, None, 0, seen)
    batches = [
        ChangeBatch(73, [first], [bad], first=True),
        ChangeBatch(74, [then], [], resync=True),
    ]
    lines = [line for batch in batches for line in objects.events(batch)]

    updates = update_file.parse("\n".join(lines).encode(), "FILE", check=lambda _: None)

    assert updates == (Update.add(seen.key, seen.endpoint), Update.delete(seen.key))
    assert capsys.readouterr().err == "Warning: FILE:2: left out: foo/svc/e3: it is not JSON\n"


def test_json_format_preserves_targets_that_are_not_utf8() -> None:
    """Such targets are found with `list --services`."""
    services = Services(HEADER, "foo", {"foo/\udcff": 1})

    found = json.loads(printed("json", lambda to: to.services(services)))

    assert found["services"] == [
        {"target": "foo/\N{REPLACEMENT CHARACTER}", "target_base64": "Zm9vL/8=", "count": 1}
    ]


def _raw(found: dict[str, Any]) -> bytes:
    if found["key_base64"] is None:
        return str(found["key"]).encode()
    raw = base64.b64decode(found["key_base64"])
    assert "\N{REPLACEMENT CHARACTER}" in found["key"]
    return raw
