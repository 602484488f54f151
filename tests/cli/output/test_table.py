"""The table format: it fits the terminal, and is not cut where stdout is no terminal."""

from __future__ import annotations

import re
import textwrap
import time
from collections import Counter

import pytest
from cli.output.samples import (
    ADDED,
    E1,
    EVERYTHING,
    HEADER,
    LEASE,
    RESULT,
    STATUS,
    on_terminal,
    printed,
    stored,
)
from hypothesis import given
from hypothesis import strategies as st

from etcdnaming.cli.output.grid import fit
from etcdnaming.cli.output.printers import EndpointDetails, GotEndpoints
from etcdnaming.cli.output.streams import write
from etcdnaming.model import (
    Change,
    ChangeBatch,
    Deletion,
    Difference,
    Endpoint,
    InvalidValue,
    Listing,
    Operation,
    Plan,
    StoredEndpoint,
    Update,
)

LISTING_LINES = """\
KEY         ADDR         LEASE             TTL  METADATA
foo/svc/e1  10.0.0.1:80  7ffaa20539177e6e  9s   {"weight":1,"zone":"a"}
foo/svc/e2  10.0.0.2:80  -                 -

2 endpoints under foo/svc, revision 74
"""

STATUS_HEADER = (
    "ENDPOINT        MEMBER  VERSION  ROLE    REVISION  RAFT TERM  DB SIZE  ALARMS  "
    "LATENCY  USER  TLS      EXPIRES   "
)
STATUS_ROW = (
    "127.0.0.1:2379  8e9e    3.5.1    leader  74        2          20 kB    -       "
    "1.2ms    root  TLSv1.3  2027-01-01"
)


