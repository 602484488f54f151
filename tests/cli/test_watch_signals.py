"""`watch` and `wait` end by a signal at once, wherever it finds them, and say nothing about it."""

from __future__ import annotations

import random
import signal
import socket
import time
from collections.abc import Callable, Iterator

import pytest
from harness import AT_ONCE, TIMEOUT, Etcd, Process, Spawn, Terminal
from harness.picture import Picture

COMMANDS = [
    pytest.param(("watch", "svc"), id="watch"),
    pytest.param(("watch", "svc", "--", "cat"), id="watch with CMD"),
    pytest.param(("wait", "svc", "--timeout=1h"), id="wait"),
]

every_command = pytest.mark.parametrize("args", COMMANDS)
both_signals = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])

REFUSED = "--endpoints=127.0.0.1:1"


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A server that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(TIMEOUT)
        yield server


def at(server: socket.socket) -> str:
    """Return the option that leads there."""
    return f"--endpoints=127.0.0.1:{server.getsockname()[1]}"


def ends_by(process: Process, number: int) -> None:
    """See *process* end by signal *number*, at once and without another word."""
    out, err, start = process.out, process.err, time.monotonic()
    process.signal(number)
    assert process.finish() == (-number, out, err)
    assert time.monotonic() - start < AT_ONCE


def gives_back(picture: Picture, number: int) -> None:
    """See it end the same way on a terminal, which is then as it was before."""
    start = time.monotonic()
    if number == signal.SIGINT:
        picture.terminal.sendintr()  # which the terminal sends to CMD as well
    else:
        picture.terminal.kill(number)
    picture.finish()
    assert time.monotonic() - start < AT_ONCE
    assert picture.terminal.signalstatus == number
    assert not picture.is_own
    assert picture.has_cursor
    assert "Traceback" not in "\n".join(picture.lines)


@every_command
@both_signals
def test_while_etcd_refuses(spawn: Spawn, args: tuple[str, ...], number: int) -> None:
    """Between two attempts."""
    process = spawn(REFUSED, "--dial-timeout=300ms", *args)
    process.wait_for_err("\n")

    ends_by(process, number)


@every_command
@both_signals
def test_while_etcd_is_dialled(
    spawn: Spawn, silent: socket.socket, args: tuple[str, ...], number: int
) -> None:
    """In the middle of an attempt that takes long."""
    process = spawn(at(silent), "--dial-timeout=1h", *args)
    with silent.accept()[0]:
        ends_by(process, number)


@every_command
def test_while_etcd_stands_still(
    spawn: Spawn, own_etcd: Callable[..., Etcd], args: tuple[str, ...]
) -> None:
    """The connection is there, but the other end is dead."""
    etcd = own_etcd()
    etcd.put("svc/e1", "nonsense")
    process = spawn(f"--endpoints={etcd.endpoint}", *args)
    process.wait_for_err("\n")
    if "--" in args:
        process.wait_for_out("\n")  # the command has been told, too
    etcd.freeze()

    ends_by(process, signal.SIGINT)


@every_command
@both_signals
def test_on_a_terminal_while_etcd_refuses(
    terminal: Terminal, args: tuple[str, ...], number: int
) -> None:
    """Which has been told why nothing happens."""
    picture = Picture(terminal(REFUSED, "--dial-timeout=300ms", *args))
    picture.wait_for("connection refused")

    gives_back(picture, number)


@every_command
def test_on_a_terminal_while_etcd_is_dialled(
    terminal: Terminal, silent: socket.socket, args: tuple[str, ...]
) -> None:
    """Which may show nothing so far."""
    picture = Picture(terminal(at(silent), "--dial-timeout=1h", *args))
    with silent.accept()[0]:
        gives_back(picture, signal.SIGINT)


@pytest.mark.long
@every_command
def test_at_any_moment(terminal: Terminal, etcd: Etcd, args: tuple[str, ...]) -> None:
    """From the first instruction of ours on, while changes are told."""
    seed = random.randrange(1 << 32)
    print(f"{seed=}")  # noqa: T201 - pytest shows it where it matters
    chance = random.Random(seed)
    for number in range(25):
        picture = Picture(terminal(*args))
        end = time.monotonic() + chance.uniform(0.1, 1.0)
        while time.monotonic() < end:
            etcd.put("svc/e1", f'{{"Addr":"{number}"}}' if args[0] == "watch" else "nonsense")
            picture.wait_until(lambda: True)
        gives_back(picture, signal.SIGTERM)
