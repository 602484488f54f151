"""`etcdnaming export`, `diff` and `apply`: a target as a file, and back."""

from __future__ import annotations

import json
import signal
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from harness import Etcd, Result, Run, Shell, Terminal
from harness.auth import READER, READER_NEEDS, WRITER
from harness.hostile import HostileProxy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from wire_documents import metadata, texts

from etcdnaming import EndpointManager, Update, wire
from etcdnaming.etcd import Client
from etcdnaming.etcd import rpc_pb2 as rpc
from etcdnaming.keys import decode
from etcdnaming.model import Endpoint

E1 = '{"Op":0,"Addr":"10.0.0.1:80","Metadata":{"zone":"a"}}'
E2 = '{"Op":0,"Addr":"10.0.0.2:80","Metadata":null}'
FILE = 'add svc/e1 10.0.0.1:80 {"zone":"a"}\nadd svc/e2 10.0.0.2:80 null\n'
REASON = "not JSON: a value expected at character 0, found 'x'"


@pytest.fixture
def two(etcd: Etcd) -> Etcd:
    """Return an etcd with two endpoints of `svc`, and a key beside it."""
    etcd.put_all({b"svc/e1": E1.encode(), b"svc/e2": E2.encode(), b"svc_other/e1": E2.encode()})
    return etcd


def test_export_prints_an_update_file(run: Run, two: Etcd) -> None:
    """`txn-update` makes the same endpoints of it."""
    before = two.get("")
    exported = run("export", "svc")
    assert exported == Result(0, FILE, "")
    two.ctl("del", "--prefix", "svc/")

    assert run("txn-update", "-", input=exported.out) == Result(0, "SUCCESS\n", "")
    assert two.get("") == before


def test_export_names_what_is_no_endpoint(run: Run, two: Etcd) -> None:
    """It is in the output, too, so that a file can't look complete; --strict prints nothing."""
    two.put("svc/bad", "x")

    assert run("export", "svc") == Result(
        0,
        FILE + f"# not an endpoint: svc/bad: {REASON}\n",
        f"Warning: svc/bad: {REASON}: not exported\n",
    )
    found = run("export", "svc", "-w", "json").json()
    assert [each["key"] for each in found["invalid"]] == ["svc/bad"]
    assert run("export", "svc", "--strict") == Result(3, "", f"Error: svc/bad: {REASON}\n")


def test_export_warns_of_a_key_that_a_reader_completes(run: Run, etcd: Etcd) -> None:
    """A KEY that ends in "/" means another key in an update file."""
    etcd.put("svc/x/", E2)

    assert run("export", "svc") == Result(
        0,
        "add svc/x/ 10.0.0.2:80 null\n",
        'Warning: svc/x/ ends in "/": a reader completes it with the address\n',
    )


@pytest.mark.parametrize("source", [["list", "svc"], ["get", "svc/x/"], ["export", "svc"]])
def test_json_output_is_read_with_its_keys_as_they_are(
    run: Run, etcd: Etcd, source: list[str]
) -> None:
    """A key that ends in "/" is not completed, as it is the key that etcd has."""
    etcd.put("svc/x/", E2)
    printed = run("-w", "json", *source)
    assert printed.err == ""

    wanted = etcd.get("svc")
    for command in (["txn-update", "-"], ["apply", "svc", "-f", "-"]):
        etcd.delete("svc/x/")
        assert run(*command, input=printed.out).status == 0
        assert etcd.get("svc") == wanted


def test_export_prints_an_older_revision(run: Run, two: Etcd) -> None:
    """An apply can be undone."""
    revision = two.revision()
    run("del", "--all", "svc/", "--yes")

    assert run("export", "svc").out == ""
    assert run("export", "svc", "--rev", str(revision)).out == FILE


