"""Commands run as PID 1 should run them; compared, where possible, with an unwrapped run."""

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

# For bash, which forks. dash uses vfork, and a Ctrl-Z in the midst of one stops the child only.
GO_ON = "while sleep 0.1; do echo on; done"

# Ignores and blocks some signals, and becomes its arguments.
IGNORE_AND_BLOCK = """
import os, signal, sys
for number in (signal.SIGPIPE, signal.SIGXFSZ):  # as if we were not Python
    signal.signal(number, signal.SIG_DFL)
for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTTOU, signal.SIGCHLD):
    signal.signal(number, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1, signal.SIGCHLD})
os.execvp(sys.argv[1], sys.argv[1:])
"""

# Says whether its group has the terminal, and then reads from it.
TERMINAL_GROUPS = """
import os, signal
heard = []
signal.signal(signal.SIGINT, lambda *_: heard.append(1))
print({True: 'foreground', False: 'background'}[os.tcgetpgrp(0) == os.getpgrp()], flush=True)
while not heard:
    signal.pause()
print('heard', flush=True)
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
    """Return the command that runs one of the programs beside this file."""
    return [sys.executable, str(PROGRAMS / name), *args]


ON_DEMAND = pytest.mark.parametrize(
    "how", [[], ["--on-demand"]], ids=["with the terminal", "with the terminal on demand"]
)


def wrapped(*command: str) -> list[str]:
    """Return what runs *command* under a `Supervisor`."""
    return program("wrap.py", *command)


def run(
    command: list[str], env: dict[bytes, bytes] | None = None, pass_fds: tuple[int, ...] = ()
) -> tuple[int, bytes, bytes]:
    """Return status, stdout and stderr of *command*, below which there is no stdin."""
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
def _nothing_is_ignored() -> Iterator[None]:
    """A script that runs the tests with ``&`` ignores Ctrl-C, and so would all that start here."""
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
def test_status_is_the_commands(command: str, status: int) -> None:
    """128 + n for a signal, as a shell has it."""
    assert run(wrapped("sh", "-c", command))[0] == status


def test_what_is_not_found_or_not_a_program_is_told_apart(tmp_path: Path) -> None:
    """With the system's own words, by the wrapper alone."""
    file = tmp_path / "file"
    file.touch()

    assert run(wrapped("nope")) == (127, b"", b"[Errno 2] No such file or directory: 'nope'\n")
    denied = f"[Errno 13] Permission denied: '{file}'\n".encode()
    assert run(wrapped(str(file))) == (126, b"", denied)


@pytest.mark.parametrize("number", FORWARDED, ids=lambda number: signal.Signals(number).name)
def test_signal_reaches_the_command(start: Starter, number: int) -> None:
    """Once each."""
    process = start(wrapped(*program("hear.py")))
    process.wait_for_out("ready\n")

    process.signal(number)
    process.wait_for_out(f"{int(number)}\n")
    process.signal(signal.SIGALRM)
    process.wait_for_out(f"{int(signal.SIGALRM)}\n")
    assert process.out.splitlines().count(str(int(number))) == 1


def test_real_time_signals_are_signals_too(start: Starter) -> None:
    """Some programs are told things by them."""
    process = start(wrapped(*program("hear.py")))
    process.wait_for_out("ready\n")

    process.signal(signal.SIGRTMIN + 3)
    process.wait_for_out(f"{signal.SIGRTMIN + 3}\n")


def test_signals_reach_the_command_of_pid_1(start: Starter, namespace: list[str]) -> None:
    """Although the kernel drops those for which PID 1 has no handler."""
    process = start([*namespace, *wrapped(*program("hear.py"))])
    process.wait_for_out("ready\n")

    for number in FORWARDED:
        os.kill(child_of(process.pid), number)
        process.wait_for_out(f"{int(number)}\n")


def test_a_stopped_command_is_continued_by_the_same_way(start: Starter) -> None:
    """Where there is no terminal, the wrapper itself goes on."""
    process = start(wrapped("bash", "-c", GO_ON))
    process.wait_for_out("on\n")
    command = child_of(process.pid)

    process.signal(signal.SIGTSTP)
    wait_until(lambda: "State:\tT" in Path(f"/proc/{command}/status").read_text())
    printed = process.out
    assert "State:\tT" not in Path(f"/proc/{process.pid}/status").read_text()
    process.signal(signal.SIGCONT)
    wait_until(lambda: len(process.out) > len(printed))


