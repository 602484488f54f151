"""Run commands as PID 1 should; where possible, compare with a run without the supervisor."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pexpect
import pytest
from harness import TIMEOUT, wait_until
from harness.pids import child_of, has_ended
from harness.process import Process

PROGRAMS = Path(__file__).with_name("process_programs")

BASH = ["bash", "--norc", "--noprofile", "-i"]

# For bash, which forks. dash uses vfork, and a Ctrl-Z during a vfork stops only the child.
GO_ON = "while sleep 0.1; do echo on; done"

# Ignores and blocks some signals, then executes its arguments.
IGNORE_AND_BLOCK = """
import os, signal, sys
for number in (signal.SIGPIPE, signal.SIGXFSZ):  # undo what Python does
    signal.signal(number, signal.SIG_DFL)
for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTTOU, signal.SIGCHLD):
    signal.signal(number, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1, signal.SIGCHLD})
os.execvp(sys.argv[1], sys.argv[1:])
"""

# Prints whether its group has the terminal, before and after it reads from it.
TERMINAL_GROUPS = """
import os, signal
received = []
signal.signal(signal.SIGINT, lambda *_: received.append(1))
print({True: 'foreground', False: 'background'}[os.tcgetpgrp(0) == os.getpgrp()], flush=True)
while not received:
    signal.pause()
