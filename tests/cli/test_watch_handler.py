"""`etcdnaming watch TARGET -- CMD`: when the handler runs, its input, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pexpect
import pytest
from harness import AT_ONCE, TIMEOUT, Etcd, Process, Result, Run, Spawn, Terminal, wait_until
from harness.process import command
from harness.watcher import put, stored

from etcdnaming import Client, EndpointManager
from etcdnaming.cli.following.handler import variables
from etcdnaming.cli.settings import PREFIXES, SETTINGS
from etcdnaming.model import ChangeBatch, Endpoint

ENVIRONMENT = ("sh", "-c", "env | grep -a '^ETCD[A-Z]*_WATCH_' | sort; echo .")


class Runs:
    """
    A handler that appends its stdin to a file, and that can be held.

    While the file *hold* exists, a run that has begun does not end.
    """

    def __init__(self, directory: Path) -> None:
        self._reported = directory / "reported"
        self.hold = directory / "hold"
        script = f"cat >> {self._reported}; while [ -e {self.hold} ]; do sleep 0.02; done"
        self.command = ("sh", "-c", script)

    def reported(self) -> list[Any]:
        """Return the object that each run has received on its stdin."""
        written = self._reported.read_text() if self._reported.exists() else ""
        return [json.loads(line) for line in written.split("\n")[:-1]]

    def wait_for(self, number: int) -> list[Any]:
        """Wait until there were *number* runs, and return the object that each has received."""
        wait_until(lambda: len(self.reported()) >= number)
        assert len(self.reported()) == number
        return self.reported()


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    """Return a handler that records its runs."""
    return Runs(tmp_path)


def addresses(reported: Any) -> list[tuple[str, str]]:
    """Return type and address of the changes that a run has received."""
    return [(event["type"], event["addr"]) for event in reported["events"] if "addr" in event]


def test_handler_runs_for_the_existing_endpoints_and_for_each_change(
    spawn: Spawn, etcd: Etcd, runs: Runs
) -> None:
    """Its stdin has the events as in -w json, and all endpoints."""
    put(etcd, e1="1:1")
    watch = spawn("watch", "svc", "-w", "json", "--", *runs.command)
    runs.wait_for(1)
    put(etcd, e2="2:2")
    first, second = runs.wait_for(2)
    watch.wait_for_out('"addr":"2:2"')

    lines = [json.loads(line) for line in watch.out.splitlines()]
    assert first["events"] + second["events"] == lines
    assert [each["key"] for each in first["endpoints"]] == ["svc/e1"]
    assert first["revision"] == etcd.revision() - 1
    held = {"key_base64": None, "metadata": None, "version": 1, "lease": "0"}
    assert second["revision"] == etcd.revision()
    assert second["endpoints"] == [
        {"key": f"svc/e{n}", "addr": f"{n}:{n}", "create_revision": at, "mod_revision": at, **held}
        for n, at in ((1, second["revision"] - 1), (2, second["revision"]))
    ]


LARGE = 300_000
"""Bytes, of which a pipe does not take half."""

LEAVES_STDIN_TO_A_DAEMON = """
import os, sys, time
if os.fork():
    with open(sys.argv[1], "a") as runs:
        runs.write("run\\n")
    os._exit(0)
os.setsid()
while os.path.exists(sys.argv[2]):
    time.sleep(0.05)