def test_export_reads_again_when_compaction_overtakes_it(run: Run, etcd: Etcd) -> None:
    """Nothing of the first reading is printed."""
    values = {f"svc/{each:05}".encode(): E2.encode() for each in range(3000)}
    etcd.put_all(values)
    answers = 0

    def compact(answer: rpc.RangeResponse) -> None:
        nonlocal answers
        answers += 1
        if answers == 1:
            etcd.ctl("del", "svc/00000")
            etcd.ctl("compaction", str(etcd.revision()))

    with HostileProxy(etcd.endpoint) as proxy:
        proxy.changes["Range"] = compact
        result = run("--endpoints", proxy.endpoint, "export", "svc")

    assert (result.status, result.err) == (0, "")
    keys = [line.split()[1] for line in result.out.splitlines()]
    assert keys == [decode(each) for each in values][1:]


def test_export_prints_nothing_when_it_fails_half_way(run: Run, etcd: Etcd) -> None:
    """The other side of a pipe would delete what is missing."""
    etcd.put_all({f"svc/{each:05}".encode(): E2.encode() for each in range(3000)})
    answers = 0

    def spoil(answer: rpc.RangeResponse) -> None:
        nonlocal answers
        answers += 1
        if answers > 1:
            del answer.kvs[:]
            answer.more = True

    with HostileProxy(etcd.endpoint) as proxy:
        proxy.changes["Range"] = spoil
        result = run("--endpoints", proxy.endpoint, "export", "svc")

    assert (result.status, result.out) == (1, "")
    assert len(result.err.splitlines()) == 1


def test_diff_prints_what_apply_would_change(run: Run, two: Etcd) -> None:
    """Exit codes are those of diff(1), and nothing is written."""
    before = two.revision()
    file = 'add svc/e1 10.0.0.1:80 {"zone":"b"}\nadd svc/e3 1:1\n'
    changed = (
        '-\tsvc/e1\t10.0.0.1:80\t{"zone":"a"}\n'
        '+\tsvc/e1\t10.0.0.1:80\t{"zone":"b"}\n'
        "+\tsvc/e3\t1:1\tnull\n"
    )
    removed = "-\tsvc/e2\t10.0.0.2:80\tnull\n"

    assert run("diff", "svc", "-f", "-", input=FILE) == Result(0, "", "")
    assert run("diff", "svc", "-f", "-", input=file) == Result(1, changed, "")
    pruned = run("diff", "svc", "-f", "-", "--prune", input=file)
    assert (pruned.status, sorted(pruned.out.splitlines(True))) == (
        1,
        sorted((changed + removed).splitlines(True)),
    )
    dry = run("apply", "svc", "-f", "-", "--prune", "--dry-run", input=file)
    assert dry == pruned._replace(status=0)
    assert two.revision() == before


@pytest.mark.parametrize(
    ("args", "file", "status"),
    [
        (["--endpoints", "127.0.0.1:1", "--dial-timeout", "100ms"], "", 2),
        (["-w", "protobuf"], "", 4),
        (["--frob"], "", 128),
        ([], "add svc/e1", 3),
    ],
)
def test_diff_never_fails_with_the_exit_code_of_differences(
    run: Run, args: list[str], file: str, status: int
) -> None:
    """A script can tell an error from a difference."""
    result = run("diff", "svc", "-f", "-", *args, input=file)

    assert (result.status, result.out) == (status, "")
    assert result.err.startswith("Error: ")


def test_diff_fails_with_2_where_other_commands_fail_with_1(
    auth_etcd: Callable[..., Etcd],
) -> None:
    """etcd refuses the read."""
    run = Run(auth_etcd().endpoint)

    listed = run("--user", READER, "list", "other")
    result = run("--user", READER, "diff", "other", "-f", "-", input="")

    assert (listed.status, result.status) == (1, 2)
    assert result.err == listed.err