@pytest.mark.parametrize(
    ("what", "lines"),
    [
        (
            "added",
            """\
            OP   KEY         ADDR         LEASE             METADATA
            add  foo/svc/e1  10.0.0.9:80  kept              {"zone":"b"}
            was  foo/svc/e1  10.0.0.1:80  7ffaa20539177e6e  {"weight":1,"zone":"a"}

            OK, revision 74
            """,
        ),
        (
            "deleted",
            """\
            OP   KEY         ADDR             LEASE             METADATA
            was  foo/svc/e1  10.0.0.1:80      7ffaa20539177e6e  {"weight":1,"zone":"a"}
            was  foo/svc/e3  not an endpoint  7ffaa20539177e6e  it is not JSON

            2 deleted, revision 74
            """,
        ),
        ("listing", LISTING_LINES),
        (
            "addrs",
            """\
            10.0.0.1:80
            10.0.0.2:80
            """,
        ),
        (
            "keys",
            """\
            KEY         CREATE REVISION  MOD REVISION  VERSION  LEASE
            foo/svc/e1  70               72            2        7ffaa20539177e6e

            1 of 3 keys under foo/svc, revision 74
            """,
        ),
        ("count", "3 keys under foo/svc, revision 74\n"),
        (
            "services",
            """\
            TARGET   ENDPOINTS
            foo/svc  3
            foo/web  1

            2 services under foo/, revision 74
            """,
        ),
        (
            "transaction",
            """\
            OP      KEY         ADDR         LEASE             METADATA
            add     foo/svc/e1  10.0.0.9:80  kept              {"zone":"b"}
            add     foo/svc/e2  10.0.0.2:80  7ffaa20539177e6e
            delete  foo/svc/e3  -            -
            add     foo/svc/e4  10.0.0.4:80  -                 "new"

            SUCCESS, revision 74
            """,
        ),
        (
            "failure",
            """\
            OP      KEY         ADDR         LEASE             METADATA
            if      foo/svc/e1  is absent    -
            add     foo/svc/e1  10.0.0.9:80  kept              {"zone":"b"}
            add     foo/svc/e2  10.0.0.2:80  7ffaa20539177e6e
            delete  foo/svc/e3  -            -
            add     foo/svc/e4  10.0.0.4:80  -                 "new"

            FAILURE: nothing was written, revision 74
            """,
        ),
        (
            "plan",
            """\
            OP      KEY         ADDR                LEASE             METADATA
            if      foo/svc/e1  is absent           -
            if      foo/e2      exists              -
            if      foo/e3      has mod_revision 7  -
            add     foo/svc/e1  10.0.0.9:80         kept              {"zone":"b"}
            add     foo/svc/e2  10.0.0.2:80         7ffaa20539177e6e
            delete  foo/svc/e3  -                   -
            add     foo/svc/e4  10.0.0.4:80         -                 "new"

            dry run: nothing was written
            """,
        ),
        (
            "differences",
            """\
            CHANGE   KEY         ADDR             LEASE             METADATA
            changed  foo/svc/e1  10.0.0.9:80      7ffaa20539177e6e  {"zone":"b"}
            was      foo/svc/e1  10.0.0.1:80      7ffaa20539177e6e  {"weight":1,"zone":"a"}
            removed  foo/svc/e2  10.0.0.2:80      -
            removed  foo/svc/e3  not an endpoint  7ffaa20539177e6e  it is not JSON
            added    foo/svc/e4  10.0.0.4:80      -                 "new"

            1 added, 1 changed, 2 removed, 1 unchanged, 2 not pruned under foo/svc, revision 74
            """,
        ),
        ("found", LISTING_LINES),
        (
            "changed",
            """\
            OP      KEY         ADDR             LEASE             METADATA
            add     foo/svc/e1  10.0.0.9:80      kept              {"zone":"b"}
            add     foo/svc/e2  10.0.0.2:80      7ffaa20539177e6e
            delete  foo/svc/e3  -                -
            add     foo/svc/e4  10.0.0.4:80      -                 "new"
            was     foo/svc/e1  10.0.0.1:80      7ffaa20539177e6e  {"weight":1,"zone":"a"}
            was     foo/svc/e2  10.0.0.2:80      -
            was     foo/svc/e3  not an endpoint  7ffaa20539177e6e  it is not JSON

            OK, revision 74
            """,
        ),
        (
            "got",
            """\
            KEY              foo/svc/e1
            ADDR             10.0.0.1:80
            METADATA         {"weight":1,"zone":"a"}
            LEASE            7ffaa20539177e6e
            TTL              9s of 10s
            CREATE REVISION  70
            MOD REVISION     72
            VERSION          2
            DIALABLE         yes

            KEY              foo/svc/e2
            ADDR             10.0.0.2:80
            METADATA         null
            LEASE            -
            TTL              -
            CREATE REVISION  70
            MOD REVISION     72
            VERSION          2
            DIALABLE         no: the address '10.0.0.2' has no port

            KEY              foo/svc/e3
            NOT AN ENDPOINT  it is not JSON
            VALUE            \\xff{
            LEASE            7ffaa20539177e6e
            MOD REVISION     73
            """,
        ),
        (
            "checked",
            """\
            KEY         ADDR         STATUS       LATENCY  REASON
            foo/svc/e1  10.0.0.1:80  SERVING      12.3ms
            foo/svc/e2  10.0.0.2:80  UNREACHABLE  -        connection refused

            1 of 2 endpoints under foo/svc SERVING, revision 74
            """,
        ),
        (
            "status",
            f"""\
            {STATUS_HEADER}  REASON
            {STATUS_ROW}
            127.0.0.1:2380  {"-       -        -       -         -          -        -       "}\
-        -     -        -           connection refused
            """,
        ),
        (
            "version",
            """\
            PART        VERSION
            etcdnaming  1.0
            Python      3.11.7
            """,
        ),
    ],
)
def test_table_format_prints_each_kind_of_result(what: str, lines: str) -> None:
    """Columns are aligned, the longest is the last, and a summary follows the rows."""
    assert printed("table", EVERYTHING[what]) == textwrap.dedent(lines)


