"""`etcdnaming lease-register … -- CMD`: signals, shutdown and the terminal."""

from __future__ import annotations

import re
import signal
import time

import pexpect
import pytest
from harness import AT_ONCE, Etcd, Process, Spawn, Terminal, wait_until
from harness.process import command
from harness.registering import ADDR, KEY, REGISTER, is_empty, print_signals, signal_times
from harness.timeline import Timeline

from etcdnaming.cli.entrypoint import entrypoint
from etcdnaming.cli.entrypoint.entrypoint import Shutdown
from etcdnaming.cli.entrypoint.loop import Loop

NOWHERE = ("--endpoints", "127.0.0.1:1", "--dial-timeout", "500ms")
FORWARDED = ("HUP", "QUIT", "USR1", "USR2", "WINCH")
DRAIN = 2.0


def number(name: str) -> int:
    """Return the number of SIG*name*."""
    return signal.Signals[f"SIG{name}"]


def begun(spawn: Spawn, *args: str, ends: str = "SIGTERM") -> Process:
    """Return a registered process whose command prints all signals and exits on SIG*ends*."""
    process = spawn(*REGISTER, *args, "--", *print_signals(ends))
    process.wait_for_out("begun")
    process.wait_for_err("OK\n")
    return process


@pytest.mark.parametrize("reached", [True, False], ids=["registered", "etcd never reached"])
def test_signals_are_forwarded_to_the_command(spawn: Spawn, etcd: Etcd, reached: bool) -> None:
    """SIGTERM is forwarded last; the others change nothing else."""
    process = spawn(*REGISTER, *(() if reached else NOWHERE), "--", *print_signals("SIGTERM"))
    process.wait_for_out("begun")
    process.wait_for_err("OK\n" if reached else "no etcd endpoint reached")

    for name in FORWARDED:
        process.signal(number(name))
        process.wait_for_out(f"SIG{name} ")
        assert bool(etcd.get(KEY)) == reached
    process.signal(signal.SIGTERM)

    result = process.finish()
    assert result.status == 0
    received = [line.split()[0] for line in result.out.splitlines()]
    assert received == ["begun", *(f"SIG{name}" for name in FORWARDED), "SIGTERM"]
    assert is_empty(etcd)


@pytest.mark.parametrize("name", ["INT", "TERM"])
@pytest.mark.parametrize("moment", [" grpc._cython.cygrpc\n", " etcdnaming.etcd.client\n"])
def test_signal_is_not_lost_when_it_arrives_before_the_command_starts(
    spawn: Spawn, moment: str, name: str
) -> None:
    """CMD dies by it. A CMD in Python could lose it itself, while it starts."""
    process = spawn(*REGISTER, *NOWHERE, "--", "sleep", "60", env={"PYTHONPROFILEIMPORTTIME": "1"})
    process.wait_for_err(moment)
    process.signal(number(name))

    assert process.finish().status == 128 + number(name)


@pytest.mark.parametrize("name", ["TERM", "INT"])
def test_endpoint_is_deleted_before_the_command_is_signalled(
    spawn: Spawn, etcd: Etcd, name: str
) -> None:
    """The drain time is in between."""
    with Timeline(etcd) as timeline:
        process = begun(spawn, "--drain", f"{DRAIN:g}s", ends=f"SIG{name}")
        sent = time.time()
        process.signal(number(name))

        assert process.finish().status == 0
        signalled = signal_times(process)[f"SIG{name}"]
        assert timeline.when("DELETE") - sent < AT_ONCE
        assert timeline.when("DELETE") < signalled
        assert DRAIN < signalled - sent < DRAIN + AT_ONCE
        assert is_empty(etcd)


def test_signal_counts_once_when_it_is_repeated_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """As by timeout(1); a process can't be sent it twice for certain, because the kernel merges."""
    finished: list[bool] = []
    ending = Shutdown(
        Loop(), None, finished.append, signum=signal.SIGTERM, drain=60, stop_timeout=60
    )
    monkeypatch.setattr(entrypoint, "DUPLICATE_INTERVAL", 60)
    for _ in range(3):
        ending.another_signal(signal.SIGTERM)
    assert finished == []
    ending.another_signal(signal.SIGINT)
    assert finished == []
    monkeypatch.setattr(entrypoint, "DUPLICATE_INTERVAL", 0)
    ending.another_signal(signal.SIGINT)
    assert finished == [False]


