"""`etcdnaming watch`: the existing endpoints, then each change, in every line format."""

from __future__ import annotations

import json
import re
import shlex
import signal
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml
from harness import AT_ONCE, TIMEOUT, Etcd, Process, Result, Run, Shell, Spawn, wait_until
from harness.watcher import put, stored

from etcdnaming.cli.output import FORMATS

NASTY = '{"Addr":"\\u001b[31m1:1","Metadata":"\\u009b\\u202e\\n"}'


def objects(process: Process) -> list[Any]:
    """Return the objects that the process has printed so far."""
    return [json.loads(line) for line in process.out.splitlines()]


def put_at_once(etcd: Etcd, *names: str) -> None:
    """Store endpoints in one transaction; the address of each is its name."""
    puts = "\n".join(f"put svc/{name} {json.dumps(stored(name))}" for name in names)
    etcd.ctl("txn", input=f"\n{puts}\n\n\n")


def test_watch_prints_existing_endpoints_then_each_change(spawn: Spawn, etcd: Etcd) -> None:
    """Each is one line, printed at once; a deletion shows the deleted endpoint."""
    etcd.put("svc/e2", stored("2:2"))
    etcd.put("svc/e1", '{"Op":0,"Addr":"1:1","Metadata":{"zone":"a"}}')
    etcd.put("svcx/e1", stored("9:9"))
    watch = spawn("watch", "svc")
    watch.wait_for_out("svc/e2")

    etcd.put("svc/e2", stored("3:3"))
    watch.wait_for_out("3:3")
    etcd.delete("svc/e1")
    watch.wait_for_out("DELETE")

    assert watch.out == (
        'PUT\tsvc/e1\t1:1\t{"zone":"a"}\n'
        "PUT\tsvc/e2\t2:2\tnull\n"
        "PUT\tsvc/e2\t3:3\tnull\n"
        'DELETE\tsvc/e1\t1:1\t{"zone":"a"}\n'
    )
    assert watch.err == ""


def test_watch_json_prints_one_object_for_each_event(spawn: Spawn, etcd: Etcd) -> None:
    """Each object has all members, so programs need not check whether they exist."""
    lease = etcd.grant(60)
    etcd.put("svc/e1", stored("1:1"), lease=lease)
    first = etcd.revision()
    watch = spawn("watch", "svc", "-w", "json")
    watch.wait_for_out("SYNCED")
    etcd.put("svc/e1", stored("2:2"))
    etcd.delete("svc/e1")
    watch.wait_for_out("DELETE")

    event = {"key": "svc/e1", "key_base64": None, "metadata": None, "resync": False}
    on_lease = {"addr": "1:1", "lease": f"{lease:016x}"}
    alone = {"addr": "2:2", "lease": "0"}
    held = {"key": "svc/e1", "key_base64": None, "metadata": None, "create_revision": first}
    assert objects(watch) == [
        {"type": "PUT", "revision": first, **event, **on_lease, "prev": None},
        {"type": "SYNCED", "revision": first, "count": 1},
        {
            "type": "PUT",
            "revision": first + 1,
            **event,
            **alone,
            "prev": {**held, **on_lease, "mod_revision": first, "version": 1},
        },
        {
            "type": "DELETE",
            "revision": first + 2,
            **event,
            **alone,
            "prev": {**held, **alone, "mod_revision": first + 1, "version": 2},
        },
    ]


def test_watch_yaml_prints_one_document_for_each_event(spawn: Spawn, etcd: Etcd) -> None:
    """The documents mean what the JSON objects mean, and are printed at once."""
    put(etcd, e1="1:1")
    watch = spawn("watch", "svc", "-w", "yaml")
    watch.wait_for_out("SYNCED")
    etcd.delete("svc/e1")
    watch.wait_for_out('resync: false\n---\ntype: "SYNCED"')
    watch.wait_for_out('"DELETE"')
    watch.signal(signal.SIGTERM)
    watch.finish()

    assert [each["type"] for each in yaml.safe_load_all(watch.out)] == ["PUT", "SYNCED", "DELETE"]


