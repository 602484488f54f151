"""`etcdnaming sandbox`: a temporary etcd for one command."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from harness import Etcd, Result, Shell, Spawn, Terminal, wait_until
from harness.late_signals import late_signals
from harness.programs import Programs
from harness.waiting import listens

PROGRAM = f"{sys.executable} -m etcdnaming"


@pytest.fixture(autouse=True)
def temporary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, programs: Programs
) -> Iterator[Path]:
    """Yield the directory for temporary files; fail if the sandbox leaves one in it."""
    directory = tmp_path / "temporary"
    directory.mkdir()
    monkeypatch.setenv("TMPDIR", str(directory))
    monkeypatch.setenv(
        "PATH", f"{programs.etcd.parent}:{programs.etcdctl.parent}:{os.environ['PATH']}"
    )
    yield directory
    wait_until(lambda: not list(directory.iterdir()))


def test_sandbox_command_uses_its_own_etcd(spawn: Spawn) -> None:
    """Both etcdctl and etcdnaming find it."""
    script = f'etcdctl put svc/e1 \'{{"Addr":"1:1"}}\' && {PROGRAM} list svc'

    result = spawn("sandbox", "--", "sh", "-c", script, env={"ETCDCTL_API": None}).finish()

    assert result == Result(0, "OK\nsvc/e1\t1:1\tnull\n", "")


@pytest.mark.parametrize("user", ["ETCDNAMING_USER", "ETCDCTL_USER"])
def test_sandbox_command_never_reaches_another_etcd(
    spawn: Spawn, own_etcd: Callable[..., Etcd], user: str
) -> None:
    """The caller's variables for other servers are removed."""
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
    write = f"{PROGRAM} add svc/e2 --addr 1:1 && {PROGRAM} del --all svc/ --yes"
    script = f"etcdctl del --prefix '' && {write}"

    result = spawn("sandbox", "--", "sh", "-c", script, env=environment).finish()

    assert result == Result(0, "0\nOK\n1\n", "")
    assert production.get("") == {b"svc/e1": b"precious"}
    assert production.revision() == before


def test_sandbox_command_inherits_the_rest_of_the_environment(spawn: Spawn) -> None:
    """The endpoint is set for etcdctl and etcdnaming."""
    script = 'echo "$MINE"; env | grep ^ETCD | sed "s/127.0.0.1:.*/HERE/" | sort'

    result = spawn("sandbox", "--", "sh", "-c", script, env={"MINE": "x"}).finish()

    assert (
        result.out == "x\nETCDCTL_ENDPOINTS=HERE\nETCDNAMING_ENDPOINTS=HERE\nETCDNAMING_SANDBOX=1\n"
    )


@pytest.mark.parametrize(
    ("command", "status"),
    [
        (["true"], 0),
        (["sh", "-c", "exit 7"], 7),
        (["sh", "-c", "kill -9 $$"], 137),
        (["sh", "-c", "kill -TERM $$"], 143),
    ],
)
def test_sandbox_returns_the_exit_code_of_the_command(
    spawn: Spawn, command: list[str], status: int
) -> None:
    """It is 128 + n if signal n killed the command."""
    assert spawn("sandbox", *command).finish() == Result(status, "", "")


def test_sandbox_exits_with_127_when_the_command_does_not_exist(spawn: Spawn) -> None:
    """Shells do the same."""
    message = "Error: /nowhere/cmd: command not found\n"

    assert spawn("sandbox", "/nowhere/cmd").finish() == Result(127, "", message)


def test_sandbox_exits_with_126_when_the_command_is_not_executable(spawn: Spawn) -> None:
    """Shells do the same."""
    message = "Error: /etc/passwd: Permission denied\n"

    assert spawn("sandbox", "/etc/passwd").finish() == Result(126, "", message)


def test_sandbox_passes_options_after_the_command_to_it(spawn: Spawn) -> None:
    """A -- before the command is optional."""
    expected = Result(0, "--debug -w\n", "")

    assert spawn("sandbox", "echo", "--debug", "-w").finish() == expected
    assert spawn("sandbox", "--", "echo", "--debug", "-w").finish() == expected


@pytest.mark.parametrize("option", ["--endpoints=10.0.0.1:2379", "--user=root", "-wjson"])
def test_sandbox_refuses_options_of_the_connection_and_the_output(
    spawn: Spawn, option: str
) -> None:
    """They would have no effect."""
    result = spawn(option, "sandbox", "true").finish()

    assert (result.status, result.out) == (128, "")
    assert result.err.endswith(
        ": not supported: the sandbox starts its own etcd and prints only CMD's output "
        "(see etcdnaming sandbox --help)\n"
    )