def test_second_signal_skips_the_drain(spawn: Spawn, etcd: Etcd) -> None:
    """CMD gets the first signal."""
    with Timeline(etcd) as timeline:
        process = begun(spawn, "--drain", "1m")
        process.signal(signal.SIGTERM)
        timeline.when("DELETE")
        assert "SIGTERM" not in signal_times(process)
        second = time.time()
        process.signal(signal.SIGINT)

        assert process.finish().status == 0
        assert signal_times(process)["SIGTERM"] - second < AT_ONCE
        assert "SIGINT" not in signal_times(process)


def test_third_signal_kills_the_command(spawn: Spawn, etcd: Etcd) -> None:
    """It does not wait for --stop-timeout."""
    process = begun(spawn, "--drain", "1m", "--stop-timeout", "1m", ends="SIGUSR1")
    process.signal(signal.SIGTERM)
    wait_until(lambda: is_empty(etcd))
    process.signal(signal.SIGINT)
    process.wait_for_out("SIGTERM ")
    begin = time.monotonic()
    process.signal(signal.SIGTERM)

    assert process.finish().status == 137
    assert time.monotonic() - begin < AT_ONCE


def test_command_is_killed_after_the_stop_timeout(spawn: Spawn, etcd: Etcd) -> None:
    """The command ignores the signal here."""
    process = begun(spawn, "--stop-timeout", "500ms", ends="SIGUSR1")
    sent = time.time()
    process.signal(signal.SIGTERM)

    result = process.finish()
    killed = time.time()
    assert result.status == 137
    assert sent < signal_times(process)["SIGTERM"] < killed
    assert 0.5 < killed - sent < AT_ONCE  # less than the default of --stop-timeout


def test_drain_ends_when_the_command_exits(spawn: Spawn, etcd: Etcd) -> None:
    """Nothing is left to drain."""
    process = begun(spawn, "--drain", "1m", ends="SIGUSR1")
    process.signal(signal.SIGTERM)
    wait_until(lambda: is_empty(etcd))
    begin = time.monotonic()
    process.signal(signal.SIGUSR1)

    assert process.finish().status == 0
    assert time.monotonic() - begin < AT_ONCE


def test_drain_is_skipped_when_nothing_was_registered(spawn: Spawn) -> None:
    """No client knows the endpoint."""
    process = spawn(*REGISTER, *NOWHERE, "--drain", "1m", "--", *print_signals("SIGTERM"))
    process.wait_for_out("begun")
    begin = time.monotonic()
    process.signal(signal.SIGTERM)

    assert process.finish().status == 0
    assert time.monotonic() - begin < AT_ONCE


@pytest.mark.parametrize("name", ["TERM", "INT", "HUP"])
def test_command_never_starts_when_lease_register_is_signalled_before(
    spawn: Spawn, etcd: Etcd, name: str
) -> None:
    """The option is --start registered; lease-register dies by that signal."""
    etcd.put(KEY, "{}", etcd.grant(60))
    waiting = ("--start", "registered", "--on-conflict", "wait")
    process = spawn(*REGISTER, *waiting, "--", "echo", "ran")
    process.wait_for_err("waiting until it is released")

    process.signal(number(name))

    result = process.finish()
    assert (result.status, result.out) == (-number(name), "")
    assert len(etcd.leases()) == 1