"""


def test_handler_that_leaves_its_stdin_to_a_daemon_does_not_block_the_watch(
    spawn: Spawn, etcd: Etcd, tmp_path: Path
) -> None:
    """The daemon never reads it; the next change runs the handler again."""
    runs, lives = tmp_path / "runs", tmp_path / "lives"
    runs.touch()
    lives.touch()
    etcd.put("svc/large", json.dumps({"Addr": "1:1", "Metadata": "m" * LARGE}))
    handler = (sys.executable, "-c", LEAVES_STDIN_TO_A_DAEMON, str(runs), str(lives))
    try:
        spawn("watch", "svc", "--", *handler)
        for number in (1, 2, 3):
            wait_until(lambda number=number: len(runs.read_text().splitlines()) == number)  # type: ignore[misc]
            put(etcd, e1=f"1:{number}")
    finally:
        lives.unlink()


def test_handler_that_reads_slowly_receives_all_input(
    spawn: Spawn, etcd: Etcd, tmp_path: Path
) -> None:
    """The input is larger than a pipe can hold."""
    reported = tmp_path / "reported"
    etcd.put("svc/large", json.dumps({"Addr": "1:1", "Metadata": "m" * LARGE}))
    script = f"sleep 0.5; dd bs=1000 of={reported}.part 2>/dev/null; mv {reported}.part {reported}"
    spawn("watch", "svc", "--", "sh", "-c", script)
    wait_until(reported.exists)

    [endpoint] = json.loads(reported.read_text())["endpoints"]
    assert endpoint["metadata"] == "m" * LARGE


def test_handler_runs_when_the_target_is_empty(spawn: Spawn, etcd: Etcd, runs: Runs) -> None:
    """It may have to write an empty list of backends."""
    spawn("watch", "svc", "--", *runs.command)
    [reported] = runs.wait_for(1)

    assert reported["endpoints"] == []
    assert [event["type"] for event in reported["events"]] == ["SYNCED"]


def test_handler_does_not_run_for_existing_endpoints_with_rev(
    run: Run, etcd: Etcd, runs: Runs
) -> None:
    """The first run is for a change, but it receives all endpoints."""
    put(etcd, e1="1:1")
    put(etcd, e2="2:2")

    result = run("watch", "svc", f"--rev={etcd.revision()}", "--count=1", "--", *runs.command)

    assert result.status == 0
    [reported] = runs.reported()
    assert addresses(reported) == [("PUT", "2:2")]
    assert [each["addr"] for each in reported["endpoints"]] == ["1:1", "2:2"]


def test_handler_environment_has_the_last_event(run: Run, etcd: Etcd) -> None:
    """The values are not escaped; for a deletion they are those of the deleted endpoint."""
    etcd.put("svc/e1", '{"Addr":"1:1","Metadata":{"a":"x y"}}')
    revision = etcd.revision()
    etcd.delete("svc/e1")

    def seen(at: int) -> list[str]:
        result = run("watch", "svc", f"--rev={at}", "--count=1", "--", *ENVIRONMENT)
        return [line for line in result.out.splitlines() if line.startswith("ETCDNAMING")]

    assert seen(revision) == [
        "ETCDNAMING_WATCH_ADDR=1:1",
        "ETCDNAMING_WATCH_COUNT=1",
        "ETCDNAMING_WATCH_EVENT=PUT",
        "ETCDNAMING_WATCH_KEY=svc/e1",
        'ETCDNAMING_WATCH_METADATA={"a":"x y"}',
        f"ETCDNAMING_WATCH_REVISION={revision}",
        "ETCDNAMING_WATCH_TARGET=svc",
    ]
    assert "ETCDNAMING_WATCH_EVENT=DELETE" in seen(revision + 1)
    assert 'ETCDNAMING_WATCH_METADATA={"a":"x y"}' in seen(revision + 1)


def test_handler_environment_has_the_variables_of_etcdctl(run: Run, etcd: Etcd) -> None:
    """They are quoted as in Go, so that a script for etcdctl works."""
    key = 'svc/"e1"\n'
    revision = etcd.revision() + 1
    etcd.put(key, '{"Op":0,"Addr":"a\\"b","Metadata":"\\u003c"}')
    etcd.delete(key)

    for at in (revision, revision + 1):
        ours = run("watch", "svc", f"--rev={at}", "--count=1", "--", *ENVIRONMENT).out
        theirs = _etcdctls_variables(etcd, key, at)
        assert len(theirs) == 4
        assert [line for line in ours.splitlines() if line.startswith("ETCD_")] == theirs


def _etcdctls_variables(etcd: Etcd, key: str, revision: int) -> list[str]:
    theirs = [str(etcd.programs.etcdctl), f"--endpoints={etcd.endpoint}", "watch"]
    theirs += [f"--rev={revision}", key, "--", *ENVIRONMENT]
    environment = {"ETCDCTL_API": "3", "PATH": os.environ["PATH"]}
    with closing(Process(theirs, environment)) as watch:
        watch.wait_for_out("\n.\n")
        reported, _, _ = watch.out.partition("\n.\n")
    # etcdctl gives the current revision of the store, not that of the event.
    lines = [line for line in reported.splitlines() if line.startswith("ETCD_")]
    return [f"ETCD_WATCH_REVISION={revision}" if "REVISION" in line else line for line in lines]


def test_handler_environment_sets_no_option_of_etcdnaming() -> None:
    """Otherwise it would change the settings of an etcdnaming that the handler calls."""
    options = {setting.variable(prefix) for setting in SETTINGS for prefix in PREFIXES}

    assert not options & variables(["svc"], [ChangeBatch(1, [], [], first=True)]).keys()


SIGNALS = (1 << 31) - 1
"""The signals a program may handle; those above are threads' own, and may come ignored."""


