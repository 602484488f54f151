"""`etcdnaming wait`, which deploy scripts use."""

from __future__ import annotations

import json
import re
import shlex
import signal
import time
from collections.abc import Callable

import pytest
from harness import AT_ONCE, READER, Etcd, Result, Run, Spawn, Terminal
from harness.auth import READER_NEEDS
from harness.picture import Picture
from harness.watcher import put


def test_wait_returns_at_once_when_the_endpoints_exist(run: Run, etcd: Etcd) -> None:
    """It prints them as list does."""
    put(etcd, e2="2:2", e1="1:1")

    result = run("wait", "svc")

    assert result == Result(0, "svc/e1\t1:1\tnull\nsvc/e2\t2:2\tnull\n", "")
    assert result.out == run("list", "svc").out


def test_wait_returns_when_all_conditions_are_met(spawn: Spawn, etcd: Etcd) -> None:
    """All conditions must be met at the same time."""
    put(etcd, e1="1:1")
    wait = spawn("wait", "svc", "--min=2", "--max=3", "--addr=3:3", "--gone=1:1", "-w", "json")
    put(etcd, e2="2:2", e3="3:3")
    etcd.put("svc/bad", "nonsense")
    wait.wait_for_err("nonsense")  # it has received the changes so far
    assert wait.out == ""
    etcd.delete("svc/e1")
    start = time.monotonic()

    result = wait.finish()

    assert time.monotonic() - start < AT_ONCE
    assert result.status == 0
    found = json.loads(result.out)
    assert (found["target"], found["revision"], found["count"]) == ("svc", etcd.revision(), 2)
    assert found["endpoints"][0] == {
        "key": "svc/e2",
        "key_base64": None,
        "addr": "2:2",
        "metadata": None,
        "create_revision": etcd.revision() - 3,
        "mod_revision": etcd.revision() - 3,
        "version": 1,
        "lease": "0",
    }


@pytest.mark.parametrize(
    ("args", "missing"),
    [
        ([], "0 of at least 1 endpoints"),
        (["--min=2"], "0 of at least 2 endpoints"),
        (["--addr=1:1", "--addr=2:2"], "1:1 is missing; 2:2 is missing"),
        (["--min=2", "--addr=1:1"], "0 of at least 2 endpoints; 1:1 is missing"),
    ],
)
def test_wait_names_missing_endpoints_at_timeout(
    run: Run, etcd: Etcd, args: list[str], missing: str
) -> None:
    """The error is printed when the timeout is over, and not later."""
    start = time.monotonic()

    result = run("wait", "svc", *args, "--timeout=1500ms")

    assert result == Result(124, "", f"Error: timed out after 1.5s: {missing}\n")
    assert 1.5 <= time.monotonic() - start < 1.5 + AT_ONCE


@pytest.mark.parametrize(
    ("args", "missing"),
    [
        (["--max=0"], "1 endpoint, more than 0"),
        (["--gone=1:1"], "1:1 is still there"),
    ],
)
def test_wait_names_surplus_endpoints_at_timeout(
    run: Run, etcd: Etcd, args: list[str], missing: str
) -> None:
    """--max and --gone alone require no endpoint, so they can wait for a drain."""
    put(etcd, e1="1:1")

    assert run("wait", "svc", *args, "--timeout=0").err == f"Error: {missing}\n"

    etcd.delete("svc/e1")
    assert run("wait", "svc", *args, "--timeout=0") == Result(0, "", "")


def test_wait_reads_etcd_once_when_the_timeout_is_zero(run: Run, etcd: Etcd) -> None:
    """An unreachable etcd has its own exit code."""
    assert run("wait", "svc", "--timeout=0") == Result(
        124, "", "Error: 0 of at least 1 endpoints\n"
    )
    put(etcd, e1="1:1")
    etcd.put("svc/e2", "nonsense")
    found = run("wait", "svc", "--timeout=0")
    assert (found.status, found.out) == (0, "svc/e1\t1:1\tnull\n")
    assert found.err.startswith("Warning: svc/e2: not JSON")

    nowhere = run("wait", "svc", "--timeout=0", "--endpoints=127.0.0.1:1", "--dial-timeout=300ms")
    assert (nowhere.status, nowhere.err.count("\n")) == (2, 1)