@pytest.mark.parametrize("beginning", [["env"], [sys.executable, "-c", IGNORE_AND_BLOCK]])
def test_signals_are_treated_as_in_an_unwrapped_run(beginning: list[str]) -> None:
    """Default but for those that whoever started the wrapper has ignored or blocked."""
    command = ["grep", "^Sig[BIC]", "/proc/self/status"]

    assert run([*beginning, *wrapped(*command)]) == run([*beginning, *command])


def test_an_ignored_and_blocked_child_signal_does_not_deafen_us() -> None:
    """What the command is handed down is not for the wrapper itself."""
    assert run([sys.executable, "-c", IGNORE_AND_BLOCK, *wrapped("sh", "-c", "exit 3")])[0] == 3


@pytest.mark.parametrize("prefix", [[], ["bash", "-c", 'exec "$@" <&- >&2', "bash"]])
def test_command_inherits_the_descriptors_of_an_unwrapped_run(prefix: list[str]) -> None:
    """All that the wrapper was given, closed ones included, and none of the wrapper's own."""
    command = ["sh", "-c", "ls -l /proc/$$/fd >&2"]
    read, write = os.pipe()
    given = {read, write, far := fcntl.fcntl(read, fcntl.F_DUPFD, 700)}
    try:
        plain, ours = (
            dict(re.findall(rb"(\d+) -> (.*)", run(args, pass_fds=tuple(given))[2]))
            for args in ([*prefix, *command], [*prefix, *wrapped(*command)])
        )
    finally:
        for each in given:
            os.close(each)
    assert [*ours] == [*plain]
    assert {plain[b"%d" % each] for each in given} == {plain[b"%d" % far]}
    assert all(ours[b"%d" % each] == plain[b"%d" % each] for each in given)


def test_command_is_named_by_listen_pid_when_it_named_the_wrapper() -> None:
    """As a socket unit of systemd has it; one that names another process stays."""
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


def test_output_is_that_of_an_unwrapped_run() -> None:
    """Byte for byte, on both streams."""
    command = ["sh", "-c", r"printf 'out\0\377'; printf 'err\0\377' >&2; exit 3"]

    assert run(wrapped(*command)) == run(command) == (3, b"out\0\xff", b"err\0\xff")


def test_arguments_and_environment_arrive_as_they_are() -> None:
    """Whatever their bytes."""
    command = ["sh", "-c", r'printf "%s\0" "$@"; env -0', "sh", "", " ", "=\n", "\udcff\u20ac"]
    env = {b"PATH": os.environb[b"PATH"], b"LC_ALL": b"C.UTF-8", b"EMPTY": b"", b"\xff": b"=\n\xfe"}

    assert run(wrapped(*command), env) == run(command, env)
    assert b"\0\0 \0=\n\0\xff\xe2\x82\xac\0" in b"\0" + run(command, env)[1]


def test_orphans_are_adopted_and_reaped() -> None:
    """And the command's own status is not mistaken for one of theirs."""
    orphans = program("orphans.py", "200")

    assert run(wrapped(*orphans)) == (7, b"200 adopted, 0 left\n", b"")


def test_pid_1_reaps_orphans(namespace: list[str]) -> None:
    """The same, as in a container."""
    orphans = program("orphans.py", "200")

    assert run([*namespace, *wrapped(*orphans)]) == (7, b"200 adopted, 0 left\n", b"")


def test_command_dies_with_a_wrapper_that_is_killed(start: Starter) -> None:
    """Nobody is left to forward a signal to it."""
    process = start(wrapped("sh", "-c", "echo $$; exec sleep 60"))
    process.wait_for_out("\n")

    process.signal(signal.SIGKILL)
    wait_until(lambda: has_ended(int(process.out)))


def test_launcher_dies_with_a_wrapper_that_is_killed(start: Starter) -> None:
    """Without a word."""
    code = "from etcdnaming.process import Supervisor; s = Supervisor(); {}; s.wait()"
    process = start([sys.executable, "-c", code.format("print(s.launcher().pid, flush=True)")])
    process.wait_for_out("\n")

    process.signal(signal.SIGKILL)
    wait_until(lambda: has_ended(int(process.out)))
    assert process.err == ""


def test_everything_dies_with_pid_1(start: Starter, namespace: list[str]) -> None:
    """Also what has left the command's group and session."""
    process = start([*namespace, *wrapped("sh", "-c", "setsid sleep 60 & echo ready; wait")])
    process.wait_for_out("ready\n")

    os.kill(child_of(process.pid), signal.SIGKILL)
    process.finish()  # fails while anybody holds its output


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("early.py", id="a signal that comes before the command is not lost"),
        pytest.param("waiting.py", id="nothing sleeps where it can be woken"),
        pytest.param("refused.py", id="what can't begin leaves nothing behind"),
        pytest.param("groups.py", id="a command in the background is killed with all of its own"),
        pytest.param(
            "many.py",
            id="200 commands leave nothing behind",
            marks=[pytest.mark.long],
        ),
    ],
)
def test_program(name: str) -> None:
    """Each is a program that checks what it promises; without a word, also of Python's."""
    assert run([sys.executable, "-X", "dev", *program(name)[1:]]) == (0, b"", b"")


