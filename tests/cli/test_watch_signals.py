"""Signals to `watch` and `wait`: both end at once, in any state, without a message."""

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
    """Create a server that accepts connections and never responds."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(TIMEOUT)
        yield server


def at(server: socket.socket) -> str:
    """Return the option --endpoints with the address of *server*."""
    return f"--endpoints=127.0.0.1:{server.getsockname()[1]}"


def ends_by(process: Process, number: int) -> None:
    """Send signal *number*; the process must be killed by it at once, without more output."""
    out, err, start = process.out, process.err, time.monotonic()
    process.signal(number)
    assert process.finish() == (-number, out, err)
    assert time.monotonic() - start < AT_ONCE


def gives_back(picture: Picture, number: int) -> None:
    """Send signal *number* on a terminal; the program must end and restore the terminal."""
    start = time.monotonic()
    if number == signal.SIGINT:
        picture.terminal.sendintr()  # the terminal sends SIGINT to CMD as well
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
def test_signal_ends_the_command_while_etcd_refuses_connections(
    spawn: Spawn, args: tuple[str, ...], number: int
) -> None:
    """The command waits for its next attempt."""
    process = spawn(REFUSED, "--dial-timeout=300ms", *args)
    process.wait_for_err("\n")

    ends_by(process, number)


@every_command
@both_signals
def test_signal_ends_the_command_while_it_connects(
    spawn: Spawn, silent: socket.socket, args: tuple[str, ...], number: int
) -> None:
    """The connection timeout is one hour."""
    process = spawn(at(silent), "--dial-timeout=1h", *args)
    with silent.accept()[0]:
        ends_by(process, number)


@every_command
def test_signal_ends_the_command_while_etcd_is_frozen(
    spawn: Spawn, own_etcd: Callable[..., Etcd], args: tuple[str, ...]
) -> None:
    """The connection is open, but there is no response."""
    etcd = own_etcd()
    etcd.put("svc/e1", "nonsense")
    process = spawn(f"--endpoints={etcd.endpoint}", *args)
    process.wait_for_err("\n")
    if "--" in args:
        process.wait_for_out("\n")  # CMD has run, too
    etcd.freeze()

    ends_by(process, signal.SIGINT)


@every_command
@both_signals
def test_signal_restores_the_terminal_while_etcd_refuses_connections(
    terminal: Terminal, args: tuple[str, ...], number: int
) -> None:
    """The terminal shows the reason of the failure."""
    picture = Picture(terminal(REFUSED, "--dial-timeout=300ms", *args))
    picture.wait_for("connection refused")

    gives_back(picture, number)


@every_command
def test_ctrl_c_restores_the_terminal_while_the_command_connects(
    terminal: Terminal, silent: socket.socket, args: tuple[str, ...]
) -> None:
    """The terminal may show nothing so far."""
    picture = Picture(terminal(at(silent), "--dial-timeout=1h", *args))
    with silent.accept()[0]:
        gives_back(picture, signal.SIGINT)


@pytest.mark.long
@every_command
def test_signal_restores_the_terminal_at_any_moment(
    terminal: Terminal, etcd: Etcd, args: tuple[str, ...]
) -> None:
    """The signal comes after a random delay, while changes arrive."""
    seed = random.randrange(1 << 32)
    print(f"{seed=}")  # noqa: T201 - pytest prints it if the test fails
    chance = random.Random(seed)
    for number in range(25):
        picture = Picture(terminal(*args))
        end = time.monotonic() + chance.uniform(0.1, 1.0)
        while time.monotonic() < end:
            etcd.put("svc/e1", f'{{"Addr":"{number}"}}' if args[0] == "watch" else "nonsense")
            picture.wait_until(lambda: True)
        gives_back(picture, signal.SIGTERM)