print('received', flush=True)
line = input()
print({True: 'foreground', False: 'background'}[os.tcgetpgrp(0) == os.getpgrp()], line)
"""

FORWARDED = [
    *(signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1),
    *(signal.SIGUSR2, signal.SIGWINCH, signal.SIGCONT, signal.SIGTSTP, signal.SIGALRM),
]

Starter = Callable[[list[str]], Process]
Opener = Callable[[list[str]], "pexpect.spawn[str]"]


def program(name: str, *args: str) -> list[str]:
    """Return the command line of a program in `PROGRAMS`."""
    return [sys.executable, str(PROGRAMS / name), *args]


ON_DEMAND = pytest.mark.parametrize(
    "how", [[], ["--on-demand"]], ids=["with the terminal", "with the terminal on demand"]
)


def wrapped(*command: str) -> list[str]:
    """Return the command line that runs *command* under a `Supervisor`."""
    return program("wrap.py", *command)


def run(
    command: list[str], env: dict[bytes, bytes] | None = None, pass_fds: tuple[int, ...] = ()
) -> tuple[int, bytes, bytes]:
    """Return status, stdout and stderr of *command*, whose stdin is /dev/null."""
    done = subprocess.run(
        command,
        check=False,
        capture_output=True,
        env=env,
        pass_fds=pass_fds,
        stdin=subprocess.DEVNULL,
        timeout=50,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(autouse=True)
def _no_signal_is_ignored() -> Iterator[None]:
    """A shell script that runs pytest with ``&`` makes it, and all its children, ignore Ctrl-C."""
    ignored = [each for each in FORWARDED if signal.getsignal(each) is signal.SIG_IGN]
    for each in ignored:
        signal.signal(each, signal.SIG_DFL)
    yield
    for each in ignored:
        signal.signal(each, signal.SIG_IGN)


@pytest.fixture
def start() -> Iterator[Starter]:
    """``start(command)``: it runs until the end of the test."""
    started: list[Process] = []

    def start(command: list[str]) -> Process:
        started.append(Process(command, os.environ))
        return started[-1]

    yield start
    for process in started:
        process.close()


@pytest.fixture
def open_terminal() -> Iterator[Opener]:
    """``open_terminal(command)``: it runs on a terminal of its own until the end of the test."""
    opened: list[pexpect.spawn[str]] = []

    def open_terminal(command: list[str]) -> pexpect.spawn[str]:
        with warnings.catch_warnings():
            # Forking beside gRPC's threads is safe when the child does nothing but exec.
            warnings.simplefilter("ignore", DeprecationWarning)
            terminal = pexpect.spawn(
                command[0],
                command[1:],
                env={**os.environ, "PS1": "$ ", "TERM": "dumb"},
                encoding="utf-8",
                timeout=TIMEOUT,
            )
        terminal.delaybeforesend = None  # its pause hides what is typed too early
        opened.append(terminal)
        return terminal

    yield open_terminal
    for terminal in opened:
        terminal.close(force=True)


@pytest.mark.parametrize(
    ("command", "status"),
    [
        ("exit 0", 0),
        ("exit 3", 3),
        ("exec /", 126),
        ("exec no-such-program", 127),
        ("kill -9 $$", 137),
        ("kill -15 $$", 143),
    ],
)
def test_wrapper_returns_the_exit_code_of_the_command(command: str, status: int) -> None:
    """128 + n for signal n."""
    assert run(wrapped("sh", "-c", command))[0] == status


def test_launcher_reports_why_a_command_can_not_be_executed(tmp_path: Path) -> None:
    """With the error of the system; the wrapper alone prints something."""
    file = tmp_path / "file"
    file.touch()

    assert run(wrapped("nope")) == (127, b"", b"[Errno 2] No such file or directory: 'nope'\n")
    denied = f"[Errno 13] Permission denied: '{file}'\n".encode()
    assert run(wrapped(str(file))) == (126, b"", denied)


@pytest.mark.parametrize("number", FORWARDED, ids=lambda number: signal.Signals(number).name)
def test_signal_is_forwarded_to_the_command(start: Starter, number: int) -> None:
    """Once."""
    process = start(wrapped(*program("print_signals.py")))
    process.wait_for_out("ready\n")

    process.signal(number)
    process.wait_for_out(f"{int(number)}\n")
    process.signal(signal.SIGALRM)
    process.wait_for_out(f"{int(signal.SIGALRM)}\n")
    assert process.out.splitlines().count(str(int(number))) == 1


def test_real_time_signal_is_forwarded_to_the_command(start: Starter) -> None:
    """Some programs use them."""
    process = start(wrapped(*program("print_signals.py")))
    process.wait_for_out("ready\n")

    process.signal(signal.SIGRTMIN + 3)
    process.wait_for_out(f"{signal.SIGRTMIN + 3}\n")


def test_pid_1_forwards_signals(start: Starter, namespace: list[str]) -> None:
    """The kernel drops signals for which PID 1 has no handler."""
    process = start([*namespace, *wrapped(*program("print_signals.py"))])
    process.wait_for_out("ready\n")

    for number in FORWARDED:
        os.kill(child_of(process.pid), number)
        process.wait_for_out(f"{int(number)}\n")


def test_sigtstp_and_sigcont_are_forwarded_without_a_terminal(start: Starter) -> None:
    """The wrapper itself does not stop."""
    process = start(wrapped("bash", "-c", GO_ON))
    process.wait_for_out("on\n")
    command = child_of(process.pid)

    process.signal(signal.SIGTSTP)
    wait_until(lambda: "State:\tT" in Path(f"/proc/{command}/status").read_text())
    printed = process.out
    assert "State:\tT" not in Path(f"/proc/{process.pid}/status").read_text()
    process.signal(signal.SIGCONT)
    wait_until(lambda: len(process.out) > len(printed))


@pytest.mark.parametrize("prefix", [["env"], [sys.executable, "-c", IGNORE_AND_BLOCK]])
def test_command_starts_with_the_signal_settings_of_an_unwrapped_run(prefix: list[str]) -> None:
    """Default, except for signals that were ignored or blocked at the start."""
    command = ["grep", "^Sig[BIC]", "/proc/self/status"]

    assert run([*prefix, *wrapped(*command)]) == run([*prefix, *command])


def test_wrapper_reaps_when_it_was_started_with_sigchld_ignored_and_blocked() -> None:
    """The setting is passed on to the command only."""
    assert run([sys.executable, "-c", IGNORE_AND_BLOCK, *wrapped("sh", "-c", "exit 3")])[0] == 3


@pytest.mark.parametrize("prefix", [[], ["bash", "-c", 'exec "$@" <&- >&2', "bash"]])
def test_command_inherits_the_descriptors_of_an_unwrapped_run(prefix: list[str]) -> None:
    """All that the wrapper was started with, also closed ones, and none of its own."""
    command = ["sh", "-c", "ls -l /proc/$$/fd >&2"]
    read, write = os.pipe()
    inherited = {read, write, far := fcntl.fcntl(read, fcntl.F_DUPFD, 700)}
    try:
        plain, found = (
            dict(re.findall(rb"(\d+) -> (.*)", run(args, pass_fds=tuple(inherited))[2]))
            for args in ([*prefix, *command], [*prefix, *wrapped(*command)])
        )
    finally:
        for each in inherited:
            os.close(each)
    assert [*found] == [*plain]
    assert {plain[b"%d" % each] for each in inherited} == {plain[b"%d" % far]}
    assert all(found[b"%d" % each] == plain[b"%d" % each] for each in inherited)


def test_listen_pid_names_the_command_when_it_named_the_wrapper() -> None:
    """As systemd sets it for a socket unit; the number of another process stays."""
    exports = 'export LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=http LISTEN_PIDFDID=7; exec "$@"'
    show = ["sh", "-c", "test $LISTEN_PID = $$ && env | grep ^LISTEN | sort | tail -n +1; echo $?"]
    script = ["sh", "-c", exports, "sh", *wrapped(*show)]

    out = run(script)[1].decode()
    assert re.sub("PID=[0-9]+", "PID=its", out) == (
        "LISTEN_FDNAMES=http\nLISTEN_FDS=1\nLISTEN_PID=its\n0\n"
    )
    other = {**os.environb, b"LISTEN_PID": b"1", b"LISTEN_PIDFDID": b"7"}
    kept = run(wrapped("sh", "-c", "echo $LISTEN_PID $LISTEN_PIDFDID"), other)
    assert kept == (0, b"1 7\n", b"")


def test_command_output_is_that_of_an_unwrapped_run() -> None:
    """Byte for byte, on both streams."""
    command = ["sh", "-c", r"printf 'out\0\377'; printf 'err\0\377' >&2; exit 3"]

    assert run(wrapped(*command)) == run(command) == (3, b"out\0\xff", b"err\0\xff")


def test_command_gets_arguments_and_environment_unchanged() -> None:
    """Whatever bytes they contain."""
    command = ["sh", "-c", r'printf "%s\0" "$@"; env -0', "sh", "", " ", "=\n", "\udcff\u20ac"]
    env = {b"PATH": os.environb[b"PATH"], b"LC_ALL": b"C.UTF-8", b"EMPTY": b"", b"\xff": b"=\n\xfe"}

    assert run(wrapped(*command), env) == run(command, env)
    assert b"\0\0 \0=\n\0\xff\xe2\x82\xac\0" in b"\0" + run(command, env)[1]


def test_wrapper_adopts_and_reaps_orphans() -> None:
    """It does not mix up their statuses with that of the command."""
    orphans = program("orphans.py", "200")

    assert run(wrapped(*orphans)) == (7, b"200 adopted, 0 left\n", b"")


def test_pid_1_reaps_orphans(namespace: list[str]) -> None:
    """As in a container."""
    orphans = program("orphans.py", "200")

    assert run([*namespace, *wrapped(*orphans)]) == (7, b"200 adopted, 0 left\n", b"")


def test_command_is_killed_when_the_wrapper_is_killed(start: Starter) -> None:
    """No process is left to forward signals to it."""
    process = start(wrapped("sh", "-c", "echo $$; exec sleep 60"))
    process.wait_for_out("\n")

    process.signal(signal.SIGKILL)
    wait_until(lambda: has_ended(int(process.out)))


def test_launcher_is_killed_when_the_wrapper_is_killed(start: Starter) -> None:
    """Without a message."""
    code = "from etcdnaming.process import Supervisor; s = Supervisor(); {}; s.wait()"
    process = start([sys.executable, "-c", code.format("print(s.launcher().pid, flush=True)")])
    process.wait_for_out("\n")

    process.signal(signal.SIGKILL)
    wait_until(lambda: has_ended(int(process.out)))
    assert process.err == ""


def test_all_processes_are_killed_when_pid_1_is_killed(
    start: Starter, namespace: list[str]
) -> None:
    """Also those that have left the command's group and session."""
    process = start([*namespace, *wrapped("sh", "-c", "setsid sleep 60 & echo ready; wait")])
    process.wait_for_out("ready\n")

    os.kill(child_of(process.pid), signal.SIGKILL)
    process.finish()  # fails while a process keeps the pipes open


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("early.py", id="early signals are not lost"),
        pytest.param("waiting.py", id="wait returns when it is woken"),
        pytest.param("refused.py", id="failed starts leave nothing behind"),
        pytest.param("groups.py", id="background commands are killed with their group"),
        pytest.param(
            "many.py",
            id="200 commands leave nothing behind",
            marks=[pytest.mark.long],
        ),
    ],
)
def test_program_finds_no_fault(name: str) -> None:
    """Each program checks a promise, and prints nothing, no warning of Python either."""
    assert run([sys.executable, "-X", "dev", *program(name)[1:]]) == (0, b"", b"")


