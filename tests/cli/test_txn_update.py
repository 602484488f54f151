"""`etcdnaming txn-update`, looked at with etcdctl."""

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
    """Return what is stored for an endpoint."""
    return f'{{"Op":0,"Addr":"{addr}","Metadata":{metadata}}}'.encode()


def test_a_file_is_one_transaction(run: Run, etcd: Etcd, tmp_path: Path) -> None:
    """One revision for all, as all see it."""
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
def test_stdin_is_a_file_too(run: Run, etcd: Etcd, updates: str) -> None:
    """As lines or as JSON."""
    etcd.put("svc/e1", value("1:1"))

    assert run("txn-update", "-", input=updates) == SUCCESS
    assert etcd.get("") == {b"svc/e2": value("1:2")}


def test_the_example_of_etcds_guide_works(run: Run, etcd: Etcd) -> None:
    """etcd itself refuses two operations on one key."""
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
def test_the_last_word_about_a_key_counts(
    run: Run, etcd: Etcd, args: list[str], left: dict[bytes, bytes]
) -> None:
    """In the order of the command line, and after the file."""
    assert run("txn-update", *args, input="add svc/e1 1:1\n") == SUCCESS
    assert etcd.get("") == left


@pytest.mark.parametrize(
    ("addr", "found"), [('1:1={"a":1}', "="), ('1:1{"a":1}', "{"), ("1:1 zone", " ")]
)
def test_txn_update_refuses_metadata_after_an_address(
    run: Run, etcd: Etcd, addr: str, found: str
) -> None:
    """KEY=ADDR looks as if it could go on; forced, the key ends at the first equals sign."""
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
    """Nothing is written unless it is forced."""
    good = "add svc/e1 1:1" if bad.startswith("add") else bad.replace("http://a", "1")
    text = f"{good}\n{bad}\n"
    reason = "the address 'http://a:1' is a URL: write HOST:PORT"

    refused = f"Error: stdin:2: {reason}; --force stores it anyway\n"
    assert run("txn-update", "-", input=text) == Result(3, "", refused)
    assert etcd.get("") == {}
    forced = Result(0, "SUCCESS\n", f"Warning: {reason}\n")
    assert run("txn-update", "-", "--force", input=text) == forced
    assert etcd.get("")[b"svc/e2"] == value("http://a:1")


def test_a_key_that_ends_in_a_slash_gets_the_address(run: Run, etcd: Etcd) -> None:
    """In files as well."""
    run("txn-update", "-", "--add", "svc/=1:1", input="add svc/ 1:2\n")

    assert set(etcd.get("")) == {b"svc/1:1", b"svc/1:2"}


def test_endpoints_stay_on_their_leases(run: Run, etcd: Etcd) -> None:
    """Changed or not, they go with who holds them."""
    lease = etcd.grant(60)
    etcd.put("svc/e1", value("1:1"), lease)
    etcd.put("svc/e2", value("1:1"))

    assert run("txn-update", "--add=svc/e1=1:2", "--add=svc/e2=1:2", "--add=svc/e3=1:2") == SUCCESS
    assert {entry.key: entry.lease for entry in etcd.entries("")} == {
        b"svc/e1": lease,
        b"svc/e2": 0,
        b"svc/e3": 0,
    }


def test_warns_when_a_fold_takes_a_key_off_its_lease(run: Run, etcd: Etcd) -> None:
    """It was not requested explicitly."""
    lease = etcd.grant(60)
    etcd.put("svc/e1", value("1:1"), lease)

    result = run("txn-update", "--del", "svc/e1", "--add", "svc/e1=1:2")

    warning = f"Warning: svc/e1 was detached from lease {lease:016x} and is permanent now\n"
    assert result == Result(0, "SUCCESS\n", warning)
    assert etcd.lease_of("svc/e1") == 0


def test_all_can_hang_on_one_lease(run: Run, etcd: Etcd) -> None:
    """Which etcdctl has granted."""
    lease = etcd.grant(60)

    run("txn-update", "--add", "svc/e1=1:1", "--add", "svc/e2=1:2", "--lease", f"{lease:x}")

    assert [entry.lease for entry in etcd.entries("")] == [lease, lease]