def test_reader_may_export_and_diff_but_not_apply(auth_etcd: Callable[..., Etcd]) -> None:
    """Nothing is written."""
    etcd = auth_etcd()
    etcd.put("svc/e2", E2)
    run = Run(etcd.endpoint)

    exported = run("--user", READER, "export", "svc").out
    assert exported == FILE.splitlines(True)[1]
    assert run("--user", READER, "diff", "svc", "-f", "-", input=exported).status == 0
    assert run("--user", READER, "apply", "svc", "-f", "-", input=FILE) == Result(
        1, "", f"{READER_NEEDS} readwrite permission on svc/e1, svc/e2\n"
    )
    assert etcd.get("svc/") == {b"svc/e2": E2.encode()}


def test_apply_makes_a_target_as_its_file(run: Run, etcd: Etcd) -> None:
    """A second time it writes nothing, and says nothing."""
    lease = etcd.grant(60)
    etcd.put("svc/e1", E2, lease)
    etcd.put("svc/old", E2)
    file = FILE + "del svc/none\n"
    before = etcd.revision()

    assert run("apply", "svc", "-f", "-", "--prune", input=file) == Result(
        0,
        "-\tsvc/e1\t10.0.0.2:80\tnull\n"
        '+\tsvc/e1\t10.0.0.1:80\t{"zone":"a"}\n'
        "+\tsvc/e2\t10.0.0.2:80\tnull\n"
        "-\tsvc/old\t10.0.0.2:80\tnull\n",
        "",
    )
    assert [(each.key, each.value, each.lease) for each in etcd.entries("")] == [
        (b"svc/e1", E1.encode(), lease),
        (b"svc/e2", E2.encode(), 0),
    ]
    assert run("apply", "svc", "-f", "-", "--prune", input=file) == Result(0, "", "")
    assert etcd.revision() == before + 1


def test_apply_prunes_endpoints_on_leases_only_with_force(run: Run, two: Etcd) -> None:
    """Each is named, and so is a value that is no endpoint."""
    lease = two.grant(60)
    two.put("svc/e2", E2, lease)
    two.put("svc/bad", "x")
    file = FILE.splitlines(True)[0]

    assert run("apply", "svc", "-f", "-", "--prune", input=file) == Result(
        0,
        "",
        f"Warning: svc/e2 is attached to lease {lease:016x}: not pruned; --force deletes it\n"
        "Warning: svc/bad is not an endpoint: not pruned; --force deletes it\n",
    )
    assert len(two.get("svc/")) == 3
    assert run("apply", "svc", "-f", "-", "--prune", "--force", input=file) == Result(
        0,
        "-\tsvc/bad\t\t\n-\tsvc/e2\t10.0.0.2:80\tnull\n",
        f"Warning: svc/e2 was attached to lease {lease:016x}; its owner may register it again\n",
    )
    assert two.get("svc/") == {b"svc/e1": E1.encode()}