def test_commands_start_beside_grpc_and_its_threads() -> None:
    """No hang, no descriptor, and not a word of gRPC's on their stderr."""
    command = ["sh", "-c", "ls /proc/self/fd; echo err >&2; exit 5"]
    env = {**os.environb, b"GRPC_ENABLE_FORK_SUPPORT": b"1"}  # it would do its worst

    assert run(program("threads.py", *command), env) == run(command)


def test_import_is_cheap() -> None:
    """What is needed only by those who run something is imported then."""
    code = "import sys, etcdnaming.process; print(*sys.modules)"
    loaded = set(run([sys.executable, "-c", code])[1].decode().split())

    heavy = {"asyncio", "click", "ctypes", "grpc", "logging", "socket", "subprocess", "threading"}
    assert heavy & loaded == set()


def test_ctrl_c_reaches_the_command_once(open_terminal: Opener) -> None:
    """By itself: the terminal is the command's, and so are its keys and its size."""
    terminal = open_terminal(wrapped(*program("hear.py")))
    terminal.expect_exact("ready\r\n")

    terminal.sendintr()
    terminal.expect_exact("^C2\r\n")
    terminal.setwinsize(30, 100)
    terminal.expect_exact(f"{int(signal.SIGWINCH)}\r\n")
    assert "2\r\n" not in (terminal.before or "")


def test_ctrl_c_is_the_wrappers_until_the_command_uses_the_terminal(open_terminal: Opener) -> None:
    """A shell, as a command, uses it at once, and is as interactive as without the wrapper."""
    terminal = open_terminal(wrapped("--on-demand", sys.executable, "-c", TERMINAL_GROUPS))
    terminal.expect_exact("background\r\n")

    terminal.sendintr()  # which the wrapper passes on
    terminal.expect_exact("^Cheard\r\n")
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
def test_terminal_is_given_back(open_terminal: Opener, how: list[str]) -> None:
    """To a script that reads from it afterwards, whether the command could be run or not."""
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
    """The shell sees all of it stop, and the command has the terminal again afterwards."""
    terminal = open_terminal(BASH)
    terminal.expect_exact("$ ")
    terminal.sendline(job.format(" ".join(wrapped(*how, "cat"))))
    terminal.sendline("one")
    terminal.expect_exact("one\r\none\r\n")

    for word in ("two", "three"):
        terminal.sendcontrol("z")
        terminal.expect_exact("Stopped")
        terminal.expect_exact("$ ")
        terminal.sendline("fg")
        terminal.expect_exact("cat\r\n")
        terminal.sendline(word)
        terminal.expect_exact(f"{word}\r\n{word}\r\n")

    terminal.sendintr()
    terminal.expect_exact("$ ")
    terminal.sendline("echo status $?")
    terminal.expect_exact(f"status {status}\r\n")


@ON_DEMAND
def test_bg_continues_it_without_the_terminal(open_terminal: Opener, how: list[str]) -> None:
    """As it does with any job."""
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
def test_job_stops_that_reads_in_the_background(open_terminal: Opener, how: list[str]) -> None:
    """The terminal is never taken from whoever has it."""
    terminal = open_terminal(BASH)
    terminal.expect_exact("$ ")
    terminal.sendline(" ".join([*wrapped(*how, "cat"), "&", "wait", "%1;", "jobs"]))
    terminal.expect_exact("Stopped")

    terminal.sendline("fg")
    terminal.expect_exact("cat\r\n")
    terminal.sendline("one")
    terminal.expect_exact("one\r\none\r\n")


@ON_DEMAND
@pytest.mark.parametrize("session", [[], ["setsid", "--ctty"]])
def test_ctrl_z_does_not_stop_what_no_shell_could_continue(
    open_terminal: Opener, namespace: list[str], session: list[str], how: list[str]
) -> None:
    """A container with a terminal has nobody to type ``fg`` at."""
    terminal = open_terminal([*namespace, *session, *wrapped(*how, "cat")])
    terminal.sendline("one")
    terminal.expect_exact("one\r\none\r\n")

    terminal.sendcontrol("z")
    terminal.sendline("two")
    terminal.expect_exact("two\r\ntwo\r\n")
    terminal.sendeof()
    terminal.expect(pexpect.EOF)