def test_watch_json_prints_synced_when_the_target_is_empty(spawn: Spawn, etcd: Etcd) -> None:
    """An empty target is not the same as an unknown one."""
    watch = spawn("watch", "svc", "-w", "json")
    watch.wait_for_out("SYNCED")

    assert objects(watch) == [{"type": "SYNCED", "revision": etcd.revision(), "count": 0}]


def test_watch_json_prints_keys_that_are_not_utf8_in_base64(spawn: Spawn, etcd: Etcd) -> None:
    """JSON can not represent arbitrary bytes."""
    etcd.put(b"svc/\xff", stored("1:1"))
    watch = spawn("watch", "svc", "-w", "json")
    watch.wait_for_out("SYNCED")

    assert (objects(watch)[0]["key"], objects(watch)[0]["key_base64"]) == ("svc/\ufffd", "c3ZjL/8=")


def test_watch_fields_are_those_of_etcdctl(run: Run, etcd: Etcd) -> None:
    """Only the value and the header differ, as the responses may come from several members."""
    etcd.put("svc/e1", stored("1:1"), lease=etcd.grant(60))
    revision = etcd.revision()
    etcd.put("svc/e1", stored("2:2"))
    etcd.delete("svc/e1")

    ours = run("watch", "svc", f"--rev={revision}", "--count=3", "-w", "fields").out

    assert '"Addr" : "2:2"\n"Metadata" : null\n' in ours
    assert re.sub('"(Prev)?(Addr|Metadata)" : .*\n', "", ours) == _etcdctls_fields(etcd, revision)


def _etcdctls_fields(etcd: Etcd, revision: int) -> str:
    command = [str(etcd.programs.etcdctl), f"--endpoints={etcd.endpoint}", "-w", "fields"]
    command += ["watch", "--prev-kv", f"--rev={revision}", "--prefix", "svc/"]
    with closing(Process(command, {"ETCDCTL_API": "3"})) as watch:
        watch.wait_for_out('"Version" : 0\n"Value" : ""\n"Lease" : 0\n')
        return re.sub('"(ClusterID|MemberID|RaftTerm|(Prev)?Value)" : .*\n', "", watch.out)


def test_watch_prints_a_table_for_each_batch_in_a_pipe(spawn: Spawn, etcd: Etcd) -> None:
    """Nothing is cut, and a change shows the previous endpoint."""
    long = "x" * 300
    put(etcd, e1="1:1")
    watch = spawn("watch", "svc", "-w", "table")
    watch.wait_for_out("1 endpoint under svc")
    put(etcd, e1=f"{long}:2")
    watch.wait_for_out("1 change under svc")
    revision = etcd.revision()
    etcd.delete("svc/e1")
    watch.wait_for_out("removed")
    watch.wait_for_out(f"revision {revision + 1}")

    assert watch.out == (
        "KEY     ADDR  LEASE  METADATA\n"
        "svc/e1  1:1   -\n"
        "\n"
        f"1 endpoint under svc, revision {revision - 1}\n"
        "\n"
        f"CHANGE   KEY     ADDR{' ' * 298}  LEASE  METADATA\n"
        f"changed  svc/e1  {long}:2  -\n"
        f"was      svc/e1  1:1{' ' * 299}  -\n"
        "\n"
        f"1 change under svc, revision {revision}\n"
        "\n"
        f"CHANGE   KEY     ADDR{' ' * 298}  LEASE  METADATA\n"
        f"removed  svc/e1  {long}:2  -\n"
        "\n"
        f"1 change under svc, revision {revision + 1}\n"
    )