def test_command_starts_beside_grpc_and_its_threads() -> None:
    """It neither blocks, nor inherits a descriptor, nor prints a message of gRPC."""
    command = ["sh", "-c", "ls /proc/self/fd; echo err >&2; exit 5"]
    env = {**os.environb, b"GRPC_ENABLE_FORK_SUPPORT": b"1"}  # the setting that breaks most

    assert run(program("threads.py", *command), env) == run(command)


def test_import_loads_no_heavy_module() -> None:
    """They are imported only when a command is run."""
    code = "import sys, etcdnaming.process; print(*sys.modules)"
    loaded = set(run([sys.executable, "-c", code])[1].decode().split())

    heavy = {"asyncio", "click", "ctypes", "grpc", "logging", "socket", "subprocess", "threading"}
    assert heavy & loaded == set()


def test_ctrl_c_reaches_the_command_once(open_terminal: Opener) -> None:
    """The terminal sends it to the command's group, as it does changes of its size."""
    terminal = open_terminal(wrapped(*program("print_signals.py")))
    terminal.expect_exact("ready\r\n")

    terminal.sendintr()
    terminal.expect_exact("^C2\r\n")
    terminal.setwinsize(30, 100)
    terminal.expect_exact(f"{int(signal.SIGWINCH)}\r\n")
    assert "2\r\n" not in (terminal.before or "")