def test_wait_reports_an_unreachable_etcd(run: Run) -> None:
    """It is reported once while waiting, and in the error at the timeout."""
    result = run(
        *("wait", "svc", "--timeout=2s"), "--endpoints=127.0.0.1:1", "--dial-timeout=300ms"
    )

    why = "no etcd endpoint reached within 0.3s: 127.0.0.1:1: connection refused"
    assert result == Result(
        124,
        "",
        f"Warning: not connected yet: {why}\nError: timed out after 2s: not connected: {why}\n",
    )


def test_wait_connects_when_etcd_starts_later(spawn: Spawn, own_etcd: Callable[..., Etcd]) -> None:
    """Services and etcd are often started together."""
    etcd = own_etcd()
    put(etcd, e1="1:1")
    etcd.stop()
    wait = spawn("wait", "svc", f"--endpoints={etcd.endpoint}", "--dial-timeout=300ms")
    wait.wait_for_err("not connected yet")
    etcd.start()

    result = wait.finish()

    assert (result.status, result.out) == (0, "svc/e1\t1:1\tnull\n")


def test_wait_fails_at_once_without_permission(
    spawn: Spawn, auth_etcd: Callable[..., Etcd]
) -> None:
    """The same holds for a wrong password."""
    etcd = auth_etcd()
    where = f"--endpoints={etcd.endpoint}"

    refused = spawn("wait", "other", where, f"--user={READER}").finish()
    unknown = spawn("wait", "svc", where, "--user=reader:wrong").finish()

    assert refused == Result(
        1,
        "",
        f"{READER_NEEDS} read permission on the prefix other/\n",
    )
    assert (unknown.status, unknown.out, unknown.err.count("\n")) == (2, "", 1)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["svc", "--min=3", "--max=2"], "--min is more than --max"),
        (["svc", "--addr=1:1", "--gone=1:1"], "--addr 1:1 and --gone 1:1 can't be combined"),
        (["svc", "--addr="], "--addr: the address is empty"),
        (["svc", "--gone="], "--gone: the address is empty"),
        (["svc", "--timeout=-1s"], "'-1s' is not a duration"),
        (["svc", "--min=x"], "'x' is not a whole number"),
        (["/"], "it names no service"),
        ([], "Missing argument 'TARGET'"),
    ],
)
def test_wait_reports_wrong_usage_in_one_line(run: Run, args: list[str], message: str) -> None:
    """Nothing else is printed."""
    result = run("wait", *args)

    assert (result.status, result.out, result.err.count("\n")) == (128, "", 1)
    assert message in result.err


def test_wait_warns_of_an_address_that_no_endpoint_has(run: Run, etcd: Etcd) -> None:
    """A script that forgets the port would stop a server that still gets calls."""
    put(etcd, e1="10.0.0.1:80")

    result = run("wait", "svc", "--gone=10.0.0.1")

    assert (result.status, result.out) == (0, "svc/e1\t10.0.0.1:80\tnull\n")
    warning = "Warning: --gone: the address '10.0.0.1' has no port: write 10.0.0.1:PORT\n"
    assert result.err == warning


def test_wait_prints_fields_and_tables_like_list(run: Run, etcd: Etcd) -> None:
    """The lines that both commands print are equal, also the remaining time of a lease."""
    put(etcd, e1="1:1")
    lease = etcd.grant(1000)
    etcd.put("svc/e2", '{"Addr":"1:2"}', lease)
    revision = etcd.revision()

    fields = run("wait", "svc", "-w", "fields").out
    table = run("wait", "svc", "-w", "table").out

    listed = run("list", "svc", "-w", "fields").out
    assert fields.splitlines()[0] == f'"Revision" : {revision}'
    assert set(fields.splitlines()) <= set(listed.splitlines())
    lines = table.splitlines()
    assert lines[0].split() == ["KEY", "ADDR", "LEASE", "TTL", "METADATA"]
    assert lines[1].split() == ["svc/e1", "1:1", "-", "-"]
    assert re.fullmatch(r"svc/e2  1:2   [0-9a-f]+ +(9\d\d|1000)s", lines[2])
    assert lines[3:] == ["", f"2 endpoints under svc, revision {revision}"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGQUIT])
