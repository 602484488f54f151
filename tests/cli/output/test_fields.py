"""The fields format: ``"Name" : value`` lines as etcdctl prints them."""

from __future__ import annotations

import re

import pytest
from cli.output.samples import ADDED, EVERYTHING, printed

HEADER = """\
"ClusterID" : 52728
"MemberID" : 36510
"Revision" : 74
"RaftTerm" : 2
"""
E1 = """\
"Key" : "foo/svc/e1"
"CreateRevision" : 70
"ModRevision" : 72
"Version" : 2
"Addr" : "10.0.0.1:80"
"Metadata" : {"weight":1,"zone":"a"}
"Lease" : 9221861330310889070
"""
E2 = """\
"Key" : "foo/svc/e2"
"CreateRevision" : 70
"ModRevision" : 72
"Version" : 2
"Addr" : "10.0.0.2:80"
"Metadata" : null
"Lease" : 0
"""
BAD = r"""
"Key" : "foo/svc/e3"
"ModRevision" : 73
"Value" : "\xff{"
"Invalid" : "it is not JSON"
"Lease" : 9221861330310889070
""".removeprefix("\n")
ADD_E1 = """\
"Op" : "add"
"Key" : "foo/svc/e1"
"Addr" : "10.0.0.9:80"
"Metadata" : {"zone":"b"}
"""
ADD_E2 = """\
"Op" : "add"
"Key" : "foo/svc/e2"
"Addr" : "10.0.0.2:80"
"Metadata" : null
"Lease" : 9221861330310889070
"""
DELETE_E3 = """\
"Op" : "delete"
"Key" : "foo/svc/e3"
"""
ADD_E4 = """\
"Op" : "add"
"Key" : "foo/svc/e4"
"Addr" : "10.0.0.4:80"
"Metadata" : "new"
"Lease" : 0
"""


def prev(block: str) -> str:
    """Return the lines of *block* with the names that the previous value has."""
    return "".join(f'"Prev{line[1:]}\n' for line in block.splitlines())


EXPORTED = """\
"Op" : "add"
"Key" : "foo/svc/e1"
"Addr" : "10.0.0.1:80"
"Metadata" : {"weight":1,"zone":"a"}
"Op" : "add"
"Key" : "foo/svc/e2"
"Addr" : "10.0.0.2:80"
"Metadata" : null
"""


def prefixed(prefix: str, lines: str) -> str:
    """Return *lines* with *prefix* before each name."""
    return re.sub('^"', f'"{prefix}', lines, flags=re.MULTILINE)


@pytest.mark.parametrize(
    ("what", "lines"),
    [
        ("added", HEADER + ADD_E1 + prev(E1)),
        ("deleted", HEADER + '"Deleted" : 2\n' + prev(E1 + BAD)),
        ("listing", HEADER + E1 + E2 + BAD + '"More" : false\n"Count" : 3\n'),
        (
            "addrs",
            HEADER
            + '"Addr" : "10.0.0.1:80"\n"Addr" : "10.0.0.2:80"\n'
            + BAD
            + '"More" : false\n"Count" : 3\n',
        ),
        (
            "keys",
            HEADER
            + E1.replace('"Addr" : "10.0.0.1:80"\n"Metadata" : {"weight":1,"zone":"a"}\n', "")
            + '"More" : true\n"Count" : 3\n',
        ),
        ("count", HEADER + '"Count" : 3\n'),
        (
            "services",
            HEADER + '"Target" : "foo/svc"\n"Count" : 3\n"Target" : "foo/web"\n"Count" : 1\n'
            '"Others" : 0\n',
        ),
        ("changed", HEADER + ADD_E1 + ADD_E2 + DELETE_E3 + ADD_E4 + prev(E1 + E2 + BAD)),
        ("found", '"Revision" : 74\n' + E1 + E2 + '"Count" : 2\n'),
        (
            "got",
            HEADER
            + E1
            + '"GrantedTTL" : 10\n"TTL" : 9\n"Dialable" : true\n'
            + E2
            + '"Dialable" : false\n"Fault" : "the address \'10.0.0.2\' has no port"\n'
            + BAD
            + '"Missing" : "foo/svc/e9"\n',
        ),
        (
            "checked",
            HEADER
            + E1
            + '"Status" : "SERVING"\n"Seconds" : 0.012300\n'
            + E2
            + '"Status" : "UNREACHABLE"\n"Reason" : "connection refused"\n'
            + BAD
            + '"Serving" : 1\n"Count" : 2\n',
        ),
        (
            "status",
            '"Endpoint" : "127.0.0.1:2379"\n'
            + HEADER
            + '"Version" : "3.5.1"\n"Role" : "leader"\n"DBSize" : 20480\n"Seconds" : 0.001200\n'
            '"User" : "root"\n"TLS" : "TLSv1.3"\n"Expires" : "2027-01-01"\n'
            '"Endpoint" : "127.0.0.1:2380"\n"Reason" : "connection refused"\n',
        ),
        (
            "transaction",
            HEADER + '"Succeeded" : true\n' + ADD_E1 + ADD_E2 + DELETE_E3 + ADD_E4,
        ),
        ("failure", HEADER + '"Succeeded" : false\n"Failed" : "foo/svc/e1 is absent"\n'),
        (
            "plan",
            '"If" : "foo/svc/e1 is absent"\n"If" : "foo/e2 exists"\n'
            '"If" : "foo/e3 has mod_revision 7"\n' + ADD_E1 + ADD_E2 + DELETE_E3 + ADD_E4,
        ),
        (
            "differences",
            HEADER
            + '"Change" : "changed"\n'
            + prefixed("Prev", E1)
            + ADD_E1
            + '"Change" : "removed"\n'
            + prefixed("Prev", E2)
            + DELETE_E3.replace("e3", "e2")
            + '"Change" : "added"\n'
            + ADD_E4.replace('"Lease" : 0\n', "")
            + '"Change" : "removed"\n'
            + prefixed("Prev", BAD)
            + DELETE_E3
            + prefixed("Kept", E1)
            + prefixed("Kept", BAD)
            + '"Added" : 1\n"Changed" : 1\n"Removed" : 2\n"Unchanged" : 1\n',
        ),
        ("export", (EXPORTED + BAD) * 2),
        ("version", '"etcdnaming" : "1.0"\n"Python" : "3.11.7"\n'),
    ],
)
def test_fields_format_prints_each_kind_of_result(what: str, lines: str) -> None:
    """The header comes first, and IDs are decimal as in etcdctl."""
    assert printed("fields", EVERYTHING[what]) == lines


def test_fields_format_omits_the_previous_value_unless_requested() -> None:
    """No line begins with Prev."""
    assert '"Prev' not in printed("fields", lambda to: to.added(ADDED, prev_kv=False))
