"""`etcdnaming lease-register … -- CMD`: signals, the way down, and the terminal."""

from __future__ import annotations

import re
import signal
import time

import pexpect
import pytest
from harness import AT_ONCE, Etcd, Process, Spawn, Terminal, wait_until
from harness.process import command
from harness.registering import KEY, REGISTER, hearing, is_empty, times
from harness.timeline import Timeline

NOWHERE = ("--endpoints", "127.0.0.1:1", "--dial-timeout", "500ms")
FORWARDED = ("HUP", "QUIT", "USR1", "USR2", "WINCH")
DRAIN = 2.0


def number(name: str) -> int:
    """Return the number of SIG*name*."""
    return signal.Signals[f"SIG{name}"]


def begun(spawn: Spawn, *args: str, ends: str = "SIGTERM") -> Process:
    """Return a run of a command that hears all signals, and is registered."""
    process = spawn(*REGISTER, *args, "--", *hearing(ends))
    process.wait_for_out("begun")
    process.wait_for_err("OK\n")
    return process


@pytest.mark.parametrize("reached", [True, False], ids=["registered", "etcd was never reached"])
def test_signals_reach_the_command(spawn: Spawn, etcd: Etcd, reached: bool) -> None:
    """Those that end nothing pass, those that end us reach it last."""
    process = spawn(*REGISTER, *(() if reached else NOWHERE), "--", *hearing("SIGTERM"))
    process.wait_for_out("begun")
    process.wait_for_err("OK\n" if reached else "no etcd endpoint reached")

    for name in FORWARDED:
        process.signal(number(name))
        process.wait_for_out(f"SIG{name} ")
        assert bool(etcd.get(KEY)) == reached
    process.signal(signal.SIGTERM)

    result = process.finish()
    assert result.status == 0
    heard = [line.split()[0] for line in result.out.splitlines()]
    assert heard == ["begun", *(f"SIG{name}" for name in FORWARDED), "SIGTERM"]
    assert is_empty(etcd)


@pytest.mark.parametrize("name", ["INT", "TERM"])
@pytest.mark.parametrize("moment", [" grpc._cython.cygrpc\n", " etcdnaming.etcd.client\n"])
def test_a_signal_that_comes_before_the_command_is_not_lost(
    spawn: Spawn, moment: str, name: str
) -> None:
    """It is the command's, whether that says already what it hears or not."""
    cmd = hearing(f"SIG{name}")
    process = spawn(*REGISTER, *NOWHERE, "--", *cmd, env={"PYTHONPROFILEIMPORTTIME": "1"})
    process.wait_for_err(moment)
    process.signal(number(name))

    result = process.finish()
    heard = result.status == 0 and f"SIG{name} " in result.out
    assert heard or (result.status, result.out) == (128 + number(name), "")


@pytest.mark.parametrize("name", ["TERM", "INT"])
def test_the_endpoint_leaves_before_the_command_is_told(
    spawn: Spawn, etcd: Etcd, name: str
) -> None:
    """By the time of the drain; GNU timeout sends everything twice, which is the same signal."""
    with Timeline(etcd) as timeline:
        process = begun(spawn, "--drain", f"{DRAIN:g}s", ends=f"SIG{name}")
        sent = time.time()
        process.signal(number(name))
        process.signal(number(name))

        assert process.finish().status == 0
        told = times(process)[f"SIG{name}"]
        assert timeline.when("DELETE") - sent < AT_ONCE
        assert timeline.when("DELETE") < told
        assert DRAIN < told - sent < DRAIN + AT_ONCE
        assert is_empty(etcd)


def test_a_second_signal_skips_the_drain(spawn: Spawn, etcd: Etcd) -> None:
    """And it is the first one that the command is told."""
    with Timeline(etcd) as timeline:
        process = begun(spawn, "--drain", "1m")
        process.signal(signal.SIGTERM)
        timeline.when("DELETE")
        assert "SIGTERM" not in times(process)
        second = time.time()
        process.signal(signal.SIGINT)

        assert process.finish().status == 0
        assert times(process)["SIGTERM"] - second < AT_ONCE
        assert "SIGINT" not in times(process)


def test_a_third_signal_kills(spawn: Spawn, etcd: Etcd) -> None:
    """What would have had time, and its family."""
    process = begun(spawn, "--drain", "1m", "--stop-timeout", "1m", ends="SIGUSR1")
    process.signal(signal.SIGTERM)
    wait_until(lambda: is_empty(etcd))
    process.signal(signal.SIGINT)
    process.wait_for_out("SIGTERM ")
    begin = time.monotonic()
    process.signal(signal.SIGTERM)

    assert process.finish().status == 137
    assert time.monotonic() - begin < AT_ONCE


def test_who_does_not_end_is_killed(spawn: Spawn, etcd: Etcd) -> None:
    """After the time it has for it."""
    process = begun(spawn, "--stop-timeout", "500ms", ends="SIGUSR1")
    sent = time.time()
    process.signal(signal.SIGTERM)

    result = process.finish()
    killed = time.time()
    assert result.status == 137
    assert sent < times(process)["SIGTERM"] < killed
    assert 0.5 < killed - sent < AT_ONCE  # and less than what it has by default