def test_ctrl_c_starts_the_drain(terminal: Terminal, etcd: Etcd) -> None:
    """SIGTERM does the same."""
    with Timeline(etcd) as timeline:
        process = terminal(*REGISTER, "--drain", f"{DRAIN:g}s", "--", *print_signals("SIGINT"))
        expect_all(process, "begun", "registered")
        sent = time.time()
        process.sendintr()
        process.expect(r"SIGINT ([0-9.]+)\r\n")
        assert isinstance(process.match, re.Match)
        signalled = float(process.match[1])
        assert timeline.when("DELETE") > sent - 0.1
        assert signalled - timeline.when("DELETE") > DRAIN - 0.1
        process.expect(pexpect.EOF)
        process.wait()

    assert process.exitstatus == 0
    assert is_empty(etcd)


def expect_all(process: pexpect.spawn[str], *texts: str) -> None:
    """Wait for *texts*, which two processes print in any order."""
    left = list(texts)
    while left:
        left.pop(process.expect_exact(left))


def test_second_ctrl_c_skips_the_drain(terminal: Terminal, etcd: Etcd) -> None:
    """CMD gets SIGINT at once."""
    process = terminal(*REGISTER, "--drain", "1h", "--", *print_signals("SIGINT"))
    expect_all(process, "begun", "registered")
    process.sendintr()
    wait_until(lambda: is_empty(etcd))
    time.sleep(0.2)  # sooner it would count as a duplicate
    process.sendintr()
    process.expect_exact("SIGINT ")
    process.expect(pexpect.EOF)
    process.wait()

    assert process.exitstatus == 0


def test_ctrl_c_reaches_the_command_when_it_reads_from_the_terminal(
    terminal: Terminal, etcd: Etcd
) -> None:
    """A shell is interactive with a drain too; it exits without one."""
    bash = ("bash", "--norc", "--noprofile", "-i")
    process = terminal(*REGISTER, "--drain", "1h", "--", *bash, env={"PS1": "$ ", "TERM": "dumb"})
    process.expect_exact("registered")
    process.sendline("sh -c 'echo begun; exec sleep 60'")
    process.expect_exact("\nbegun\r\n")
    process.sendintr()
    process.expect_exact("$ ")
    assert etcd.get(KEY)
    process.sendline("exit 3")
    process.expect(pexpect.EOF)
    process.wait()

    assert process.exitstatus == 3
    assert is_empty(etcd)


def test_ctrl_c_reaches_the_command_when_there_is_no_drain(terminal: Terminal, etcd: Etcd) -> None:
    """CMD dies by it, and nothing is left in etcd."""
    process = terminal(*REGISTER, "--", "sh", "-c", "echo begun; sleep 60")
    process.expect_exact("begun\r\n")
    process.expect_exact("registered")  # a table, on a terminal
    process.sendintr()
    process.expect_exact("revoked")
    process.wait()

    assert process.exitstatus == 130
    assert is_empty(etcd)


def test_ctrl_c_ends_lease_register_without_a_command(terminal: Terminal, etcd: Etcd) -> None:
    """The exit code is 0."""
    process = terminal(*REGISTER)
    process.expect_exact("registered")
    process.sendintr()
    process.expect_exact("revoked")
    process.wait()

    assert process.exitstatus == 0
    assert is_empty(etcd)


def test_ctrl_z_stops_lease_register_and_command_until_fg(terminal: Terminal, etcd: Etcd) -> None:
    """The lease expires meanwhile; the endpoint is registered again."""
    process = terminal("sandbox", "--", "bash", "--norc", "--noprofile", "-i", env={"PS1": "$ "})
    process.expect_exact("$ ")
    words = command(*REGISTER, "--ttl", "1", "--endpoints", etcd.endpoint, "-w", "simple", "--")
    process.sendline(" ".join([*words, "cat"]))
    process.expect_exact("OK\r\n")
    process.sendline("one")
    process.expect_exact("one\r\none\r\n")
    process.sendcontrol("z")
    process.expect_exact("Stopped")
    wait_until(lambda: is_empty(etcd))  # the lease expires while the process is stopped
    process.sendline("fg")
    process.expect_exact(f"regained {KEY} {ADDR} after")
    wait_until(lambda: etcd.get(KEY))
    process.sendline("two")
    process.expect_exact("two\r\ntwo\r\n")
    process.sendeof()
    process.expect_exact("$ ")
    wait_until(lambda: is_empty(etcd))
