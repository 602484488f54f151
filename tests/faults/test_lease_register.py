"""`etcdnaming lease-register` during outages, conflicts, refused logins and rotations."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from harness import (
    AT_ONCE,
    WRITER,
    Certificates,
    Etcd,
    Etcdctl,
    Process,
    Proxy,
    Spawn,
    auth,
    wait_until,
)
from harness.pids import parent_of
from harness.registering import ADDR, KEY, REGISTER, VALUE, is_empty

TTL = 2

CMD = ("--", "sh", "-c", "echo $$; exec sleep 600")

LONG_TIMEOUTS = ("--dial-timeout", "60s", "--command-timeout", "60s")
"""Timeouts so long that only the promised bound can end the wait."""


def begun(spawn: Spawn, etcd: Etcdctl, *args: str, ttl: int = 10) -> tuple[Process, int]:
    """Return a registered process, and the process ID of its command."""
    endpoints = ("--endpoints", etcd.endpoints)
    process = spawn(*REGISTER, *endpoints, "--ttl", str(ttl), *args, *CMD)
    process.wait_for_out("\n")
    process.wait_for_err("OK\n")
    return process, int(process.out)


def printed(process: Process, text: str, times: int) -> bool:
    """Return whether *text* was printed exactly so many *times* on stderr."""
    return process.err.count(text) == times


def end(process: Process) -> None:
    """Send SIGTERM, and check the exit code."""
    process.signal(signal.SIGTERM)
    assert process.finish().status == 143


@pytest.mark.long
@pytest.mark.timeout(600)
def test_command_survives_twenty_outages(spawn: Spawn, own_etcd: Callable[..., Etcd]) -> None:
    """The process is the same; each loss and each recovery is reported once."""
    etcd = own_etcd()
    process, pid = begun(spawn, etcd, ttl=TTL)
    for number in range(1, 21):
        etcd.stop()
        time.sleep(1.5 * TTL)
        etcd.start()
        wait_until(partial(printed, process, f"regained {KEY} {ADDR} after ", number))
        assert printed(process, f"lost {KEY} {ADDR}: lease ", number)
        assert (etcd.entry(KEY).value, etcd.leases()) == (VALUE, [etcd.lease_of(KEY)])
    assert parent_of(pid) == process.pid
    assert process.out == f"{pid}\n"
    end(process)
    assert is_empty(etcd)


@pytest.mark.parametrize(
    "cause",
    ["revoked", *(pytest.param(each, marks=pytest.mark.long) for each in ("frozen", "wiped"))],
)
def test_lost_lease_is_replaced_while_the_command_runs_on(
    spawn: Spawn, own_etcd: Callable[..., Etcd], cause: str
) -> None:
    """By one lease."""
    etcd = own_etcd()
    process, pid = begun(spawn, etcd, ttl=TTL if cause == "frozen" else 10)
    lease = etcd.lease_of(KEY)
    if cause == "frozen":
        etcd.freeze()
        time.sleep(3 * TTL)
        etcd.thaw()
    elif cause == "wiped":
        etcd.wipe()
    else:
        etcd.revoke(lease)
    process.wait_for_err(f"regained {KEY} {ADDR} after ")
    assert [etcd.lease_of(KEY)] == etcd.leases() != [lease]
    assert process.err.count(f"lost {KEY} {ADDR}: lease {lease:016x}: ") == 1
    assert parent_of(pid) == process.pid
    end(process)


def test_short_outage_is_not_reported(spawn: Spawn, own_etcd: Callable[..., Etcd]) -> None:
    """The lease is the same, and later changes of the key are noticed."""
    etcd = own_etcd()
    process, pid = begun(spawn, etcd)
    printed_before, lease = process.err, etcd.lease_of(KEY)
    etcd.stop()
    time.sleep(TTL)
    etcd.start()
    etcd.delete(KEY)
    wait_until(lambda: etcd.get(KEY))
    again = f"registered {KEY} {ADDR} again: it was deleted\n"
    process.wait_for_err(again)
    assert process.err == printed_before + again
    assert (etcd.lease_of(KEY), etcd.leases()) == (lease, [lease])
    assert parent_of(pid) == process.pid


@pytest.mark.parametrize(
    ("handles", "status"), [pytest.param(True, 143, marks=pytest.mark.long), (False, 137)]
)
def test_shutdown_is_bounded_when_etcd_does_not_answer(
    spawn: Spawn, own_etcd: Callable[..., Etcd], handles: bool, status: int
) -> None:
    """By drain, stop-timeout and two seconds. A warning says that keys may be left."""
    etcd, drain, stop_timeout = own_etcd(), 1.0, 1.0
    trap = "" if handles else "trap '' TERM; "
    limits = ("--drain", f"{drain:g}s", "--stop-timeout", f"{stop_timeout:g}s", *LONG_TIMEOUTS)
    process = spawn(
        *(*REGISTER, "--endpoints", etcd.endpoint, *limits),
        *("--", "sh", "-c", f"{trap}while :; do sleep 0.1; done"),
    )
    process.wait_for_err("OK\n")
    etcd.freeze()
    begin = time.monotonic()
    process.signal(signal.SIGTERM)

    result = process.finish()
    took = time.monotonic() - begin
    assert result.status == status
    assert took < drain + (0 if handles else stop_timeout) + 2 + AT_ONCE
    assert "cleanup not confirmed: remaining keys expire with the lease" in result.err
    etcd.thaw()


def test_exit_after_a_crash_is_bounded_when_etcd_does_not_answer(
    spawn: Spawn, own_etcd: Callable[..., Etcd]
) -> None:
    """The exit code is that of the command."""
    etcd = own_etcd()
    process = spawn(
        *(*REGISTER, "--endpoints", etcd.endpoint, *LONG_TIMEOUTS),
        *("--", "sh", "-c", "read line; exit 9"),
    )
    process.wait_for_err("OK\n")
    etcd.freeze()
    begin = time.monotonic()
    process.stdin.write(b"\n")

    assert process.finish().status == 9
    assert time.monotonic() - begin < 2 + AT_ONCE
    etcd.thaw()


def test_lost_lease_ends_the_command_with_on_lost_exit(
    spawn: Spawn, own_etcd: Callable[..., Etcd]
) -> None:
    """With exit code 5; an outage shorter than the TTL does not count."""
    etcd = own_etcd()
    ttl = 6  # longer than a restart takes on a busy machine
    process, pid = begun(spawn, etcd, "--on-lost", "exit", ttl=ttl)
    etcd.stop()
    etcd.start()
    time.sleep(1)
    assert parent_of(pid) == process.pid
    frozen = time.monotonic()
    etcd.freeze()

    result = process.finish()
    assert time.monotonic() - frozen < ttl + 1 + 2 + AT_ONCE
    assert result.status == 5
    assert result.err.count("Error: the lease was lost: ") == 1
    assert parent_of(pid) == 0
    etcd.thaw()


def test_one_process_registers_when_many_start_at_once_with_on_conflict_fail(
    spawn: Spawn, etcd: Etcd
) -> None:
    """The others never run their commands."""
    check_one_registers(spawn, etcd, 6)


@pytest.mark.long
@pytest.mark.timeout(300)
def test_one_process_registers_when_a_hundred_start_at_once_with_on_conflict_fail(
    spawn: Spawn, etcd: Etcd
) -> None:
    """The others never run their commands."""
    check_one_registers(spawn, etcd, 100)


def check_one_registers(spawn: Spawn, etcd: Etcd, count: int) -> None:
    """Start *count* processes for one key."""
    fail = ("--on-conflict", "fail", "--dial-timeout", "60s", "--command-timeout", "60s")
    every = [spawn(*REGISTER, *fail, *CMD) for _ in range(count)]
    wait_until(lambda: sum("OK\n" in each.err for each in every) == 1, timeout=120)
    (winner,) = [each for each in every if "OK\n" in each.err]
    for each in every:
        if each is not winner:
            result = each.finish(120)
            assert (result.status, result.out) == (8, "")
            assert result.err.splitlines()[-1].startswith(f"Error: {KEY} is held by lease")
    assert [etcd.lease_of(KEY)] == etcd.leases()
    winner.wait_for_out("\n")
    end(winner)
    assert is_empty(etcd)


def test_takeover_is_not_disturbed_by_the_previous_process(spawn: Spawn, etcd: Etcd) -> None:
    """That one runs on, and deletes nothing at its exit."""
    old, pid = begun(spawn, etcd)
    new, _ = begun(spawn, etcd, "--metadata", "new")
    lease = etcd.lease_of(KEY)
    old.wait_for_err(f"Warning: {KEY} was taken over by lease {lease:016x}\n")
    assert f"registered {KEY} {ADDR}: taken over from lease " in new.err
    assert new.err.count("taken over") == 1
    assert parent_of(pid) == old.pid
    end(old)
    time.sleep(0.5)
    assert (etcd.lease_of(KEY), etcd.leases()) == (lease, [lease])
    assert b'"new"' in etcd.entry(KEY).value
    end(new)
    assert is_empty(etcd)


def test_waiting_process_registers_when_the_key_is_released(spawn: Spawn, etcd: Etcd) -> None:
    """And not earlier."""
    old, _ = begun(spawn, etcd)
    lease = etcd.lease_of(KEY)
    new = spawn(*REGISTER, "--metadata", "new", "--on-conflict", "wait", *CMD)
    new.wait_for_err(
        f"Warning: {KEY} is held by lease {lease:016x}; waiting until it is released\n"
    )
    assert etcd.lease_of(KEY) == lease
    end(old)
    new.wait_for_err("OK\n")
    assert b'"new"' in etcd.entry(KEY).value
    another, _ = begun(spawn, etcd)
    new.wait_for_err(f"Warning: {KEY} was taken over by lease {etcd.lease_of(KEY):016x}\n")
    end(another)
    new.wait_for_err(f"registered {KEY} {ADDR} again: no other lease holds it any more\n")
    assert b'"new"' in etcd.entry(KEY).value


def test_changes_by_an_operator_are_kept_or_restored(
    spawn: Spawn, etcd: Etcd, tmp_path: Path
) -> None:
    """A changed value stays; a deleted key is restored or stays deleted, by --on-delete."""
    for policy in ("restore", "leave"):
        process, _ = begun(spawn, etcd, "--on-delete", policy)
        lease, drained = etcd.lease_of(KEY), b'{"Op":0,"Addr":"1.2.3.4:80","Metadata":{"weight":0}}'
        file = tmp_path / "updates"
        file.write_text(f'add {KEY} {ADDR} {{"weight":0}}\n')
        assert spawn("txn-update", file).finish().out == "SUCCESS\n"
        changed = (
            f"registered {KEY} {ADDR}: changed by another client to "
            f'{ADDR} {{"weight":0}}; keeping it\n'
        )
        process.wait_for_err(changed)
        assert (etcd.entry(KEY).value, etcd.lease_of(KEY)) == (drained, lease)
        etcd.delete(KEY)
        if policy == "restore":
            process.wait_for_err(f"registered {KEY} {ADDR} again: it was deleted\n")
            assert etcd.entry(KEY).value == drained
            etcd.put(KEY, "{}")
            process.wait_for_err(" again: it was put without a lease\n")
        else:
            process.wait_for_err(
                f"Warning: {KEY} was deleted by another client; not restoring it\n"
            )
            assert not etcd.get(KEY)
        end(process)
        assert is_empty(etcd)


def by_a_proxy(request: pytest.FixtureRequest) -> tuple[Etcd, list[str]]:
    """Return an etcd, and the options to connect through its gRPC proxy."""
    etcd: Etcd = request.getfixturevalue("own_etcd")()
    proxy: Proxy = request.getfixturevalue("grpc_proxy")(etcd)
    return etcd, ["--endpoints", proxy.endpoint]


def as_a_user(request: pytest.FixtureRequest) -> tuple[Etcd, list[str]]:
    """Return an etcd with users and short-lived tokens, and the options to log in."""
    etcd: Etcd = request.getfixturevalue("auth_etcd")("--auth-token-ttl=1")
    return etcd, ["--endpoints", etcd.endpoint, "--user", WRITER]


def with_tls(request: pytest.FixtureRequest) -> tuple[Etcd, list[str]]:
    """Return an etcd with mutual TLS, and the options to connect."""
    etcd: Etcd = request.getfixturevalue("secure_etcd")(mutual=True)
    files: Certificates = request.getfixturevalue("certificates")
    pair = ["--cert", str(files.client.cert), "--key", str(files.client.key)]
    return etcd, ["--endpoints", f"https://{etcd.endpoint}", "--cacert", str(files.ca), *pair]


def with_everything(request: pytest.FixtureRequest) -> tuple[Etcd, list[str]]:
    """Return an etcd with TLS and users, and the options to connect."""
    etcd: Etcd = request.getfixturevalue("secure_etcd")(*auth.SERVER_FLAGS, "--auth-token-ttl=1")
    auth.add_users(etcd)
    authority = str(request.getfixturevalue("certificates").ca)
    where = ["--endpoints", f"https://{etcd.endpoint}", "--cacert", authority]
    return etcd, [*where, "--user", WRITER]


def by_a_proxy_as_a_user(request: pytest.FixtureRequest) -> tuple[Etcd, list[str]]:
    """Return an etcd with users, and the options to log in through its gRPC proxy."""
    etcd: Etcd = request.getfixturevalue("auth_etcd")("--auth-token-ttl=1")
    proxy: Proxy = request.getfixturevalue("grpc_proxy")(etcd)
    return etcd, ["--endpoints", proxy.endpoint, "--user", WRITER]


def registered_by(spawn: Spawn, way: tuple[Etcd, list[str]], ttl: int) -> tuple[Etcd, Process]:
    """Return the etcd of *way*, and a process that is registered there."""
    etcd, options = way
    process = spawn(*REGISTER, *options, "--ttl", str(ttl), *CMD)
    process.wait_for_err("OK\n")
    return etcd, process


WAYS = [by_a_proxy, as_a_user, with_tls, with_everything, by_a_proxy_as_a_user]


@pytest.mark.parametrize("way", WAYS)
def test_lease_register_works_on_every_way_to_etcd(
    spawn: Spawn,
    way: Callable[[pytest.FixtureRequest], tuple[Etcd, list[str]]],
    request: pytest.FixtureRequest,
) -> None:
    """Register, restore, keep alive, clean up."""
    etcd, process = registered_by(spawn, way(request), ttl=4)
    lease = etcd.lease_of(KEY)
    time.sleep(5)  # longer than the TTL
    etcd.delete(KEY)
    wait_until(lambda: etcd.get(KEY))
    assert (etcd.lease_of(KEY), etcd.leases()) == (lease, [lease])
    end(process)
    assert is_empty(etcd)


@pytest.mark.long
@pytest.mark.parametrize("way", WAYS)
def test_lease_register_recovers_on_every_way_to_etcd(
    spawn: Spawn,
    way: Callable[[pytest.FixtureRequest], tuple[Etcd, list[str]]],
    request: pytest.FixtureRequest,
) -> None:
    """From an outage in which the lease expires, and from one in which etcd restarts."""
    etcd, process = registered_by(spawn, way(request), TTL)
    etcd.freeze()
    time.sleep(3 * TTL)
    etcd.thaw()
    wait_until(partial(printed, process, f"regained {KEY} {ADDR} after ", 1))
    etcd.stop()
    time.sleep(3 * TTL)
    etcd.start()
    wait_until(partial(printed, process, f"regained {KEY} {ADDR} after ", 2))
    assert printed(process, f"lost {KEY} {ADDR}: lease ", 2)
    wait_until(lambda: etcd.leases() == [etcd.lease_of(KEY)])
    end(process)
    assert is_empty(etcd)


@pytest.mark.parametrize(
    ("options", "words", "status"),
    [
        (["--user", "writer:wrong"], "authentication failed", 2),
        (["--user", "reader:reader-secret"], "permission denied", 1),
    ],
)
def test_command_runs_on_when_etcd_refuses_the_registration(
    spawn: Spawn, auth_etcd: Callable[..., Etcd], options: list[str], words: str, status: int
) -> None:
    """The error is printed once. With --start registered it ends lease-register."""
    etcd = auth_etcd()
    options += ["--endpoints", etcd.endpoint]
    process = spawn(*REGISTER, *options, *CMD)
    process.wait_for_err(words)
    time.sleep(0.5)
    assert process.err.count("\n") == 1 + ("granted" in process.err)
    assert parent_of(int(process.out)) == process.pid
    end(process)

    result = spawn(*REGISTER, *options, "--start", "registered", *CMD).finish()
    assert (result.status, result.out) == (status, "")
    assert words in result.err.splitlines()[-1]
    assert is_empty(etcd)


def test_lease_register_prints_each_refused_endpoint_with_its_reason(
    spawn: Spawn, auth_etcd: Callable[..., Etcd], tmp_path: Path
) -> None:
    """The other one is registered."""
    etcd, file = auth_etcd(), tmp_path / "endpoints"
    keys = ("other/e1", "svc/e1", "other/e2")
    file.write_text("".join(f"add {key} {ADDR}\n" for key in keys))
    options = ("--endpoints", etcd.endpoint, f"--user={WRITER}")
    process = spawn("lease-register", "-f", file, *options, *CMD)
    denied = "etcdserver: permission denied: user 'writer' needs readwrite permission on"
    for key in keys[::2]:
        process.wait_for_err(f"Warning: {key} is refused: {denied} {key}\n")
    process.wait_for_err(f"registered svc/e1 {ADDR}\n")
    end(process)


@pytest.mark.long
def test_refused_login_is_retried(
    spawn: Spawn, auth_etcd: Callable[..., Etcd], tmp_path: Path
) -> None:
    """Within half a minute after the password was corrected."""
    etcd, file = auth_etcd(), tmp_path / "password"
    name, _, password = WRITER.partition(":")
    file.write_text("wrong")
    login = ("--user", name, "--password-file", str(file), "--endpoints", etcd.endpoint)
    process = spawn(*REGISTER, *login, *CMD)
    process.wait_for_err("authentication failed")
    file.write_text(password)

    process.wait_for_err("OK\n", timeout=60)
    assert etcd.entry(KEY).value == VALUE
    end(process)


def test_command_runs_on_when_the_password_is_rotated(
    spawn: Spawn, auth_etcd: Callable[..., Etcd], tmp_path: Path
) -> None:
    """The password file is read again after a restart of etcd has invalidated all tokens."""
    etcd, file = auth_etcd(), tmp_path / "password"
    name, _, password = WRITER.partition(":")
    file.write_text(password)
    login = ("--user", name, "--password-file", str(file))
    process, pid = begun(spawn, etcd, *login, ttl=5)
    file.write_text("rotated")  # before the change in etcd, which then refuses the old password
    etcd.ctl("user", "passwd", "--interactive=false", name, input="rotated\n")
    etcd.stop()
    etcd.start()
    etcd.delete(KEY)
    wait_until(lambda: etcd.get(KEY))
    time.sleep(6)  # longer than the TTL
    assert [etcd.lease_of(KEY)] == etcd.leases()
    assert parent_of(pid) == process.pid
    assert "failed" not in process.err
    end(process)
    assert is_empty(etcd)


@pytest.mark.long
def test_command_runs_on_when_the_certificates_are_rotated(
    spawn: Spawn, secure_etcd: Callable[..., Etcd], certificates: Certificates
) -> None:
    """Of both sides and of the authority; the files are read again for each connection."""
    etcd = secure_etcd(mutual=True)
    pair = ("--cert", str(certificates.client.cert), "--key", str(certificates.client.key))
    process = spawn(
        *(*REGISTER, "--endpoints", f"https://{etcd.endpoint}", "--ttl", str(TTL)),
        *("--cacert", str(certificates.ca), *pair, *CMD),
    )
    process.wait_for_err("OK\n")
    for number in range(1, 4):
        etcd.stop()
        certificates.renew()
        time.sleep(2 * TTL)
        etcd.start()
        wait_until(partial(printed, process, f"regained {KEY} {ADDR} after ", number))
        assert printed(process, f"lost {KEY} {ADDR}: lease ", number)
        assert [etcd.lease_of(KEY)] == etcd.leases()
    assert parent_of(int(process.out)) == process.pid
    end(process)
    assert is_empty(etcd)