@pytest.mark.parametrize("file", ["", "# nothing\n", "[]", "del svc/e1\n"])
def test_apply_refuses_to_prune_everything_because_a_file_is_empty(
    run: Run, two: Etcd, file: str
) -> None:
    """An export at the other side of a pipe may have failed."""
    before = two.get("")

    for command in ("apply", "diff"):
        assert run(command, "svc", "-f", "-", "--prune", input=file) == Result(
            3,
            "",
            "Error: stdin: no endpoints, so --prune would delete all of svc/; --force does it\n",
        )
    assert two.get("") == before
    assert run("apply", "svc", "-f", "-", "--prune", "--force", input=file).status == 0
    assert two.get("svc/") == {}


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (
            "add svc/e3 1:1\nadd web/e1 1:1\n",
            "stdin:2: endpoints: endpoint key should be prefixed with 'svc/' got: 'web/e1'",
        ),
        ("add svc/e3 1:1\n\nput svc/e1 1:1\n", "stdin:3: add or del expected, found 'put'"),
        (
            "add svc/e3 http://1:1\n",
            "stdin:1: the address 'http://1:1' is a URL: write HOST:PORT; --force stores it anyway",
        ),
        (
            '{"updates":[{"op":"add","key":"svc/e3","addr":"1:1"},{"op":"del"}]}',
            'stdin:1: "updates"[1]: "key" is missing',
        ),
        (
            '{"endpoints":[{"key":"svc/e3","addr":"1:1"},{"key":"svc/e4","addr":""}]}',
            "stdin:1: svc/e4: the address is empty; --force stores it anyway",
        ),
        ('{"more":true,"endpoints":[]}', 'stdin:1: "more" is true: the list was cut short'),
        (
            '{"dry_run":true,"updates":[],"conditions":[{"key":"svc/e1"}]}',
            'stdin:1: "conditions" are not read from a file: use options for them',
        ),
        ('{"type":"granted"}', 'stdin:1: "type" must be PUT or DELETE, not "granted"'),
        ('{"endpoints":{}}', 'stdin:1: "endpoints" must be an array'),
        ('{"key":"svc/e1","mod_revision":1}', 'stdin:1: "addr" is missing'),
        ('{"key":"svc/e1","addr":"1:1"}', 'stdin:1: "op" is missing'),
    ],
)
def test_apply_names_the_line_of_an_error_and_writes_nothing(
    run: Run, two: Etcd, file: str, message: str
) -> None:
    """The whole file is checked first."""
    before = two.get("")

    assert run("apply", "svc", "-f", "-", input=file) == Result(3, "", f"Error: {message}\n")
    assert two.get("") == before


def test_apply_splits_only_when_asked(run: Run, etcd: Etcd) -> None:
    """The dry run finds out, too."""
    file = "".join(f"add svc/{each:03} 1:1\n" for each in range(200))
    for args in ([], ["--dry-run"]):
        assert run("apply", "svc", "-f", "-", *args, input=file) == Result(
            128,
            "",
            "Error: 200 operations are more than the 128 that etcd takes in one transaction: "
            "nothing was written; "
            "set --max-txn-ops to the server's limit, or split with --batch-size N\n",
        )
    assert etcd.get("") == {}
    before = etcd.revision()

    result = run("apply", "svc", "-f", "-", "--batch-size", "100", "-w", "table", input=file)

    assert result.out.endswith(
        f"SUCCESS: 200 added, 0 changed, 0 removed, 0 unchanged under svc, revision {before + 2}\n"
    )
    assert etcd.revision() == before + 2


def test_apply_says_how_far_it_came_when_a_batch_fails(run: Run, etcd: Etcd) -> None:
    """The batches before it stay written."""
    updates = [{"op": "add", "key": f"svc/{each}", "addr": "1:1"} for each in range(5)]
    updates[3]["lease"] = "123"

    result = run("apply", "svc", "-f", "-", "--batch-size", "2", input=json.dumps(updates))

    assert result == Result(
        1,
        "",
        "Warning: 2 of 5 updates were written\nError: etcdserver: requested lease not found\n",
    )
    assert set(etcd.get("")) == {b"svc/0", b"svc/1"}


def test_export_and_apply_move_a_service_to_another_etcd(
    shell: Shell, two: Etcd, own_etcd: Callable[..., Etcd]
) -> None:
    """One pipe, as text and as JSON; what was on a lease is permanent there."""
    two.put("svc/e3", E2, two.grant(60))
    other = own_etcd()
    there = f"etcdnaming --endpoints {other.endpoint}"

    result = shell(f"etcdnaming export svc | {there} apply svc -f -")

    assert (result.status, result.err) == (0, "")
    assert other.get("") == two.get("svc/")
    assert {each.lease for each in other.entries("")} == {0}
    for source in ("list", "export"):
        same = shell(f"etcdnaming {source} svc -w json | {there} diff svc -f - --prune")
        assert (same.status, same.out, same.err) == (0, "", "")