def test_ctrl_c_reaches_the_wrapper_until_the_command_uses_the_terminal(
    open_terminal: Opener,
) -> None:
    """A shell uses it at once, and is as interactive as without the wrapper."""
    terminal = open_terminal(wrapped("--on-demand", sys.executable, "-c", TERMINAL_GROUPS))
    terminal.expect_exact("background\r\n")

    terminal.sendintr()  # which the wrapper forwards
    terminal.expect_exact("^Creceived\r\n")
    terminal.sendline("yes")
    terminal.expect_exact("foreground yes\r\n")
    terminal.expect(pexpect.EOF)

    shell = open_terminal(wrapped("--on-demand", *BASH))
    shell.expect_exact("$ ")
    shell.sendline("sh -c 'echo begun; exec sleep 60'")
    shell.expect_exact("\nbegun\r\n")
    shell.sendintr()
    shell.expect_exact("$ ")
    shell.sendline("set -o | grep monitor")
    shell.expect_exact("on\r\n")
    shell.sendline("exit 3")
    shell.expect(pexpect.EOF)
    shell.wait()
    assert shell.exitstatus == 3


@ON_DEMAND
def test_terminal_is_given_back_when_the_command_ends(
    open_terminal: Opener, how: list[str]
) -> None:
    """A script can read from it afterwards, also if the command could not be executed."""
    script = '"$@" cat; echo $?; read line; echo got $line; "$@" nope; read line; echo got $line'
    terminal = open_terminal(["sh", "-c", script, "sh", *wrapped(*how)])

    terminal.sendline("one")
    terminal.expect_exact("one\r\none\r\n")
    terminal.sendeof()
    terminal.expect_exact("0\r\n")
    terminal.sendline("two")
    terminal.expect_exact("got two\r\n")
    terminal.expect_exact("No such file")
    terminal.sendline("three")
    terminal.expect_exact("got three\r\n")