def test_watch_reports_an_invalid_value(spawn: Spawn, etcd: Etcd) -> None:
    """It is on stderr and in JSON; if it replaces an endpoint, that one is deleted."""
    put(etcd, e1="1:1")
    etcd.put("svc/e2", "nonsense")
    watch = spawn("watch", "svc", "-w", "json")
    watch.wait_for_out("SYNCED")
    etcd.put("svc/e1", "rubbish")
    watch.wait_for_out('"rubbish'[1:])
    watch.wait_for_err("rubbish")

    _, bad, synced, gone, spoiled = objects(watch)
    assert (bad["type"], bad["key"], bad["value_base64"]) == ("INVALID", "svc/e2", "bm9uc2Vuc2U=")
    assert bad.keys() == {
        *("type", "key", "key_base64", "reason", "value_base64", "mod_revision"),
    }
    assert synced["count"] == 1
    assert (gone["type"], gone["addr"]) == ("DELETE", "1:1")
    assert (spoiled["type"], spoiled["key"]) == ("INVALID", "svc/e1")
    assert watch.err.splitlines() == [
        "Warning: svc/e2: not JSON: a value expected at character 0, found 'nonsense'",
        "Warning: svc/e1: not JSON: a value expected at character 0, found 'rubbish'",
    ]


@pytest.mark.parametrize("form", FORMATS)
def test_watch_escapes_unprintable_characters_from_etcd(run: Run, etcd: Etcd, form: str) -> None:
    """Both stdout and stderr have no escape codes."""
    revision = etcd.revision() + 1
    etcd.put("svc/\x1b[2J\n", NASTY)
    etcd.put("svc/\x1b[2J\n", "\x1b[2J")

    result = run("watch", "svc", f"--rev={revision}", "--count=2", "-w", form)

    assert result.status == 0
    assert result.out.replace("\t", "").replace("\n", "").isprintable()
    assert result.err.replace("\n", "").isprintable()


def test_watch_only_omits_the_existing_endpoints(spawn: Spawn, etcd: Etcd) -> None:
    """The SYNCED object is omitted, too."""
    put(etcd, e1="1:1")
    watch = spawn("watch", "svc", "--watch-only", "--count=1", "-w", "json")
    _put_until_seen(etcd, watch)

    first, *_ = objects(watch)
    assert (first["type"], first["addr"], first["prev"]["key"]) == ("PUT", "2:2", "svc/e1")
    assert len(objects(watch)) == 1


def _put_until_seen(etcd: Etcd, watch: Process) -> None:
    """Change e1 until a change is printed, as nothing shows when the watch has begun."""
    end = time.monotonic() + TIMEOUT
    while not watch.out and time.monotonic() < end:
        put(etcd, e1="2:2")


def test_watch_starts_at_the_given_revision_with_rev(run: Run, etcd: Etcd) -> None:
    """As in etcdctl; the previous endpoints are known, too."""
    put(etcd, e1="1:1")
    put(etcd, e1="2:2")
    revision = etcd.revision()
    put(etcd, e2="3:3")

    result = run("watch", "svc", f"--rev={revision}", "--count=2", "-w", "json")

    lines = [json.loads(line) for line in result.out.splitlines()]
    assert [(line["type"], line["addr"]) for line in lines] == [("PUT", "2:2"), ("PUT", "3:3")]
    assert lines[0]["prev"]["addr"] == "1:1"


def test_watch_fails_when_the_revision_is_compacted(run: Run, etcd: Etcd) -> None:
    """The error has the oldest revision that is available."""
    put(etcd, e1="1:1")
    put(etcd, e1="2:2")
    revision = etcd.revision()
    etcd.ctl("compact", str(revision))

    result = run("watch", "svc", f"--rev={revision - 1}")

    assert (result.status, result.out) == (5, "")
    assert re.fullmatch(rf"Error: .*compacted.* {revision}\n", result.err)


def test_watch_ends_after_exactly_count_changes(run: Run, etcd: Etcd) -> None:
    """It may end in the middle of a transaction."""
    revision = etcd.revision() + 1
    put_at_once(etcd, "e1", "e2", "e3")

    result = run("watch", "svc", f"--rev={revision}", "--count=2")

    assert result == Result(0, "PUT\tsvc/e1\te1\tnull\nPUT\tsvc/e2\te2\tnull\n", "")


def test_watch_ends_at_the_timeout(run: Run, etcd: Etcd) -> None:
    """The error has the number of changes so far if there is a --count."""
    put(etcd, e1="1:1")
    start = time.monotonic()

    assert run("watch", "svc", "--timeout=1500ms") == Result(
        124, "PUT\tsvc/e1\t1:1\tnull\n", "Error: timed out after 1.5s\n"
    )
    counting = run("watch", "svc", f"--rev={etcd.revision()}", "--count=2", "--timeout=1500ms")
    assert (counting.status, counting.err) == (
        124,
        "Error: timed out after 1.5s: 1 of 2 changes\n",
    )
    assert 3.0 <= time.monotonic() - start < 3.0 + AT_ONCE