def test_json_may_give_each_its_lease(run: Run, etcd: Etcd) -> None:
    """As a dry run prints it."""
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
def test_conditions_decide_about_all(
    run: Run, etcd: Etcd, condition: list[str], holds: bool
) -> None:
    """Of keys that need not be written."""
    etcd.put("svc/e1", value("1:1"))
    revision = str(etcd.entry("svc/e1").mod_revision)
    condition = [word.replace("REVISION", revision) for word in condition]

    result = run("txn-update", "--add", "svc/e3=1:3", "--del", "svc/e1", *condition)

    assert (result.status, result.out) == ((0, "SUCCESS\n") if holds else (8, "FAILURE\n"))
    assert list(etcd.get("")) == ([b"svc/e3"] if holds else [b"svc/e1"])


def test_txn_update_names_the_failed_conditions(run: Run) -> None:
    """On stderr: stdout is for scripts."""
    result = run("txn-update", "--add=svc/e1=1:1", "--if-exists=svc/a", "--if-mod-rev=svc/b=3")

    assert result == Result(
        8,
        "FAILURE\n",
        "Error: condition not met: if svc/a exists; "
        "condition not met: if svc/b has mod_revision 3\n",
    )


def test_a_dry_run_can_be_run(run: Run, etcd: Etcd) -> None:
    """It prints the folded transaction as a file."""
    args = ["--add=svc/e1=1:1", "--add=svc/e1=1:2", "--del=svc/e2", "--if-absent=svc/e1"]

    result = run("txn-update", *args, "--dry-run")

    assert result == Result(0, "# if svc/e1 is absent\nadd svc/e1 1:2 null\ndel svc/e2\n", "")
    assert etcd.get("") == {}
    assert run("txn-update", "-", input=result.out) == SUCCESS
    assert etcd.get("") == {b"svc/e1": value("1:2")}


def many(number: int) -> str:
    """Return a file of *number* updates."""
    return "".join(f"add svc/e{each:04} 1:{each}\n" for each in range(1, number + 1))


def test_a_hundred_are_one_revision(run: Run, etcd: Etcd) -> None:
    """And so are as many as etcd takes."""
    before = etcd.revision()

    assert run("txn-update", "-", input=many(128)) == SUCCESS
    assert len(etcd.get("")) == 128
    assert etcd.revision() == before + 1


@pytest.mark.parametrize("option", [[], ["--dry-run"]])
def test_more_than_etcd_takes_are_refused(run: Run, etcd: Etcd, option: list[str]) -> None:
    """Never split unasked; and nothing is written."""
    result = run("txn-update", "-", *option, input=many(200))

    assert result == Result(
        128,
        "",
        "Error: 200 operations are more than the 128 that etcd takes in one transaction: "
        "nothing was written; "
        "set --max-txn-ops to the server's limit, or split with --batch-size N\n",
    )
    assert etcd.get("") == {}


def test_an_etcd_that_takes_more_is_given_more(own_etcd: Callable[..., Etcd]) -> None:
    """If both sides are told."""
    etcd = own_etcd("--max-txn-ops=300")

    result = Run(etcd.endpoint)("txn-update", "-", "--max-txn-ops", "300", input=many(200))

    assert result == SUCCESS
    assert len(etcd.get("")) == 200


def test_batches_are_not_one_transaction(run: Run, etcd: Etcd) -> None:
    """But all is written, in as few as it takes."""
    before = etcd.revision()

    assert run("txn-update", "-", "--batch-size", "128", input=many(300)) == SUCCESS
    assert len(etcd.get("")) == 300
    assert etcd.revision() == before + 3


@pytest.mark.parametrize("format", ["fields", "json", "simple", "table"])
def test_txn_update_of_an_empty_file_succeeds(run: Run, format: str) -> None:
    """The same, in batches or at once."""
    at_once = run("txn-update", "-", "-w", format)

    assert at_once.status == 0
    assert at_once.out
    assert run("txn-update", "-", "-w", format, "--batch-size", "9") == at_once


def test_batch_has_all_updates_of_a_key(run: Run, etcd: Etcd) -> None:
    """So the last word counts here too, and a lease that is left is told."""
    lease = etcd.grant(60)
    etcd.put("svc/e1", value("1:1"), lease)
    updates = "del svc/e1\nadd svc/e2 1:1\nadd svc/e1 1:2\ndel svc/e2\n"

    result = run("txn-update", "-", "--batch-size", "1", input=updates)

    warning = f"Warning: svc/e1 was detached from lease {lease:016x} and is permanent now\n"
    assert result == Result(0, "SUCCESS\n", warning)
    assert etcd.get("") == {b"svc/e1": value("1:2")}