JSON_SOURCES: dict[str, tuple[str, ...]] = {
    "list": ("list", "svc"),
    "export": ("export", "svc"),
    "wait": ("wait", "svc"),
    "diff": ("diff", "svc", "-f", "FILE"),
    "apply": ("apply", "svc", "-f", "FILE"),
    "dry run": ("txn-update", "FILE", "--dry-run"),
    "txn-update": ("txn-update", "FILE"),
}


@pytest.mark.parametrize("source", JSON_SOURCES)
def test_json_output_of_a_command_is_read_again(
    run: Run, two: Etcd, tmp_path: Path, source: str
) -> None:
    """`txn-update` and `apply` make the same endpoints of it, on no lease."""
    file = tmp_path / "updates"
    file.write_text(FILE)
    changes = source in ("diff", "apply")
    wanted = two.get("svc/")
    two.put("svc/e1", E1, two.grant(60))
    if changes:
        two.ctl("del", "--prefix", "svc/")
    words = [str(file) if word == "FILE" else word for word in JSON_SOURCES[source]]
    printed = run("-w", "json", *words).out

    for command in (["txn-update", "-"], ["apply", "svc", "-f", "-"]):
        two.ctl("del", "--prefix", "svc/")
        assert run(*command, input=printed).status == 0
        assert two.get("svc/") == wanted
        assert {each.lease for each in two.entries("svc/")} == {0}


def test_json_output_with_invalid_values_is_read_with_a_warning(run: Run, two: Etcd) -> None:
    """Each key is named with the reason."""
    two.put("svc/bad", "x")

    for command in ("list", "export"):
        result = run("diff", "svc", "-f", "-", input=run("-w", "json", command, "svc").out)
        assert result == Result(0, "", f"Warning: stdin:1: left out: svc/bad: {REASON}\n")


names = st.builds(
    "svc/{}{}".format, st.binary(min_size=1, max_size=6).map(decode), st.sampled_from(["", "/"])
)
addrs = st.text(string.ascii_lowercase, min_size=1, max_size=5).map("{}:1".format)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(names, st.tuples(addrs, metadata | texts), min_size=1, max_size=5))
def test_any_endpoints_survive_each_way_of_printing_and_reading_them(
    run: Run, etcd: Etcd, found: dict[str, tuple[str, Any]]
) -> None:
    """Keys of any bytes and any metadata; the bytes in etcd are the same."""
    etcd.empty()
    with Client([etcd.endpoint]) as client:
        manager = EndpointManager(client, "svc")
        manager.update([Update.add(key, Endpoint(*each)) for key, each in found.items()])
        wanted = manager.list().by_key()
        sources = [["export", "-w", "json"], ["list", "-w", "json"]]
        if not any(key.endswith("/") for key in found):  # an update file completes such a KEY
            sources.append(["export"])
        for source in sources:
            printed = run(source[0], "svc", *source[1:]).out.encode("utf-8", "surrogateescape")
            assert run("diff", "svc", "-f", "-", "--prune", input=printed) == Result(0, "", "")
            manager.delete_all()
            assert run("apply", "svc", "-f", "-", input=printed).status == 0
            again = manager.list().by_key()
            assert again.keys() == wanted.keys()
            for key, endpoint in again.items():
                assert wire.encode(endpoint) == wire.encode(wanted[key])


def test_apply_gives_up_when_another_client_is_always_faster(run: Run, etcd: Etcd) -> None:
    """The other client's value stays, and the exit code is that of a conflict."""
    reads = 0

    def write(_: rpc.RangeResponse) -> None:
        nonlocal reads
        reads += 1
        etcd.put("svc/e1", f'{{"Addr":"9:{reads}"}}')

    with HostileProxy(etcd.endpoint) as proxy:
        proxy.changes["Range"] = write
        result = run("--endpoints", proxy.endpoint, "apply", "svc", "-f", "-", input=FILE)

    assert result == Result(
        8,
        "",
        "Error: svc/e1: changed by other clients 10 times while being written: "
        "nothing was written\n",
    )
    assert etcd.get("") == {b"svc/e1": b'{"Addr":"9:10"}'}