def test_a_command_that_ends_while_clients_take_notice_is_not_waited_for(
    spawn: Spawn, etcd: Etcd
) -> None:
    """Nothing is left to drain."""
    process = begun(spawn, "--drain", "1m", ends="SIGUSR1")
    process.signal(signal.SIGTERM)
    wait_until(lambda: is_empty(etcd))
    begin = time.monotonic()
    process.signal(signal.SIGUSR1)

    assert process.finish().status == 0
    assert time.monotonic() - begin < AT_ONCE


def test_what_was_never_registered_has_nothing_to_drain(spawn: Spawn) -> None:
    """Nobody knows of it."""
    process = spawn(*REGISTER, *NOWHERE, "--drain", "1m", "--", *hearing("SIGTERM"))
    process.wait_for_out("begun")
    begin = time.monotonic()
    process.signal(signal.SIGTERM)

    assert process.finish().status == 0
    assert time.monotonic() - begin < AT_ONCE


@pytest.mark.parametrize("name", ["TERM", "INT", "HUP"])
def test_a_command_that_waits_for_the_registration_never_begins(
    spawn: Spawn, etcd: Etcd, name: str
) -> None:
    """If we are told to end before: by that signal."""
    etcd.put(KEY, "{}", etcd.grant(60))
    waiting = ("--start", "registered", "--on-conflict", "wait")
    process = spawn(*REGISTER, *waiting, "--", "echo", "ran")
    process.wait_for_err("waiting until it is released")

    process.signal(number(name))

    result = process.finish()
    assert (result.status, result.out) == (-number(name), "")
    assert len(etcd.leases()) == 1


def test_ctrl_c_drains_before_the_command_gets_it(terminal: Terminal, etcd: Etcd) -> None:
    """As SIGTERM does."""
    with Timeline(etcd) as timeline:
        process = terminal(*REGISTER, "--drain", f"{DRAIN:g}s", "--", *hearing("SIGINT"))
        process.expect_exact("begun")
        process.expect_exact("registered")
        sent = time.time()
        process.sendintr()
        process.expect(r"SIGINT ([0-9.]+)\r\n")
        assert isinstance(process.match, re.Match)
        told = float(process.match[1])
        assert timeline.when("DELETE") > sent - 0.1
        assert told - timeline.when("DELETE") > DRAIN - 0.1
        process.expect(pexpect.EOF)
        process.wait()

    assert process.exitstatus == 0
    assert is_empty(etcd)


def test_second_ctrl_c_skips_the_drain(terminal: Terminal, etcd: Etcd) -> None:
    """Whoever types it does not want to wait."""
    process = terminal(*REGISTER, "--drain", "1h", "--", *hearing("SIGINT"))
    process.expect_exact("begun")
    process.expect_exact("registered")
    process.sendintr()
    wait_until(lambda: is_empty(etcd))
    time.sleep(0.2)  # sooner it would be the same one, sent twice
    process.sendintr()
    process.expect_exact("SIGINT ")
    process.expect(pexpect.EOF)
    process.wait()

    assert process.exitstatus == 0


def test_ctrl_c_is_the_commands_when_that_uses_the_terminal(terminal: Terminal, etcd: Etcd) -> None:
    """A shell is as interactive with a drain as without; its end needs none."""
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


def test_ctrl_c_is_the_commands_when_there_is_no_drain(terminal: Terminal, etcd: Etcd) -> None:
    """It ends by it, and nothing is left."""
    process = terminal(*REGISTER, "--", "sh", "-c", "echo begun; sleep 60")
    process.expect_exact("begun\r\n")
    process.expect_exact("registered")  # a table, on a terminal
    process.sendintr()
    process.expect_exact("revoked")
    process.wait()

    assert process.exitstatus == 130
    assert is_empty(etcd)


def test_ctrl_c_without_a_command_is_ours(terminal: Terminal, etcd: Etcd) -> None:
    """And a good end."""
    process = terminal(*REGISTER)
    process.expect_exact("registered")
    process.sendintr()
    process.expect_exact("revoked")
    process.wait()

    assert process.exitstatus == 0
    assert is_empty(etcd)


def test_ctrl_z_stops_both_and_fg_goes_on(terminal: Terminal, etcd: Etcd) -> None:
    """However long that takes: the endpoint is registered again."""
    process = terminal("sandbox", "--", "bash", "--norc", "--noprofile", "-i", env={"PS1": "$ "})
    process.expect_exact("$ ")
    words = command(*REGISTER, "--ttl", "1", "--endpoints", etcd.endpoint, "-w", "simple", "--")
    process.sendline(" ".join([*words, "cat"]))
    process.expect_exact("OK\r\n")
    process.sendline("one")
    process.expect_exact("one\r\none\r\n")
    process.sendcontrol("z")
    process.expect_exact("Stopped")
    wait_until(lambda: is_empty(etcd))  # as of one who has died
    process.sendline("fg")
    process.expect_exact("registered again after")
    wait_until(lambda: etcd.get(KEY))
    process.sendline("two")
    process.expect_exact("two\r\ntwo\r\n")
    process.sendeof()
    process.expect_exact("$ ")
    wait_until(lambda: is_empty(etcd))