def test_handler_inherits_no_internal_descriptors_or_signal_handling(
    spawn: Spawn, etcd: Etcd
) -> None:
    """No signal is blocked, ignored or caught, and gRPC's variables are not set."""
    script = "echo $(ls /proc/self/fd); cat /proc/self/status | grep ^Sig; env | grep 'GRPC_[VE]'"
    ours = {"GRPC_ENABLE_FORK_SUPPORT": None}
    watch = spawn("watch", "svc", "--", "sh", "-c", f"{script}; echo .", env=ours)
    watch.wait_for_out(".\n")

    fds, _, *masks, end = watch.out.splitlines()
    assert len(fds.split()) == 4  # the fourth is opened by ls
    assert {mask for mask in masks if int(mask.split()[1], 16) & SIGNALS} == set()
    assert end == "."


def test_handler_does_not_run_when_an_endpoint_is_stored_unchanged(
    spawn: Spawn, etcd: Etcd, runs: Runs
) -> None:
    """A different lease or an invalid value does not run it either."""
    put(etcd, e1="1:1")
    watch = spawn("watch", "svc", "--", *runs.command)
    runs.wait_for(1)
    put(etcd, e1="1:1")
    etcd.put("svc/e1", '{ "Addr": "1:1" }', lease=etcd.grant(60))
    etcd.put("svc/e2", "nonsense")
    watch.wait_for_err("svc/e2")
    put(etcd, e2="2:2")
    _, reported = runs.wait_for(2)

    assert watch.out.count("1:1") == 3
    assert addresses(reported) == [("PUT", "2:2")]
    assert [each["version"] for each in reported["endpoints"]] == [3, 2]


def test_changes_during_a_run_are_one_later_run(spawn: Spawn, etcd: Etcd, runs: Runs) -> None:
    """They are printed at once, and passed to the handler in order."""
    runs.hold.touch()
    watch = spawn("watch", "svc", "--", *runs.command)
    runs.wait_for(1)
    put(etcd, e1="1:1", e2="2:2")
    etcd.delete("svc/e1")
    watch.wait_for_out("DELETE")
    assert len(runs.reported()) == 1
    runs.hold.unlink()
    _, reported = runs.wait_for(2)

    assert addresses(reported) == [("PUT", "1:1"), ("PUT", "2:2"), ("DELETE", "1:1")]
    assert [each["addr"] for each in reported["endpoints"]] == ["2:2"]


def test_debounce_delays_the_handler_until_changes_pause(
    spawn: Spawn, etcd: Etcd, runs: Runs
) -> None:
    """The run for the existing endpoints is not delayed."""
    spawn("watch", "svc", "--debounce=1h", "--", "echo", "first").wait_for_out("first\n")
    spawn("watch", "svc", "--debounce=2s", "--", *runs.command)
    runs.wait_for(1)
    start = time.monotonic()
    for n in (1, 2, 3):
        etcd.put_all({f"svc/e{n}".encode(): stored(f"{n}:{n}").encode()})
    _, reported = runs.wait_for(2)

    assert 2 < time.monotonic() - start < 2 + AT_ONCE
    assert addresses(reported) == [("PUT", "1:1"), ("PUT", "2:2"), ("PUT", "3:3")]


def test_debounce_is_limited_when_changes_never_pause(
    spawn: Spawn, client: Client, runs: Runs
) -> None:
    """The limit is ten times the debounce time."""
    spawn("watch", "svc", "--debounce=500ms", "--", *runs.command)
    runs.wait_for(1)
    manager, number, took = EndpointManager(client, "svc"), 0, 0.0
    while took < 4.5:  # on a busy machine, the changes do pause now and then
        ran, begin = len(runs.reported()), time.monotonic()
        while len(runs.reported()) == ran:
            manager.add_endpoint("svc/e1", Endpoint(f"1.2.3.4:{(number := number + 1)}"))
            took = time.monotonic() - begin
            assert took < TIMEOUT