def test_table_has_no_header_when_there_are_no_rows() -> None:
    """Only the summary is printed."""
    empty = Listing(HEADER, "foo/svc", [], [], 0, more=False)

    assert printed("table", lambda to: to.listing(empty, {})) == (
        "0 endpoints under foo/svc, revision 74\n"
    )
    assert printed("table", lambda to: to.deleted(Deletion(HEADER, 1, [E1]), prev_kv=False)) == (
        "1 deleted, revision 74\n"
    )


def test_table_distinguishes_an_expired_lease_from_an_unknown_ttl() -> None:
    """An expired lease has the TTL "gone"; the key may be deleted a moment later."""
    listing = Listing(HEADER, "foo", [stored("foo/e", "a", None, LEASE)], [], 1, more=False)

    assert "7e6e  gone\n" in printed("table", lambda to: to.listing(listing, {LEASE: -1}))
    assert "7e6e  0s\n" in printed("table", lambda to: to.listing(listing, {LEASE: 0}))
    assert "7e6e  -\n" in printed("table", lambda to: to.listing(listing, {}))


def test_table_omits_the_previous_value_unless_requested() -> None:
    """No row begins with "was"."""
    assert "\nwas" not in printed("table", lambda to: to.added(ADDED, prev_kv=False))


def test_table_of_many_transactions_has_one_header() -> None:
    """All batches are in the same table."""
    lines = printed("table", lambda to: to.transaction([RESULT, RESULT])).splitlines()

    assert len(lines) == 1 + 8 + 2
    assert lines[-1] == "SUCCESS in 2 transactions, revision 74"


def test_table_escapes_only_unprintable_characters_in_the_reason_of_an_invalid_value() -> None:
    """The reason is the same text as in the warning; its backslashes stay."""
    bad = InvalidValue("svc/e1", r"found '\"\x1b' and " + "\x1b", b"", 73, 0)
    deletion = Deletion(HEADER, 1, [bad])

    lines = printed("table", lambda to: to.deleted(deletion, prev_kv=True)).splitlines()

    assert lines[1].endswith(r"  found '\"\x1b' and \x1b")


WIDE = Listing(
    HEADER,
    "foo/my-service",
    [
        stored("foo/my-service/10.0.0.1:50051", "10.0.0.1:50051", {"zone": "eu-west-1"}, LEASE),
        stored("foo/my-service/世界", "世界.example.com:443", "金丝雀" * 9),
    ],
    [],
    count=2,
    more=False,
)


@pytest.mark.parametrize(
    ("columns", "lines"),
    [
        (
            40,
            """\
            KEY          ADDR        LEASE       TTL
              METADATA
            foo/my-serv  10.0.0.1:5  7ffaa20539  59s
            ice/10.0.0.  0051        177e6e
            1:50051
              {"zone":"eu-west-1"}
            foo/my-serv  世界.examp  -           -
            ice/世界     le.com:443
              "金丝雀金丝雀金丝雀金丝雀金丝雀金丝雀
              金丝雀金丝雀金丝雀"

            2 endpoints under foo/my-service,
            revision 74
            """,
        ),
        (
            80,
            """\
            KEY                            ADDR                  LEASE             TTL
              METADATA
            foo/my-service/10.0.0.1:50051  10.0.0.1:50051        7ffaa20539177e6e  59s
              {"zone":"eu-west-1"}
            foo/my-service/世界            世界.example.com:443  -                 -
              "金丝雀金丝雀金丝雀金丝雀金丝雀金丝雀金丝雀金丝雀金丝雀"

            2 endpoints under foo/my-service, revision 74
            """,
        ),
        (
            200,
            """\
            KEY                            ADDR                  LEASE             TTL  METADATA
            foo/my-service/10.0.0.1:50051  10.0.0.1:50051        7ffaa20539177e6e  59s  META1
            foo/my-service/世界            世界.example.com:443  -                 -    META2

            2 endpoints under foo/my-service, revision 74
            """.replace("META1", '{"zone":"eu-west-1"}').replace("META2", f'"{"金丝雀" * 9}"'),
        ),
    ],
)
def test_table_fits_the_width_of_the_terminal(columns: int, lines: str) -> None:
    """Long metadata moves to a line of its own, and cells that are still too wide are folded."""
    shown = printed("table", lambda to: to.listing(WIDE, {LEASE: 59}), columns, TERM="dumb")

    assert [line.rstrip() for line in shown.splitlines()] == textwrap.dedent(lines).splitlines()