def test_apply_prints_what_it_prunes_although_it_was_added_after_the_plan(
    run: Run, two: Etcd
) -> None:
    """It is neither deleted nor kept in silence."""
    reads = 0

    def write(_: rpc.RangeResponse) -> None:
        nonlocal reads
        reads += 1
        if reads == 1:
            two.put("svc/new", E2)

    with HostileProxy(two.endpoint) as proxy:
        proxy.changes["Range"] = write
        args = ("apply", "svc", "-f", "-", "--prune")
        result = run("--endpoints", proxy.endpoint, *args, input=FILE.splitlines(True)[0])

    removed = "-\tsvc/e2\t10.0.0.2:80\tnull\n-\tsvc/new\t10.0.0.2:80\tnull\n"
    assert result == Result(0, removed, "")
    assert two.get("svc/") == {b"svc/e1": E1.encode()}


def test_apply_prunes_with_a_role_for_its_target_only(auth_etcd: Callable[..., Etcd]) -> None:
    """The compare of all keys of the target needs no more than that."""
    etcd = auth_etcd()
    etcd.put("svc/old", E2)

    result = Run(etcd.endpoint)(
        "--user", WRITER, "apply", "svc", "-f", "-", "--prune", input=FILE.splitlines(True)[0]
    )

    assert (result.status, result.err) == (0, "")
    assert etcd.get("svc/") == {b"svc/e1": E1.encode()}


def test_apply_shows_the_progress_of_batches_on_a_terminal(
    terminal: Terminal, etcd: Etcd, tmp_path: Path
) -> None:
    """Ctrl-C prints the number of written updates, below the bar."""
    file = tmp_path / "updates"
    file.write_text("".join(f"add svc/{each} 1:1\n" for each in range(5000)))
    screen = terminal("apply", "svc", "-f", file, "--batch-size", "1")

    screen.expect(r"[1-9]\d*/5000")  # a batch is written
    screen.sendintr()
    screen.expect(r"Warning: (\d+) of 5000 updates were written\r\n")
    screen.wait()
    assert screen.signalstatus == signal.SIGINT


def test_two_applies_at_once_end_as_one_of_them(run: Run, etcd: Etcd, shell: Shell) -> None:
    """In processes of their own, as two operators start them."""
    first, second = (
        "".join(f"add svc/{name} {addr}\n" for name in "abcdef") for addr in ("1:1", "2:2")
    )
    start = "printf '%s' '{}' | etcdnaming apply svc -f - > /dev/null & "

    result = shell(f"{start.format(first)}one=$!; {start.format(second)}wait $one && wait $!")

    assert (result.status, result.err) == (0, "")
    assert len(etcd.get("svc/")) == 6
    assert len(set(etcd.get("svc/").values())) == 1


def test_export_on_a_terminal_is_an_update_file_too(terminal: Terminal, two: Etcd) -> None:
    """What is copied from there can be pasted into a file."""
    screen = terminal("export", "svc")
    screen.expect_exact(FILE.replace("\n", "\r\n"))


@pytest.mark.long
def test_export_of_a_hundred_thousand_endpoints_takes_little_memory(
    shell: Shell, etcd: Etcd
) -> None:
    """A `diff` with all of it finds nothing."""
    value = wire.encode(Endpoint("10.0.0.1:80", {"text": "x" * 900}))
    etcd.put_all({f"svc/{each:06}".encode(): value for each in range(100_000)})
    usage = "import resource; print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    script = f"import subprocess, sys; subprocess.run(sys.argv[1:], check=True); {usage}"

    result = shell(f"python -c '{script}' etcdnaming export svc -w json | tail -1")

    assert result.err == ""
    kilobytes = int(result.out.splitlines()[-1])
    assert kilobytes < 200_000
    same = shell("etcdnaming export svc | etcdnaming diff svc -f - --prune --command-timeout 60s")
    assert same == (0, "", "")