def test_pending_changes_run_the_handler_before_the_watch_ends(
    run: Run, etcd: Etcd, runs: Runs
) -> None:
    """A long debounce time does not delay that run."""
    put(etcd, e1="1:1")
    start = time.monotonic()

    args = (f"--rev={etcd.revision()}", "--count=1", "--debounce=30s")
    assert run("watch", "svc", *args, "--", *runs.command).status == 0

    assert [addresses(reported) for reported in runs.reported()] == [[("PUT", "1:1")]]
    assert time.monotonic() - start < AT_ONCE


@pytest.mark.parametrize(
    ("script", "status", "outcome"),
    [
        ("exit 7", 7, "exit code 7"),
        ("kill -9 $$", 137, "SIGKILL"),
        ("exit 200", 200, "exit code 200"),
    ],
)
def test_watch_fails_when_the_handler_fails(
    run: Run, etcd: Etcd, script: str, status: int, outcome: str
) -> None:
    """It returns the exit code of the handler, or 128 + n for signal n."""
    assert run("watch", "svc", "--", "sh", "-c", script) == Result(
        status, "", f"Error: sh: {outcome}\n"
    )


def test_handler_failure_is_a_warning_with_on_error_continue(
    spawn: Spawn, etcd: Etcd, runs: Runs
) -> None:
    """The next change runs the handler again."""
    *sh, script = runs.command
    watch = spawn("watch", "svc", "--on-error=continue", "--", *sh, f"{script}; exit 3")
    runs.wait_for(1)
    watch.wait_for_err("Warning: sh: exit code 3\n")
    put(etcd, e1="1:1")
    runs.wait_for(2)
    watch.wait_for_err("Warning: sh: exit code 3\nWarning: sh: exit code 3\n")


def test_watch_fails_when_the_last_run_fails_after_the_count_is_reached(
    run: Run, etcd: Etcd
) -> None:
    """The exit code is that of the handler."""
    put(etcd, e1="1:1")

    args = (f"--rev={etcd.revision()}", "--count=1")
    assert run("watch", "svc", *args, "--", "sh", "-c", "exit 9").status == 9


@pytest.mark.parametrize(
    ("name", "status", "message"),
    [("no-such", 127, "no-such: command not found"), ("{}", 126, "{}: it can't be executed")],
)
def test_watch_refuses_a_missing_handler_before_it_connects(
    run: Run, tmp_path: Path, name: str, status: int, message: str
) -> None:
    """It does not wait for etcd or the first change."""
    file = tmp_path / "script"
    file.write_text("echo")

    result = run("watch", "svc", "--endpoints=127.0.0.1:1", "--", name.format(file))

    assert result == Result(status, "", f"Error: {message.format(file)}\n")


def test_watch_fails_when_the_handler_is_removed(spawn: Spawn, etcd: Etcd, tmp_path: Path) -> None:
    """With --on-error continue it is a warning, as the file may return."""
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\necho run\n")
    script.chmod(stat.S_IRWXU)
    strict = spawn("watch", "svc", "--", script)
    lenient = spawn("watch", "svc", "--on-error=continue", "--", script)
    for watch in (strict, lenient):
        watch.wait_for_out("run\n")
    script.rename(tmp_path / "away")
    put(etcd, e1="1:1")
    assert strict.finish() == Result(
        127, "run\nPUT\tsvc/e1\t1:1\tnull\n", f"Error: {script}: command not found\n"
    )
    lenient.wait_for_err(f"Warning: {script}: command not found\n")
    (tmp_path / "away").rename(script)
    put(etcd, e1="2:2")
    lenient.wait_for_out("2:2\tnull\nrun\n")


def test_handler_may_ignore_its_stdin(spawn: Spawn, etcd: Etcd) -> None:
    """The input is larger than a pipe can hold."""
    etcd.put_all({f"svc/e{n:05}".encode(): stored(f"{n}").encode() for n in range(5000)})
    watch = spawn("watch", "svc", "-w", "json", "--", "echo", "run")
    watch.wait_for_out("run\n")
    put(etcd, e1="1:1")
    watch.wait_for_out("1:1")

    assert watch.err == ""