@ON_DEMAND
@pytest.mark.parametrize(
    ("job", "status"), [("{}", 130), ("{} | cat", 0)], ids=["alone", "in a pipeline"]
)
def test_ctrl_z_stops_the_job_and_fg_continues_it(
    open_terminal: Opener, job: str, status: int, how: list[str]
) -> None:
    """The shell sees the whole job stop; the command has the terminal again afterwards."""
    terminal = open_terminal(BASH)
    terminal.expect_exact("$ ")
    terminal.sendline(job.format(" ".join(wrapped(*how, "sh", "-c", "'echo begun; exec cat'"))))
    terminal.expect_exact("\nbegun\r\n")  # bash's editing of lines is over, which has its own echo
    terminal.sendline("one")
    terminal.expect_exact("one\r\none\r\n")

    for word in ("two", "three"):
        terminal.sendcontrol("z")
        terminal.expect_exact("Stopped")
        terminal.expect_exact("$ ")
        terminal.sendline("fg")
        terminal.expect("cat'?( [|] cat)?\r\n")
        terminal.sendline(word)
        terminal.expect_exact(f"{word}\r\n{word}\r\n")

    terminal.sendintr()
    terminal.expect_exact("$ ")
    terminal.sendline("echo status $?")
    terminal.expect_exact(f"status {status}\r\n")


@ON_DEMAND
def test_bg_continues_the_job_without_the_terminal(open_terminal: Opener, how: list[str]) -> None:
    """As any job."""
    terminal = open_terminal(BASH)
    terminal.expect_exact("$ ")
    terminal.sendline(" ".join(wrapped(*how, "bash", "-c", f"'{GO_ON}'")))
    terminal.expect_exact("on\r\non\r\n")

    terminal.sendcontrol("z")
    terminal.expect_exact("Stopped")
    terminal.sendline("bg")
    terminal.expect_exact("&\r\n")
    terminal.expect_exact("on\r\non\r\n")
    terminal.sendline("kill %1; wait; echo the shell reads")
    terminal.expect_exact("\nthe shell reads\r\n")


@ON_DEMAND
def test_job_stops_when_it_reads_in_the_background(open_terminal: Opener, how: list[str]) -> None:
    """The terminal is never taken from another job."""
    terminal = open_terminal(BASH)
    terminal.expect_exact("$ ")
    terminal.sendline(" ".join([*wrapped(*how, "cat"), "&", "wait", "%1;", "jobs"]))
    terminal.expect_exact("Stopped")
    terminal.expect_exact("$ ")

    terminal.sendline("fg")
    terminal.expect_exact("cat\r\n")
    terminal.sendline("one")
    terminal.expect_exact("one\r\none\r\n")


@ON_DEMAND
@pytest.mark.parametrize("session", [[], ["setsid", "--ctty"]])
def test_ctrl_z_does_not_stop_a_job_without_a_shell(
    open_terminal: Opener, namespace: list[str], session: list[str], how: list[str]
) -> None:
    """In a container with a terminal there is no shell for ``fg``."""
    terminal = open_terminal([*namespace, *session, *wrapped(*how, "cat")])
    terminal.sendline("one")
    terminal.expect_exact("one\r\none\r\n")

    terminal.sendcontrol("z")
    terminal.sendline("two")
    terminal.expect_exact("two\r\ntwo\r\n")
    terminal.sendeof()
    terminal.expect(pexpect.EOF)
