"""`etcdnaming sandbox`: a real etcd for one command, out of which nothing gets."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from harness import Etcd, Result, Shell, Spawn, Terminal, wait_until
from harness.programs import Programs
from harness.waiting import listens

OURS = f"{sys.executable} -m etcdnaming"


@pytest.fixture(autouse=True)
def temporary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, programs: Programs
) -> Iterator[Path]:
    """Where the sandboxes put their files: afterwards nothing may be left in it."""
    directory = tmp_path / "temporary"
    directory.mkdir()
    monkeypatch.setenv("TMPDIR", str(directory))
    monkeypatch.setenv(
        "PATH", f"{programs.etcd.parent}:{programs.etcdctl.parent}:{os.environ['PATH']}"
    )
    yield directory
    wait_until(lambda: not list(directory.iterdir()))


def test_the_command_has_an_etcd_of_its_own(spawn: Spawn) -> None:
    """Which etcdctl finds, and so do we."""
    script = f'etcdctl put svc/e1 \'{{"Addr":"1:1"}}\' && {OURS} list svc'

    result = spawn("sandbox", "--", "sh", "-c", script, env={"ETCDCTL_API": None}).finish()

    assert result == Result(0, "OK\nsvc/e1\t1:1\tnull\n", "")


@pytest.mark.parametrize("user", ["ETCDNAMING_USER", "ETCDCTL_USER"])
def test_nothing_in_it_reaches_another_etcd(
    spawn: Spawn, own_etcd: Callable[..., Etcd], user: str
) -> None:
    """Whatever the caller's environment says: production is in many of them."""
    production = own_etcd()
    production.put("svc/e1", "precious")
    before = production.revision()
    environment = {
        "ETCDNAMING_ENDPOINTS": production.endpoint,
        "ETCDCTL_ENDPOINTS": production.endpoint,
        "ETCDCTL_CACERT": "/nowhere",
        "ETCDNAMING_COMMAND_TIMEOUT": "bad",
        user: "root:secret",
    }
    script = (
        f"etcdctl del --prefix '' && {OURS} add svc/e2 --addr 1:1 && {OURS} del --all svc/ --yes"
    )

    result = spawn("sandbox", "--", "sh", "-c", script, env=environment).finish()

    assert result == Result(0, "0\nOK\n1\n", "")
    assert production.get("") == {b"svc/e1": b"precious"}
    assert production.revision() == before


def test_the_command_keeps_the_rest_of_its_environment(spawn: Spawn) -> None:
    """And both names of the one etcd."""
    script = 'echo "$MINE"; env | grep ^ETCD | sed "s/127.0.0.1:.*/HERE/" | sort'

    result = spawn("sandbox", "--", "sh", "-c", script, env={"MINE": "x"}).finish()

    assert result.out == "x\nETCDCTL_ENDPOINTS=HERE\nETCDNAMING_ENDPOINTS=HERE\n"


@pytest.mark.parametrize(
    ("command", "status"),
    [
        (["true"], 0),
        (["sh", "-c", "exit 7"], 7),
        (["sh", "-c", "kill -9 $$"], 137),
        (["sh", "-c", "kill -TERM $$"], 143),
    ],
)
def test_the_commands_end_is_ours(spawn: Spawn, command: list[str], status: int) -> None:
    """As a shell reports it."""
    assert spawn("sandbox", *command).finish() == Result(status, "", "")


def test_a_command_that_is_not_there(spawn: Spawn) -> None:
    """127, as a shell says."""
    message = "Error: /nowhere/cmd: command not found\n"

    assert spawn("sandbox", "/nowhere/cmd").finish() == Result(127, "", message)


def test_a_command_that_can_not_be_run(spawn: Spawn) -> None:
    """126, as a shell says."""
    message = "Error: /etc/passwd: Permission denied\n"

    assert spawn("sandbox", "/etc/passwd").finish() == Result(126, "", message)


def test_options_after_the_command_are_its_own(spawn: Spawn) -> None:
    """With -- and without."""
    expected = Result(0, "--debug -w\n", "")

    assert spawn("sandbox", "echo", "--debug", "-w").finish() == expected
    assert spawn("sandbox", "--", "echo", "--debug", "-w").finish() == expected


@pytest.mark.parametrize("option", ["--endpoints=10.0.0.1:2379", "--user=root", "-wjson"])
def test_options_about_another_etcd_are_refused(spawn: Spawn, option: str) -> None:
    """They would have no effect."""
    result = spawn(option, "sandbox", "true").finish()

    assert (result.status, result.out) == (128, "")
    assert result.err.endswith(
        ": not supported: the sandbox starts its own etcd and prints only CMD's output "
        "(see etcdnaming sandbox --help)\n"
    )


def test_stdin_is_the_commands(spawn: Spawn) -> None:
    """And so is all of it."""
    process = spawn("sandbox", "cat")
    process.stdin.write(b"one\ntwo\n")

    assert process.finish() == Result(0, "one\ntwo\n", "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_signals_reach_the_command(spawn: Spawn, number: int) -> None:
    """Which may have something to do before it ends."""
    script = "trap 'echo heard; exit 5' TERM HUP; echo ready; while :; do sleep 0.05; done"
    process = spawn("sandbox", "--", "sh", "-c", script)
    process.wait_for_out("ready")

    process.signal(number)

    assert process.finish() == Result(5, "ready\nheard\n", "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_before_the_command_ends_us(spawn: Spawn, number: int, temporary: Path) -> None:
    """While etcd is starting; and nothing is left behind."""
    process = spawn("sandbox", "sleep", "60")
    wait_until(lambda: list(temporary.iterdir()))

    process.signal(number)

    assert process.finish().status in (-number, 128 + number)  # before or after it has begun


def test_everything_is_gone_even_after_a_kill(spawn: Spawn) -> None:
    """Nobody can clean up then, but the etcd ends by itself."""
    process = spawn("sandbox", "--", "sh", "-c", "echo $ETCDCTL_ENDPOINTS; exec sleep 3")
    process.wait_for_out("\n")

    process.signal(signal.SIGKILL)

    port = process.out.rpartition(":")[2].strip()
    wait_until(lambda: not listens(f"127.0.0.1:{port}"))


def test_a_ctrl_c_at_the_terminal_is_the_commands(terminal: Terminal) -> None:
    """It may mean something else to it than an end."""
    script = "trap 'echo heard' INT; echo ready; sleep 0.2; sleep 0.2; exit 4"
    screen = terminal("sandbox", "--", "sh", "-c", script)

    screen.expect_exact("ready")
    screen.sendintr()
    screen.expect_exact("heard")
    screen.expect_exact("")
    screen.wait()

    assert screen.exitstatus == 4


def test_without_a_command_it_is_a_shell(terminal: Terminal) -> None:
    """The user's own, with a word about where it is and how to leave."""
    screen = terminal("sandbox", env={"SHELL": "/bin/sh", "PS1": "ready> "})

    screen.expect(r"etcd runs at (127\.0\.0\.1:\d+); exit the shell to remove it\r\n")
    assert isinstance(screen.match, re.Match)
    endpoint = screen.match[1]
    screen.expect_exact("ready> ")
    screen.sendline("echo $ETCDCTL_ENDPOINTS; exit 3")
    screen.expect_exact(f"{endpoint}\r\n")
    screen.wait()

    assert screen.exitstatus == 3


def test_nohup_stays_nohup(shell: Shell) -> None:
    """What whoever started us ignores, the command ignores."""
    result = shell("trap '' HUP; etcdnaming sandbox -- sh -c 'kill -HUP $$; echo alive'")

    assert result == Result(0, "alive\n", "")