def test_wait_ends_at_once_when_it_is_signalled(spawn: Spawn, etcd: Etcd, number: int) -> None:
    """No message is printed, also while etcd is unreachable."""
    etcd.put("svc/bad", "nonsense")
    connected = spawn("wait", "svc")
    lost = spawn("wait", "svc", "--endpoints=127.0.0.1:1", "--dial-timeout=300ms")
    for wait, word in ((connected, "nonsense"), (lost, "not connected yet")):
        wait.wait_for_err(word)
        wait.wait_for_err("\n")  # the whole line

    for wait in (connected, lost):
        said, start = wait.err, time.monotonic()
        wait.signal(number)
        assert wait.finish() == (-number, "", said)
        assert time.monotonic() - start < AT_ONCE


def test_wait_shows_the_missing_endpoints_on_a_terminal(terminal: Terminal, etcd: Etcd) -> None:
    """The status line is below the warnings, and is erased at the end."""
    etcd.put("svc/bad", "nonsense")
    picture = Picture(terminal("wait", "svc", "--min=2", size=(24, 50)))
    picture.wait_for("waiting for svc: 0 of at least 2 endpoints")
    assert "nonsense" in picture.lines[0]
    put(etcd, e1="1:1")
    picture.wait_for("waiting for svc: 1 of at least 2 endpoints")
    put(etcd, e2="2:2")
    picture.finish()

    assert picture.terminal.exitstatus == 0
    assert picture.lines[1].split() == ["KEY", "ADDR", "LEASE", "TTL", "METADATA"]
    assert "waiting" not in "\n".join(picture.lines)


def test_status_line_is_cut_to_the_width_of_the_terminal(terminal: Terminal) -> None:
    """A second line could not be erased."""
    picture = Picture(terminal("wait", "svc", "--addr=世世世世世世世世世世:80", size=(24, 30)))
    picture.wait_for("waiting for svc: 世世世世世 …")
    picture.terminal.sendintr()
    picture.finish()

    assert [line.replace("^C", "") for line in picture.lines] == [""]


def test_wait_shows_the_status_line_when_the_terminal_size_is_unknown(terminal: Terminal) -> None:
    """The terminals of docker, expect and serial lines report 0 columns."""
    picture = Picture(terminal("wait", "svc", size=(0, 0)))
    picture.wait_for("waiting for svc: 0 of at least 1 endpoints")
    picture.terminal.sendintr()
    picture.finish()

    assert [line.replace("^C", "") for line in picture.lines] == [""]


def test_wait_erases_the_status_line_when_ctrl_c_is_pressed(terminal: Terminal, etcd: Etcd) -> None:
    """The next prompt appears in its place."""
    picture = Picture(terminal("wait", "svc"))
    picture.wait_for("waiting for svc: 0 of at least 1 endpoints")
    picture.terminal.sendintr()
    picture.finish()

    assert picture.terminal.signalstatus == signal.SIGINT
    assert [line.replace("^C", "") for line in picture.lines] == [""]


def test_wait_help_example_prints_the_output_it_shows(spawn: Spawn, etcd: Etcd) -> None:
    """The command is copied from the help."""
    for n in (2, 3):
        etcd.put(f"foo/bar/svc/e{n}", f'{{"Addr":"1.2.3.{n + 3}:80"}}')
    shown = spawn("wait", "--help").finish().out
    [example] = re.findall(r"^  \$ etcdnaming (.*)$", shown, re.MULTILINE)

    result = spawn(*shlex.split(example)).finish()

    assert result.out
    assert all(f"  {line}".replace("\t", "  ") in shown for line in result.out.splitlines())