def test_txn_update_reports_the_written_updates_when_a_batch_fails(run: Run, etcd: Etcd) -> None:
    """What is written stays written."""
    updates = [{"op": "add", "key": f"svc/e{each}", "addr": "1:1"} for each in range(5)]
    updates[3]["lease"] = "123"

    result = run("txn-update", "-", "--batch-size", "2", input=json.dumps(updates))

    assert result == Result(
        1,
        "",
        "Warning: 2 of 5 updates were written\nError: etcdserver: requested lease not found\n",
    )
    assert set(etcd.get("")) == {b"svc/e0", b"svc/e1"}


def test_batch_with_an_unknown_outcome_may_be_among_the_written(run: Run, etcd: Etcd) -> None:
    """So the number is the least there can be."""
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


def test_shows_how_far_the_batches_have_come(
    terminal: Terminal, etcd: Etcd, tmp_path: Path
) -> None:
    """To who waits at a terminal; and a Ctrl-C leaves that as it was."""
    file = tmp_path / "updates"
    file.write_text(many(20_000))
    screen = terminal("txn-update", file, "--batch-size", "1")

    screen.expect(r"\d+/20000")
    screen.sendintr()
    screen.expect(r"Warning: (\d+) of 20000 updates were written\r\n")
    assert isinstance(screen.match, re.Match)
    said = int(screen.match[1])
    screen.wait()

    assert screen.signalstatus == signal.SIGINT
    # The one that was under way may have been written or not.
    assert len(etcd.get("svc/")) in (said, said + 1)


def test_shows_no_bar_in_a_pipe(run: Run) -> None:
    """A log is no terminal."""
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
    """Before anything is sent."""
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
def test_every_key_lies_under_its_target(run: Run, args: list[str], message: str) -> None:
    """Those of conditions too."""
    assert run("txn-update", *args) == Result(128, "", f"Error: {message}\n")


def test_a_bad_line_is_named_and_nothing_sent(run: Run, etcd: Etcd, tmp_path: Path) -> None:
    """File and line, for who has to mend it."""
    file = tmp_path / "updates"
    file.write_text("add svc/e1 1:1\n\n# comment\nadd svc/e2\n")

    assert run("txn-update", file) == Result(3, "", f"Error: {file}:4: ADDR missing\n")
    assert etcd.get("") == {}


def test_a_key_of_another_target_is_named_with_its_line(run: Run, etcd: Etcd) -> None:
    """That is a mistake in the file, too."""
    result = run("txn-update", "-", "--target", "svc", input="add svc/e1 1:1\nadd web/e1 1:1\n")

    assert result == Result(
        3,
        "",
        "Error: stdin:2: endpoints: endpoint key should be prefixed with 'svc/' got: 'web/e1'\n",
    )
    assert etcd.get("") == {}


def test_json_has_the_updates(run: Run) -> None:
    """One object a transaction."""
    result = run("-w", "json", "txn-update", "--add=svc/e1=1:1", "--del=svc/e2")

    answer = result.json()
    assert answer["succeeded"] is True
    assert [(each["op"], each["key"], each["addr"]) for each in answer["updates"]] == [
        ("add", "svc/e1", "1:1"),
        ("delete", "svc/e2", None),
    ]


def test_json_output_is_a_valid_update_file(run: Run, etcd: Etcd) -> None:
    """Its updates are updates."""
    plan = run("-w", "json", "txn-update", "--dry-run", "--add=svc/e1=1:1", "--del=svc/e2").json()

    assert run("txn-update", "-", input=json.dumps(plan["updates"])) == SUCCESS
    assert etcd.get("") == {b"svc/e1": value("1:1")}


@pytest.mark.server
def test_a_reader_can_not_write(auth_etcd: Callable[..., Etcd]) -> None:
    """Older etcd lets one through who nests transactions."""
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
def test_a_role_for_the_prefix_is_enough(auth_etcd: Callable[..., Etcd]) -> None:
    """Nothing outside of it is looked at."""
    etcd = auth_etcd()

    result = Run(etcd.endpoint)(
        "--user", WRITER, "txn-update", "--add=svc/e1=1:2", "--if-absent=svc/e2"
    )

    assert result == SUCCESS