@pytest.mark.parametrize("columns", range(1, 120, 7))
def test_table_keeps_all_characters_on_a_narrow_terminal(columns: int) -> None:
    """Nothing is cut at any width."""
    shown = printed("table", lambda to: to.listing(WIDE, {LEASE: 59}), columns, TERM="dumb")
    whole = printed("table", lambda to: to.listing(WIDE, {LEASE: 59}))

    assert Counter("".join(shown.split())) == Counter("".join(whole.split()))


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_table_takes_its_width_from_the_terminal(columns: int) -> None:
    """The test uses a pseudo-terminal."""
    seen = on_terminal(
        "from cli.output.test_table import *; from etcdnaming.cli.output import printer; "
        "printer('table').listing(WIDE, {LEASE: 59})",
        columns=columns,
        term="dumb",
    )

    assert seen.decode() == printed(
        "table", lambda to: to.listing(WIDE, {LEASE: 59}), columns, TERM="dumb"
    )


def test_table_is_not_cut_when_stdout_is_a_pipe() -> None:
    """The key, address, metadata and target may have any length."""
    key, addr, metadata, target = "foo/" + "k" * 200, "a" * 300, "m" * 10_000, "t" * 400
    listing = Listing(HEADER, target, [stored(key, addr, metadata)], [], 1, more=False)

    shown = printed("table", lambda to: to.listing(listing, {}), COLUMNS="80")

    assert f'{key}  {addr}  -      -    "{metadata}"\n' in shown
    assert f"1 endpoint under {target}, revision 74\n" in shown


LISTED = EVERYTHING["listing"]
PLAIN = printed("table", LISTED)