def test_sandbox_command_inherits_stdin(spawn: Spawn) -> None:
    """The sandbox reads none of it."""
    process = spawn("sandbox", "cat")
    process.stdin.write(b"one\ntwo\n")

    assert process.finish() == Result(0, "one\ntwo\n", "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_sandbox_forwards_signals_to_the_command(spawn: Spawn, number: int) -> None:
    """The command may clean up."""
    script = "trap 'echo trapped; exit 5' TERM HUP; echo ready; while :; do sleep 0.05; done"
    process = spawn("sandbox", "--", "sh", "-c", script)
    process.wait_for_out("ready")

    process.signal(number)

    assert process.finish() == Result(5, "ready\ntrapped\n", "")


def test_sandbox_forwards_a_signal_that_does_not_interrupt_its_wait(
    spawn: Spawn, tmp_path: Path
) -> None:
    """The signal arrives just before the sandbox waits for the command."""
    unblock = "signal.pthread_sigmask(signal.SIG_UNBLOCK, signal.valid_signals())"
    script = f"import signal, time; {unblock}; print('ready', flush=True); time.sleep(60)"
    env = late_signals(tmp_path)
    process = spawn("sandbox", "--", sys.executable, "-I", "-c", script, env=env)
    process.wait_for_out("ready")

    process.signal(signal.SIGTERM)

    assert process.finish() == Result(128 + signal.SIGTERM, "ready\n", "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_sandbox_cleans_up_when_a_signal_arrives_before_the_command_starts(
    spawn: Spawn, number: int, temporary: Path
) -> None:
    """The etcd server is still starting."""
    process = spawn("sandbox", "sleep", "60")
    wait_until(lambda: list(temporary.iterdir()))

    process.signal(number)

    assert process.finish().status in (-number, 128 + number)  # before or after CMD has started


def test_sandbox_etcd_ends_when_the_sandbox_is_killed(spawn: Spawn) -> None:
    """SIGKILL leaves no time for a cleanup."""
    process = spawn("sandbox", "--", "sh", "-c", "echo $ETCDCTL_ENDPOINTS; exec sleep 3")
    process.wait_for_out("\n")

    process.signal(signal.SIGKILL)

    port = process.out.rpartition(":")[2].strip()
    wait_until(lambda: not listens(f"127.0.0.1:{port}"))


def test_sandbox_command_handles_ctrl_c(terminal: Terminal) -> None:
    """The sandbox runs on until the command exits."""
    script = "trap 'echo trapped' INT; echo ready; sleep 0.2; sleep 0.2; exit 4"
    screen = terminal("sandbox", "--", "sh", "-c", script)

    screen.expect_exact("ready")
    screen.sendintr()
    screen.expect_exact("trapped")
    screen.expect_exact("")
    screen.wait()

    assert screen.exitstatus == 4


@pytest.mark.parametrize("shell", ["sh", "bash", "zsh"])
def test_sandbox_starts_the_users_shell_without_a_command(
    terminal: Terminal, shell: str, tmp_path: Path
) -> None:
    """
    It prints the endpoint and how to exit; the prompt of the user's own files stays.

    What these put before PATH comes after an active virtual environment.
    """
    if not (program := shutil.which(shell)) and "CI" not in os.environ:
        pytest.skip(f"no {shell} here")  # a developer may have none; .ci/run brings it
    for name in (".bashrc", ".zshrc"):
        (tmp_path / name).write_text(f"PS1='ready> '\nPATH={tmp_path}:$PATH\n")
    screen = terminal("sandbox", env={"SHELL": program, "HOME": str(tmp_path), "ZDOTDIR": None})

    screen.expect(r"etcd runs at (127\.0\.0\.1:\d+); exit the shell to remove it\r\n")
    assert isinstance(screen.match, re.Match)
    endpoint = screen.match[1]
    screen.expect_exact("(sandbox) $ " if shell == "sh" else "(sandbox) ready> ")
    screen.sendline("echo $ETCDCTL_ENDPOINTS $PATH; exit 3")
    screen.expect_exact(f"{endpoint} {os.environ['PATH']}{'' if shell == 'sh' else ':'}")
    screen.wait()

    assert screen.exitstatus == 3


def test_sandbox_shell_is_fish_with_its_prompt(terminal: Terminal, tmp_path: Path) -> None:
    """The function that the user has is called after it."""
    if not (program := shutil.which("fish")) and "CI" not in os.environ:
        pytest.skip("no fish here")  # a developer may have none; .ci/run brings it
    config = tmp_path / "fish"
    config.mkdir()
    (config / "config.fish").write_text(
        f"function fish_prompt; echo 'ready> '; end\nset PATH {tmp_path} $PATH\n"
    )
    places = dict.fromkeys(("HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR"), str(tmp_path))
    screen = terminal("sandbox", env={**places, "SHELL": program, "TERM": "dumb"})

    screen.expect_exact("(sandbox) ready> ")
    screen.sendline("string join : $PATH; exit 3")
    screen.expect_exact(f"{os.environ['PATH']}:")
    screen.wait()

    assert screen.exitstatus == 3


def test_sandbox_can_run_what_a_container_runs(spawn: Spawn) -> None:
    """An address without a host is that of this machine for the machine itself."""
    register = "lease-register svc/ --addr :50051 --start registered --"
    script = f"{PROGRAM} {register} {PROGRAM} list svc 2>/dev/null"

    result = spawn("sandbox", "--", "sh", "-c", script).finish()

    assert result == Result(0, "svc/127.0.0.1:50051\t127.0.0.1:50051\tnull\n", "")


def test_sandbox_command_ignores_sighup_under_nohup(shell: Shell) -> None:
    """Signals that are ignored from the start stay ignored."""
    result = shell("trap '' HUP; etcdnaming sandbox -- sh -c 'kill -HUP $$; echo alive'")

    assert result == Result(0, "alive\n", "")
