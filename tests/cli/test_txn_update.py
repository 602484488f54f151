"""`etcdnaming txn-update`, verified with etcdctl."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import Etcd, Result, Run, Terminal
from harness.auth import READER, READER_NEEDS, WRITER
from harness.hostile import HostileProxy

from etcdnaming.etcd import rpc

SUCCESS = Result(0, "SUCCESS\n", "")


def value(addr: str, metadata: str = "null") -> bytes:
    """Return the stored value of an endpoint."""
    return f'{{"Op":0,"Addr":"{addr}","Metadata":{metadata}}}'.encode()


def test_txn_update_applies_a_file_in_one_transaction(run: Run, etcd: Etcd, tmp_path: Path) -> None:
    """All changes have the same revision."""
    etcd.put("svc/e1", value("1:1"))
    file = tmp_path / "updates"
    file.write_text('# move it\ndel svc/e1\nadd svc/e2 1:2 {"zone":"a"}\nadd web/e1 1:3\n')
    before = etcd.revision()

    assert run("txn-update", file) == SUCCESS
    assert etcd.get("") == {b"svc/e2": value("1:2", '{"zone":"a"}'), b"web/e1": value("1:3")}
    assert etcd.revision() == before + 1


@pytest.mark.parametrize(
    "updates",
    [
        "del svc/e1\nadd svc/e2 1:2",
        '[{"op":"del","key":"svc/e1"},\n {"op":"add","key":"svc/e2","addr":"1:2"}]',
        '{"Op":1,"Key":"svc/e1"}\n{"Op":0,"Key":"svc/e2","Addr":"1:2"}',
    ],
)
def test_txn_update_reads_updates_from_stdin(run: Run, etcd: Etcd, updates: str) -> None:
    """They are lines or JSON."""
    etcd.put("svc/e1", value("1:1"))

    assert run("txn-update", "-", input=updates) == SUCCESS
    assert etcd.get("") == {b"svc/e2": value("1:2")}


def test_txn_update_runs_the_example_of_the_etcd_guide(run: Run, etcd: Etcd) -> None:
    """etcd itself refuses two operations on one key in a transaction."""
    etcd.put("foo/e1", value("1:1"))

    assert run("txn-update", "--del", "foo/e1", "--add", "foo/e1=1:2") == SUCCESS
    assert etcd.get("") == {b"foo/e1": value("1:2")}


@pytest.mark.parametrize(
    ("args", "left"),
    [
        (["--add", "svc/e1=1:2", "--del", "svc/e1"], {}),
        (["--del", "svc/e1", "--add", "svc/e1=1:2"], {b"svc/e1": value("1:2")}),
        (["--add=svc/e1=1:2", "--add", "svc/e1=1:3"], {b"svc/e1": value("1:3")}),
        (["-", "--del", "svc/e1"], {}),
    ],
)
def test_txn_update_applies_the_last_update_of_a_key(
    run: Run, etcd: Etcd, args: list[str], left: dict[bytes, bytes]
) -> None:
    """Options follow the file, in the order of the command line."""
    assert run("txn-update", *args, input="add svc/e1 1:1\n") == SUCCESS
    assert etcd.get("") == left


@pytest.mark.parametrize(
    ("addr", "found"), [('1:1={"a":1}', "="), ('1:1{"a":1}', "{"), ("1:1 zone", " ")]
)
def test_txn_update_refuses_metadata_after_an_address(
    run: Run, etcd: Etcd, addr: str, found: str
) -> None:
    """With --force, all text after the first equals sign is the address."""
    add = ("txn-update", "--add", "svc/e2=2:2", "--add", f"svc/e1={addr}")

    reason = f"has a {found!r}: KEY=ADDR takes no metadata, use a FILE; --force stores it anyway"
    assert run(*add) == Result(128, "", f"Error: the address {addr!r} {reason}\n")
    assert etcd.get("") == {}

    result = run(*add, "--force")
    assert (result.status, result.out) == (0, "SUCCESS\n")
    assert result.err.startswith(f"Warning: the address {addr!r} ")
    assert set(etcd.get("")) == {b"svc/e1", b"svc/e2"}


@pytest.mark.parametrize(
    "bad",
    ["add svc/e2 http://a:1", '{"op":"add","key":"svc/e2","addr":"http://a:1"}'],
    ids=["text", "json"],
)
def test_txn_update_names_the_line_of_an_address_that_no_client_can_dial(
    run: Run, etcd: Etcd, bad: str
) -> None:
    """Nothing is written without --force."""
    good = "add svc/e1 1:1" if bad.startswith("add") else bad.replace("http://a", "1")
    text = f"{good}\n{bad}\n"
    reason = "the address 'http://a:1' is a URL: write HOST:PORT"

    refused = f"Error: stdin:2: {reason}; --force stores it anyway\n"
    assert run("txn-update", "-", input=text) == Result(3, "", refused)
    assert etcd.get("") == {}
    forced = Result(0, "SUCCESS\n", f"Warning: {reason}\n")
    assert run("txn-update", "-", "--force", input=text) == forced
    assert etcd.get("")[b"svc/e2"] == value("http://a:1")


def test_txn_update_completes_a_key_that_ends_in_a_slash(run: Run, etcd: Etcd) -> None:
    """Keys in a file are completed as well."""
    run("txn-update", "-", "--add", "svc/=1:1", input="add svc/ 1:2\n")

    assert set(etcd.get("")) == {b"svc/1:1", b"svc/1:2"}


def test_txn_update_keeps_the_leases_of_endpoints(run: Run, etcd: Etcd) -> None:
    """New endpoints are permanent."""
    lease = etcd.grant(60)
    etcd.put("svc/e1", value("1:1"), lease)
    etcd.put("svc/e2", value("1:1"))

    assert run("txn-update", "--add=svc/e1=1:2", "--add=svc/e2=1:2", "--add=svc/e3=1:2") == SUCCESS
    assert {entry.key: entry.lease for entry in etcd.entries("")} == {
        b"svc/e1": lease,
        b"svc/e2": 0,
        b"svc/e3": 0,
    }


def test_txn_update_warns_when_del_and_add_detach_a_key_from_its_lease(
    run: Run, etcd: Etcd
) -> None:
    """It was not requested explicitly."""
    lease = etcd.grant(60)
    etcd.put("svc/e1", value("1:1"), lease)

    result = run("txn-update", "--del", "svc/e1", "--add", "svc/e1=1:2")

    warning = f"Warning: svc/e1 was detached from lease {lease:016x} and is permanent now\n"
    assert result == Result(0, "SUCCESS\n", warning)
    assert etcd.lease_of("svc/e1") == 0


def test_txn_update_attaches_all_endpoints_to_the_given_lease(run: Run, etcd: Etcd) -> None:
    """The lease was granted by etcdctl."""
    lease = etcd.grant(60)

    run("txn-update", "--add", "svc/e1=1:1", "--add", "svc/e2=1:2", "--lease", f"{lease:x}")

    assert [entry.lease for entry in etcd.entries("")] == [lease, lease]


def test_txn_update_attaches_an_endpoint_to_the_lease_in_its_json(run: Run, etcd: Etcd) -> None:
    """A dry run prints the lease in the same form."""
    lease = etcd.grant(60)
    update = {"op": "add", "key": "svc/e1", "addr": "1:1", "lease": f"{lease:x}"}

    assert run("txn-update", "-", input=json.dumps(update)) == SUCCESS
    assert etcd.lease_of("svc/e1") == lease


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        (["--if-absent", "svc/e2"], True),
        (["--if-absent", "svc/e1"], False),
        (["--if-exists", "svc/e1"], True),
        (["--if-exists", "svc/e2"], False),
        (["--if-mod-rev", "svc/e1=REVISION"], True),
        (["--if-mod-rev", "svc/e1=1"], False),
        (["--if-mod-rev", "svc/e2=0"], True),
        (["--if-exists", "svc/e1", "--if-exists", "svc/e2"], False),
    ],
)
def test_txn_update_writes_nothing_when_a_condition_is_not_met(
    run: Run, etcd: Etcd, condition: list[str], holds: bool
) -> None:
    """Conditions may be on keys that the transaction does not write."""
    etcd.put("svc/e1", value("1:1"))
    revision = str(etcd.entry("svc/e1").mod_revision)
    condition = [word.replace("REVISION", revision) for word in condition]

    result = run("txn-update", "--add", "svc/e3=1:3", "--del", "svc/e1", *condition)

    assert (result.status, result.out) == ((0, "SUCCESS\n") if holds else (8, "FAILURE\n"))
    assert list(etcd.get("")) == ([b"svc/e3"] if holds else [b"svc/e1"])


def test_txn_update_names_the_failed_conditions(run: Run) -> None:
    """They are on stderr, as stdout is for scripts."""
    result = run("txn-update", "--add=svc/e1=1:1", "--if-exists=svc/a", "--if-mod-rev=svc/b=3")

    assert result == Result(
        8,
        "FAILURE\n",
        "Error: condition not met: if svc/a exists; "
        "condition not met: if svc/b has mod_revision 3\n",
    )


def test_txn_update_dry_run_prints_a_valid_update_file(run: Run, etcd: Etcd) -> None:
    """Updates of the same key are merged in it."""
    args = ["--add=svc/e1=1:1", "--add=svc/e1=1:2", "--del=svc/e2", "--if-absent=svc/e1"]

    result = run("txn-update", *args, "--dry-run")

    assert result == Result(0, "# if svc/e1 is absent\nadd svc/e1 1:2 null\ndel svc/e2\n", "")
    assert etcd.get("") == {}
    assert run("txn-update", "-", input=result.out) == SUCCESS
    assert etcd.get("") == {b"svc/e1": value("1:2")}


def many(number: int) -> str:
    """Return an update file with *number* updates."""
    return "".join(f"add svc/e{each:04} 1:{each}\n" for each in range(1, number + 1))


def test_txn_update_applies_as_many_updates_as_etcd_accepts_in_one_transaction(
    run: Run, etcd: Etcd
) -> None:
    """The limit of etcd is 128 by default."""
    before = etcd.revision()

    assert run("txn-update", "-", input=many(128)) == SUCCESS
    assert len(etcd.get("")) == 128
    assert etcd.revision() == before + 1


@pytest.mark.parametrize("option", [[], ["--dry-run"]])
def test_txn_update_refuses_more_updates_than_etcd_accepts(
    run: Run, etcd: Etcd, option: list[str]
) -> None:
    """They are never split without --batch-size, and nothing is written."""
    result = run("txn-update", "-", *option, input=many(200))

    assert result == Result(
        128,
        "",
        "Error: 200 operations are more than the 128 that etcd takes in one transaction: "
        "nothing was written; "
        "set --max-txn-ops to the server's limit, or split with --batch-size N\n",
    )
    assert etcd.get("") == {}


def test_txn_update_accepts_more_updates_with_max_txn_ops(own_etcd: Callable[..., Etcd]) -> None:
    """The limit must be raised both in etcd and on the command line."""
    etcd = own_etcd("--max-txn-ops=300")

    result = Run(etcd.endpoint)("txn-update", "-", "--max-txn-ops", "300", input=many(200))

    assert result == SUCCESS
    assert len(etcd.get("")) == 200


def test_txn_update_splits_updates_into_batches_with_batch_size(run: Run, etcd: Etcd) -> None:
    """It uses as few transactions as possible."""
    before = etcd.revision()

    assert run("txn-update", "-", "--batch-size", "128", input=many(300)) == SUCCESS
    assert len(etcd.get("")) == 300
    assert etcd.revision() == before + 3


@pytest.mark.parametrize("format", ["fields", "json", "simple", "table"])
def test_txn_update_of_an_empty_file_succeeds(run: Run, format: str) -> None:
    """The output with --batch-size is the same."""
    at_once = run("txn-update", "-", "-w", format)

    assert at_once.status == 0
    assert at_once.out
    assert run("txn-update", "-", "-w", format, "--batch-size", "9") == at_once


def test_batch_has_all_updates_of_a_key(run: Run, etcd: Etcd) -> None:
    """The last update of a key still counts, and a detached lease is reported."""
    lease = etcd.grant(60)
    etcd.put("svc/e1", value("1:1"), lease)
    updates = "del svc/e1\nadd svc/e2 1:1\nadd svc/e1 1:2\ndel svc/e2\n"

    result = run("txn-update", "-", "--batch-size", "1", input=updates)

    warning = f"Warning: svc/e1 was detached from lease {lease:016x} and is permanent now\n"
    assert result == Result(0, "SUCCESS\n", warning)
    assert etcd.get("") == {b"svc/e1": value("1:2")}


def test_txn_update_reports_the_written_updates_when_a_batch_fails(run: Run, etcd: Etcd) -> None:
    """The batches before it stay written."""
    updates = [{"op": "add", "key": f"svc/e{each}", "addr": "1:1"} for each in range(5)]
    updates[3]["lease"] = "123"

    result = run("txn-update", "-", "--batch-size", "2", input=json.dumps(updates))

    assert result == Result(
        1,
        "",
        "Warning: 2 of 5 updates were written\nError: etcdserver: requested lease not found\n",
    )
    assert set(etcd.get("")) == {b"svc/e0", b"svc/e1"}


def test_txn_update_reports_a_minimum_when_the_outcome_of_a_batch_is_unknown(
    run: Run, etcd: Etcd
) -> None:
    """The batch may have been written."""
    answers = 0

    def spoil(answer: rpc.TxnResponse) -> None:
        nonlocal answers
        answers += 1
        if answers == 2:
            del answer.responses[:]

    with HostileProxy(etcd.endpoint) as proxy:
        proxy.changes["Txn"] = spoil
        updates = ("txn-update", "-", "--batch-size", "2")
        result = run("--endpoints", proxy.endpoint, *updates, input=many(6))

    warning, error = result.err.splitlines()
    assert (result.status, result.out) == (1, "")
    assert warning == "Warning: at least 2 of 6 updates were written"
    assert error.endswith("the change may have been applied")
    assert len(etcd.get("")) == 4


def test_txn_update_shows_the_progress_of_batches_on_a_terminal(
    terminal: Terminal, etcd: Etcd, tmp_path: Path
) -> None:
    """Ctrl-C prints the number of written updates."""
    file = tmp_path / "updates"
    file.write_text(many(20_000))
    screen = terminal("txn-update", file, "--batch-size", "1")

    screen.expect(r"[1-9]\d*/20000")  # a batch is written
    screen.sendintr()
    screen.expect(r"Warning: (\d+) of 20000 updates were written\r\n")
    assert isinstance(screen.match, re.Match)
    said = int(screen.match[1])
    screen.wait()

    assert screen.signalstatus == signal.SIGINT
    # The batch in progress may have been written or not.
    assert len(etcd.get("svc/")) in (said, said + 1)


def test_txn_update_shows_no_progress_in_a_pipe(run: Run) -> None:
    """A bar would fill a log with escape codes."""
    assert run("txn-update", "-", "--batch-size", "10", input=many(50)).err == ""


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "nothing to do: use FILE (- reads stdin), --add or --del"),
        (["--add", "svc/e1"], "Invalid value for '--add': 'svc/e1' is not KEY=ADDR"),
        (
            ["--del=svc/a", "--if-mod-rev=svc/a"],
            "Invalid value for '--if-mod-rev': 'svc/a' is not KEY=N",
        ),
        (
            ["--del=svc/a", "--if-mod-rev=svc/a=x"],
            "Invalid value for '--if-mod-rev': 'x' is not a whole number of 0 or more",
        ),
        (["--del=svc/a", "--batch-size=0"], "Invalid value for '--batch-size': must be at least 1"),
        (["--del=svc/a", "--batch-size=200"], "--batch-size is more than --max-txn-ops"),
        (
            ["--del=svc/a", "--batch-size=2", "--if-absent=svc/b"],
            "--if-absent and --batch-size can't be combined",
        ),
        (["/nowhere"], "/nowhere: No such file or directory"),
        (["/"], "/: Is a directory"),
    ],
)
def test_txn_update_refuses_wrong_usage(run: Run, args: list[str], message: str) -> None:
    """Nothing is sent."""
    expected = f"Error: {message} (see etcdnaming txn-update --help)\n"

    assert run("txn-update", *args) == Result(128, "", expected)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--add=a=1:1"], "invalid target '': the key 'a' needs one: write TARGET/NAME"),
        (["--add=svc/a="], "the address is empty; --force stores it anyway"),
        (["--del=a"], "invalid target '': the key 'a' needs one: write TARGET/NAME"),
        (
            ["--del=svc/a", "--del=web/a", "--target=svc"],
            "endpoints: endpoint key should be prefixed with 'svc/' got: 'web/a'",
        ),
        (
            ["--del=svc/a", "--if-absent=web/a", "--target=svc"],
            "endpoints: endpoint key should be prefixed with 'svc/' got: 'web/a'",
        ),
    ],
)
def test_txn_update_refuses_a_key_outside_its_target(
    run: Run, args: list[str], message: str
) -> None:
    """The keys of conditions are checked, too."""
    assert run("txn-update", *args) == Result(128, "", f"Error: {message}\n")


def test_txn_update_names_the_file_and_line_of_an_error(
    run: Run, etcd: Etcd, tmp_path: Path
) -> None:
    """Nothing is sent."""
    file = tmp_path / "updates"
    file.write_text("add svc/e1 1:1\n\n# comment\nadd svc/e2\n")

    assert run("txn-update", file) == Result(3, "", f"Error: {file}:4: ADDR missing\n")
    assert etcd.get("") == {}


def test_txn_update_names_the_line_of_a_key_outside_the_target(run: Run, etcd: Etcd) -> None:
    """It is an error in the file, with the same exit code as others."""
    result = run("txn-update", "-", "--target", "svc", input="add svc/e1 1:1\nadd web/e1 1:1\n")

    assert result == Result(
        3,
        "",
        "Error: stdin:2: endpoints: endpoint key should be prefixed with 'svc/' got: 'web/e1'\n",
    )
    assert etcd.get("") == {}


def test_txn_update_json_prints_the_updates(run: Run) -> None:
    """There is one object for each transaction."""
    result = run("-w", "json", "txn-update", "--add=svc/e1=1:1", "--del=svc/e2")

    answer = result.json()
    assert answer["succeeded"] is True
    assert [(each["op"], each["key"], each["addr"]) for each in answer["updates"]] == [
        ("add", "svc/e1", "1:1"),
        ("delete", "svc/e2", None),
    ]


def test_txn_update_json_output_is_a_valid_update_file(run: Run, etcd: Etcd) -> None:
    """The member ``updates`` has the format of a file."""
    plan = run("-w", "json", "txn-update", "--dry-run", "--add=svc/e1=1:1", "--del=svc/e2").json()

    assert run("txn-update", "-", input=json.dumps(plan["updates"])) == SUCCESS
    assert etcd.get("") == {b"svc/e1": value("1:1")}


@pytest.mark.server
def test_txn_update_fails_when_the_user_may_only_read(auth_etcd: Callable[..., Etcd]) -> None:
    """Older etcd does not check the permissions of nested transactions."""
    etcd = auth_etcd()
    etcd.put("svc/e1", value("1:1"))

    result = Run(etcd.endpoint)(
        "--user", READER, "txn-update", "--add=svc/e1=1:2", "--add=svc/e2=1:2"
    )

    assert result == Result(
        1,
        "",
        f"{READER_NEEDS} readwrite permission on svc/e1, svc/e2\n",
    )
    assert etcd.get("") == {b"svc/e1": value("1:1")}


@pytest.mark.server
def test_txn_update_needs_permission_only_for_the_prefix(auth_etcd: Callable[..., Etcd]) -> None:
    """It accesses no key outside of the prefix."""
    etcd = auth_etcd()

    result = Run(etcd.endpoint)(
        "--user", WRITER, "txn-update", "--add=svc/e1=1:2", "--if-absent=svc/e2"
    )

    assert result == SUCCESS