@pytest.mark.parametrize(
    ("columns", "environment", "coloured"),
    [
        (80, {"TERM": "xterm"}, True),
        (80, {"TERM": "xterm", "NO_COLOR": ""}, True),
        (80, {"TERM": "xterm", "NO_COLOR": "1"}, False),
        (80, {"TERM": "xterm", "NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
        (80, {"TERM": "dumb"}, False),
        (80, {"TERM": "dumb", "FORCE_COLOR": "1"}, True),
        (None, {"TERM": "xterm"}, False),
        (None, {"TERM": "xterm", "FORCE_COLOR": ""}, False),
        (None, {"FORCE_COLOR": "1"}, True),
    ],
)
def test_table_is_coloured_according_to_terminal_and_environment(
    columns: int | None, environment: dict[str, str], coloured: bool
) -> None:
    """NO_COLOR overrides FORCE_COLOR, which overrides the abilities of the terminal."""
    shown = printed("table", LISTED, columns, **environment)

    assert ("\x1b" in shown) == coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", shown) == PLAIN


@pytest.mark.parametrize(
    ("what", "columns", "coloured"),
    [
        ("checked", 80, {"SERVING", "UNREACHABLE"}),
        ("checked", 50, {"SERVING", "UNREACHABLE"}),
        ("differences", 80, {"added", "changed", "removed"}),
        ("differences", 40, {"added", "changed", "removed"}),
    ],
)
def test_table_colours_only_the_state(what: str, columns: int, coloured: set[str]) -> None:
    """Keys and addresses are readable on a light and on a dark background."""
    shown = printed("table", EVERYTHING[what], columns, TERM="xterm")

    found = {text.strip() for text in re.findall(r"\x1b\[3\dm(.*?)\x1b\[0m", shown, re.DOTALL)}
    assert found - {""} == coloured  # a folded row has blanks below the state
    plain = printed("table", EVERYTHING[what], columns, TERM="dumb")
    assert re.sub(r"\x1b\[[0-9;]*m", "", shown) == plain


def test_table_leaves_invalid_values_to_the_warnings() -> None:
    """The command warns of each on stderr, in every format: the table does not repeat them."""
    shown = printed("table", LISTED, columns=80, TERM="xterm")

    assert "foo/svc/e3" not in shown
    assert "can't be read" not in shown


def test_table_of_ten_thousand_rows_takes_less_than_two_seconds() -> None:
    """Half a millisecond for each row would take five seconds."""
    many = [stored(f"foo/svc/e{number}", "10.0.0.1:80", {"a": 1}) for number in range(10_000)]
    listing = Listing(HEADER, "foo/svc", many, [], len(many), more=False)

    before = time.process_time()
    printed("table", lambda to: to.listing(listing, {}), columns=80, TERM="xterm")

    assert time.process_time() - before < 2


@given(st.lists(st.integers(0, 50), min_size=1), st.integers(-10, 300))
def test_columns_are_fitted_to_the_available_width(natural: list[int], room: int) -> None:
    """No column is wider than needed, and none is narrowed while there is room."""
    widths = fit(natural, room)

    assert all(0 <= width <= wanted for width, wanted in zip(widths, natural, strict=True))
    assert all(width for width, wanted in zip(widths, natural, strict=True) if wanted)
    if room >= len(natural):
        assert sum(widths) == min(room, sum(natural))


def test_status_is_a_block_for_each_endpoint_where_a_row_is_too_wide() -> None:
    """A row is not folded, and blocks are aligned; there is a REASON only without an answer."""
    found = [each for each in STATUS if each.status]

    wide = printed("table", lambda to: to.status(found), columns=114, NO_COLOR="1")
    narrow = printed("table", EVERYTHING["status"], columns=113, NO_COLOR="1")

    assert wide == f"{STATUS_HEADER.rstrip()}\n{STATUS_ROW}\n"
    assert narrow == textwrap.dedent("""\
        ENDPOINT   127.0.0.1:2379
        MEMBER     8e9e
        VERSION    3.5.1
        ROLE       leader
        REVISION   74
        RAFT TERM  2
        DB SIZE    20 kB
        ALARMS     -
        LATENCY    1.2ms
        USER       root
        TLS        TLSv1.3
        EXPIRES    2027-01-01

        ENDPOINT   127.0.0.1:2380
        REASON     connection refused
        """)


def test_watch_and_diff_have_natural_order() -> None:
    """As list has: numbers in keys are sorted by value."""
    found = [stored(f"svc/e{number}", "1:1") for number in (1, 10, 2)]
    changes = [Change(Operation.ADD, each.key, 74, each.endpoint, 0, None) for each in found]
    batch = ChangeBatch(74, changes, [], first=True)
    differences = [Difference(Update.delete(each.key), each) for each in found]
    plan = Plan(HEADER, "svc", differences, [], [])

    watch = printed("table", lambda to: write(to.batch_lines("svc", batch, {})))
    diff = printed("table", lambda to: to.differences(plan, done=False))

    assert (
        re.findall(r"svc/e\d+", watch)
        == re.findall(r"svc/e\d+", diff)
        == [
            "svc/e1",
            "svc/e2",
            "svc/e10",
        ]
    )


def test_get_folds_long_metadata_beside_its_name() -> None:
    """The other facts stay on one line each."""
    stored = StoredEndpoint("svc/e1", Endpoint("1:1", "x" * 100), 5, 7, 2, 0)
    got = GotEndpoints(HEADER, [EndpointDetails(stored, None, "")], [], [])

    lines = printed("table", lambda to: to.got(got), columns=60, NO_COLOR="1").splitlines()

    assert lines[1] == "ADDR             1:1"
    assert max(map(len, lines)) <= 60
    assert sum(line.count("x") for line in lines) == 100