def test_watch_succeeds_when_the_count_is_reached_before_the_timeout(run: Run, etcd: Etcd) -> None:
    """It does not wait for the timeout."""
    put(etcd, e1="1:1")
    revision = etcd.revision()

    assert run("watch", "svc", f"--rev={revision}", "--count=1", "--timeout=1h").status == 0


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["svc", "--debounce=1s"], "--debounce and --on-error need a command: -- CMD"),
        (["svc", "--on-error=continue"], "--debounce and --on-error need a command: -- CMD"),
        (["svc", "--count=0"], "'--count': must be at least 1"),
        (["svc", "--timeout=0"], "'--timeout': a timeout must be more than 0"),
        (["svc", "--rev=-1"], "'--rev': '-1' is not a whole number of 0 or more"),
        (["/"], "it names no service"),
        ([], "Missing argument 'TARGET...'"),
    ],
)
def test_watch_reports_wrong_usage_in_one_line(run: Run, args: list[str], message: str) -> None:
    """Nothing else is printed."""
    result = run("watch", *args)

    assert (result.status, result.out, result.err.count("\n")) == (128, "", 1)
    assert message in result.err


def test_watch_refuses_an_unknown_format_before_it_connects(run: Run) -> None:
    """There is no etcd here."""
    result = run("watch", "svc", "-w", "xml", "--endpoints=127.0.0.1:1")

    assert (result.status, result.out) == (4, "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_watch_ends_at_once_when_it_is_signalled(spawn: Spawn, etcd: Etcd, number: int) -> None:
    """It is killed by that signal and prints no message, whether etcd is reachable or not."""
    connected = spawn("watch", "svc", "-w", "json")
    lost = spawn("watch", "svc", "--endpoints=127.0.0.1:1", "--dial-timeout=500ms")
    connected.wait_for_out("SYNCED")
    lost.wait_for_err("not connected yet")

    for watch in (connected, lost):
        start = time.monotonic()
        watch.signal(number)
        assert watch.finish().status == -number
        assert time.monotonic() - start < AT_ONCE
    assert connected.err == ""


def test_watch_ends_when_the_reader_of_its_pipe_exits(shell: Shell, etcd: Etcd) -> None:
    """It does not wait for the next change."""
    put(etcd, e1="1:1", e2="2:2")
    start = time.monotonic()

    result = shell("etcdnaming watch svc | head -1; echo ${PIPESTATUS[0]}")

    assert result == (0, "PUT\tsvc/e1\t1:1\tnull\n141\n", "")
    assert time.monotonic() - start < 2 * AT_ONCE


def test_watch_fails_when_the_disk_is_full(shell: Shell, etcd: Etcd) -> None:
    """Lost lines must not be taken for written ones."""
    put(etcd, e1="1:1")

    assert shell("etcdnaming watch svc > /dev/full") == (
        6,
        "",
        "Error: stdout: No space left on device\n",
    )


def test_watch_help_examples_print_the_output_they_show(
    spawn: Spawn, etcd: Etcd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commands are copied from the help."""
    etcd.put("foo/bar/svc/e1", '{"Op":0,"Addr":"1.2.3.4:80","Metadata":{"zone":"a"}}')
    monkeypatch.chdir(tmp_path)
    shown = spawn("watch", "--help").finish().out
    first, second = re.findall(r"^  \$ etcdnaming (.*)$", shown, re.MULTILINE)

    watch = spawn(*shlex.split(first))
    watch.wait_for_out("\n")
    assert f"  {watch.out}".replace("\t", "  ") in shown

    spawn(*shlex.split(second))
    wait_until(lambda: "1.2.3.4:80" in _read(tmp_path / "endpoints.json"))


def _read(file: Path) -> str:
    return file.read_text() if file.exists() else ""