def test_handler_environment_omits_values_that_are_too_long(run: Run, etcd: Etcd) -> None:
    """Its stdin has them; a NUL in a key is escaped."""
    value = json.dumps({"Addr": "1:1", "Metadata": "x" * 200_000})
    etcd.put_all({b"svc/\0\xff": value.encode()})

    args = (f"--rev={etcd.revision()}", "--count=1", "-w", "json")
    result = run("watch", "svc", *args, "--", "sh", "-c", "env | grep -a WATCH; cat")

    assert result.status == 0
    assert "ETCDNAMING_WATCH_KEY=svc/\\x00\udcff\n" in result.out
    assert "METADATA=" not in result.out
    assert len(json.loads(result.out.splitlines()[-1])["endpoints"][0]["metadata"]) == 200_000


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_signal_to_watch_ends_the_handler(
    spawn: Spawn, etcd: Etcd, tmp_path: Path, number: int
) -> None:
    """It gets SIGTERM, and one second to exit before the watch ends."""
    script = (
        f"trap 'echo ended > {tmp_path}/file; exit' TERM; echo run; while :; do sleep 0.05; done"
    )
    watch = spawn("watch", "svc", "--", "sh", "-c", script)
    watch.wait_for_out("run\n")
    watch.signal(number)

    assert watch.finish() == Result(-number, "run\n", "")
    assert (tmp_path / "file").read_text() == "ended\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_watch_at_once_when_no_handler_runs(
    spawn: Spawn, etcd: Etcd, runs: Runs, number: int
) -> None:
    """No message is printed."""
    watch = spawn("watch", "svc", "--", *runs.command)
    runs.wait_for(1)
    start = time.monotonic()
    watch.signal(number)

    assert watch.finish() == Result(-number, "", "")
    assert time.monotonic() - start < AT_ONCE


def test_signal_ends_watch_when_stdout_is_blocked(etcd: Etcd) -> None:
    """The watch is in the middle of a write."""
    etcd.put_all({f"svc/e{n:05}".encode(): stored(f"{n}").encode() for n in range(5000)})
    watching = command("watch", "svc", f"--endpoints={etcd.endpoint}", "--", "true")
    with subprocess.Popen(watching, stdout=subprocess.PIPE) as watch:
        wait_until(lambda: "pipe" in Path(f"/proc/{watch.pid}/wchan").read_text())
        watch.terminate()
        assert watch.wait(AT_ONCE) == -signal.SIGTERM


def test_signal_ends_watch_when_the_handler_ignores_sigterm(spawn: Spawn, etcd: Etcd) -> None:
    """It takes at most 2 s."""
    watch = spawn(
        "watch", "svc", "--", "sh", "-c", "trap '' TERM; echo run; exec sleep 60 <&- >&- 2>&-"
    )
    watch.wait_for_out("run\n")
    start = time.monotonic()
    watch.signal(signal.SIGTERM)

    assert watch.finish().status == -signal.SIGTERM
    assert time.monotonic() - start < 2 + AT_ONCE


def test_ctrl_c_reaches_watch_and_handler_once(
    terminal: Terminal, etcd: Etcd, tmp_path: Path
) -> None:
    """The terminal sends it to both; the handler has up to a second to exit."""
    script = (
        f"trap 'echo INT >> {tmp_path}/file; sleep 0.1; exit 1' INT TERM; echo run; sleep 9 & wait"
    )
    screen = terminal("watch", "svc", "--", "sh", "-c", script)
    screen.expect("run")
    screen.sendintr()
    screen.expect(pexpect.EOF)
    screen.wait()

    assert screen.signalstatus == signal.SIGINT
    assert "Error" not in (screen.before or "")
    assert (tmp_path / "file").read_text() == "INT\n"


def test_handler_can_be_started_many_times_in_a_row(spawn: Spawn, etcd: Etcd) -> None:
    """The threads of gRPC are busy meanwhile."""
    watch = spawn("watch", "svc", "--", sys.executable, "-S", "-c", "print('run', flush=True)")
    for number in range(100):
        put(etcd, e1=f"{number}:1")
        watch.wait_for_out(f"{number}:1")
    etcd.delete("svc/e1")
    watch.wait_for_out("DELETE")
    wait_until(lambda: watch.out.endswith("run\n"))

    assert watch.out.count("run\n") > 10
    assert watch.err == ""
    watch.signal(signal.SIGTERM)
    assert watch.finish().status == -signal.SIGTERM
