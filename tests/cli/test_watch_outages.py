"""`etcdnaming watch` while etcd is unreachable: it reports each reason, and misses no change."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable

import pytest
from harness import AT_ONCE, READER, Certificates, Etcd, Process, Result, Spawn
from harness.auth import READER_NEEDS
from harness.watcher import put


def cpu_seconds(pid: int) -> float:
    """Return the CPU time that a process has used so far."""
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
        user, system = stat.read().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def watching(spawn: Spawn, etcd: Etcd, *args: str) -> Process:
    """Return a watch of *etcd* that has printed the existing endpoints."""
    watch = spawn("watch", "svc", "-w", "json", f"--endpoints={etcd.endpoint}", *args)
    watch.wait_for_out("SYNCED")
    return watch


def reported(watch: Process) -> list[tuple[str, str, bool]]:
    """Return type, address and ``resync`` of each change after SYNCED."""
    lines = [json.loads(line) for line in watch.out.splitlines()]
    synced = next(n for n, line in enumerate(lines) if line["type"] == "SYNCED")
    return [(line["type"], line["addr"], line["resync"]) for line in lines[synced + 1 :]]


@pytest.mark.server
def test_watch_misses_no_change_when_etcd_restarts(
    spawn: Spawn, own_etcd: Callable[..., Etcd]
) -> None:
    """It prints a line on the disconnect and one on the reconnect, and why etcd is not reached."""
    etcd = own_etcd()
    watch = watching(spawn, etcd)
    etcd.kill()
    watch.wait_for_err("disconnected")
    etcd.start()
    put(etcd, e1="1", e2="2")
    watch.wait_for_out('"addr":"2"')
    watch.wait_for_err("reconnected")

    assert reported(watch) == [("PUT", "1", False), ("PUT", "2", False)]
    lost, *_, found = watch.err.splitlines()
    assert lost.startswith("Warning: disconnected: ")
    # The error is that of a call or of a connection, as the stream may not exist yet.
    assert f"{etcd.endpoint}: " in lost
    assert found == f"reconnected to {etcd.endpoint}"


def test_watch_connects_when_etcd_starts_later(spawn: Spawn, own_etcd: Callable[..., Etcd]) -> None:
    """Services and etcd are often started together."""
    etcd = own_etcd()
    put(etcd, e1="1")
    etcd.stop()
    watch = spawn("watch", "svc", f"--endpoints={etcd.endpoint}", "--dial-timeout=300ms")
    watch.wait_for_err("not connected yet")
    etcd.start()
    watch.wait_for_out("\n")
    watch.wait_for_err(f"\nconnected to {etcd.endpoint}\n")

    assert watch.out == "PUT\tsvc/e1\t1\tnull\n"
    assert watch.err == (
        f"Warning: not connected yet: no etcd endpoint reached within 0.3s: {etcd.endpoint}: "
        f"connection refused\nconnected to {etcd.endpoint}\n"
    )


@pytest.mark.parametrize("command", [["watch", "svc"], ["watch", "svc", "a"], ["wait", "svc"]])
def test_command_reports_another_reason_once_while_it_is_not_connected(
    spawn: Spawn, own_etcd: Callable[..., Etcd], command: list[str]
) -> None:
    """First etcd does not answer, then there is none."""
    etcd = own_etcd()
    etcd.freeze()
    process = spawn(*command, f"--endpoints={etcd.endpoint}", "--dial-timeout=300ms")
    process.wait_for_err(": no answer\n")
    etcd.kill()
    process.wait_for_err(": connection refused\n")

    why = f"Warning: not connected yet: no etcd endpoint reached within 0.3s: {etcd.endpoint}"
    assert process.err == f"{why}: no answer\n{why}: connection refused\n"


def test_watch_reports_another_reason_once_while_it_is_disconnected(
    spawn: Spawn, own_etcd: Callable[..., Etcd]
) -> None:
    """The line differs from that of a further outage."""
    etcd = own_etcd()
    put(etcd, e1="1")
    watch = watching(spawn, etcd, "--dial-timeout=300ms")
    put(etcd, e2="2")
    watch.wait_for_out('"addr":"2"')  # the watch is connected
    etcd.kill()
    watch.wait_for_err(": connection refused\n")
    etcd.start()
    watch.wait_for_err("reconnected to")

    (line,) = [line for line in watch.err.splitlines() if "still" in line]
    why = f"no etcd endpoint reached within 0.3s: {etcd.endpoint}: connection refused"
    assert line == f"Warning: still disconnected: {why}"


def test_watch_resyncs_after_etcd_lost_its_data(
    spawn: Spawn, own_etcd: Callable[..., Etcd]
) -> None:
    """The differences are marked in JSON, and a message has their number."""
    etcd = own_etcd()
    put(etcd, e1="1")
    watch = watching(spawn, etcd)
    put(etcd, e2="2")
    watch.wait_for_out('"addr":"2"')  # the watch is connected
    etcd.wipe()
    watch.wait_for_out('"DELETE"')
    watch.wait_for_err("reconnected")
    put(etcd, e3="3")
    watch.wait_for_out('"addr":"3"')

    deleted = [("DELETE", "1", True), ("DELETE", "2", True)]
    assert reported(watch) == [("PUT", "2", False), *deleted, ("PUT", "3", False)]
    assert "\nresync: changes were lost; reading etcd again showed 2 differences\n" in watch.err


@pytest.mark.parametrize("option", ["--user=reader:wrong", "--auth-jwt-token=wrong"])
def test_watch_fails_when_the_login_fails(
    spawn: Spawn, auth_etcd: Callable[..., Etcd], option: str
) -> None:
    """A retry would not help."""
    etcd = auth_etcd()

    result = spawn("watch", "svc", f"--endpoints={etcd.endpoint}", option).finish()

    assert (result.status, result.out, result.err.count("\n")) == (2, "", 1)
    assert result.err.startswith("Error: ")


def test_watch_fails_when_the_user_has_no_permission(
    spawn: Spawn, auth_etcd: Callable[..., Etcd]
) -> None:
    """The exit code is that of other permission errors."""
    etcd = auth_etcd()

    result = spawn("watch", "other", f"--endpoints={etcd.endpoint}", f"--user={READER}").finish()

    assert result == Result(
        1,
        "",
        f"{READER_NEEDS} read permission on the prefix other/\n",
    )


def test_watch_fails_when_the_permission_is_revoked(
    spawn: Spawn, auth_etcd: Callable[..., Etcd]
) -> None:
    """etcd refuses the watch at the next connection at the latest."""
    etcd = auth_etcd()
    watch = watching(spawn, etcd, f"--user={READER}")
    etcd.ctl("role", "revoke-permission", "reader", "svc/", "--prefix")
    etcd.kill()
    etcd.start()

    result = watch.finish()

    assert result.status == 1
    assert result.err.splitlines()[-1] == (f"{READER_NEEDS} read permission on the prefix svc/")


def test_watch_fails_when_tls_fails(
    spawn: Spawn, secure_etcd: Callable[..., Etcd], certificates: Certificates
) -> None:
    """A retry would not help."""
    etcd = secure_etcd()

    plain = spawn("watch", "svc", f"--endpoints={etcd.endpoint}")
    stranger = spawn(
        "watch", "svc", f"--endpoints={etcd.endpoint}", f"--cacert={certificates.other_ca}"
    )

    for result in (plain.finish(), stranger.finish()):
        assert (result.status, result.out, result.err.count("\n")) == (2, "", 1)


@pytest.mark.long
@pytest.mark.server
def test_watch_detects_a_frozen_etcd(spawn: Spawn, own_etcd: Callable[..., Etcd]) -> None:
    """It takes up to 15 s, as the connection stays open; no change is missed."""
    etcd = own_etcd()
    put(etcd, e1="1")
    watch = watching(spawn, etcd)
    etcd.freeze()
    start = time.monotonic()
    watch.wait_for_err("disconnected")
    assert time.monotonic() - start < 15 + AT_ONCE
    time.sleep(5)
    etcd.thaw()
    put(etcd, e2="2")
    etcd.delete("svc/e1")
    watch.wait_for_out('"DELETE"')
    watch.wait_for_err("reconnected")

    assert reported(watch) == [("PUT", "2", False), ("DELETE", "1", False)]
    assert watch.err.count("Warning: disconnected") == watch.err.count("reconnected") == 1


@pytest.mark.long
def test_watch_uses_little_cpu_while_etcd_is_down(
    spawn: Spawn, own_etcd: Callable[..., Etcd]
) -> None:
    """It uses less than 5 % of a core, and prints three lines, however long that lasts."""
    etcd = own_etcd()
    watch = watching(spawn, etcd)
    etcd.kill()
    watch.wait_for_err("disconnected")
    start, used = time.monotonic(), cpu_seconds(watch.pid)
    time.sleep(60)
    share = (cpu_seconds(watch.pid) - used) / (time.monotonic() - start)
    etcd.start()
    put(etcd, e1="1")
    watch.wait_for_out('"addr":"1"')
    watch.wait_for_err("reconnected")

    assert share < 0.05
    lost, still, found = watch.err.splitlines()
    assert lost.startswith("Warning: disconnected: ")
    assert still.startswith("Warning: still disconnected: ")
    assert found.startswith("reconnected to ")


@pytest.mark.long
def test_watch_prints_each_missed_change_once_after_sigstop(
    spawn: Spawn, own_etcd: Callable[..., Etcd]
) -> None:
    """The changes are compacted meanwhile, so they may be found by a resync."""
    etcd = own_etcd()
    put(etcd, e1="1", e2="2")
    watch = watching(spawn, etcd)
    watch.signal(signal.SIGSTOP)
    put(etcd, e1="9", e3="3")
    etcd.delete("svc/e2")
    etcd.ctl("compact", str(etcd.revision()))
    etcd.kill()
    etcd.start()
    watch.signal(signal.SIGCONT)
    put(etcd, e4="4")
    watch.wait_for_out('"addr":"4"')

    changes = sorted((kind, addr) for kind, addr, _ in reported(watch))
    assert changes == [("DELETE", "2"), ("PUT", "3"), ("PUT", "4"), ("PUT", "9")]
