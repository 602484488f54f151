"""`etcdnaming lease-register`: the ready file, systemd's notifications, and --start registered."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from harness import AT_ONCE, TIMEOUT, Etcd, Spawn, wait_until
from harness.pids import child_of
from harness.ports import free_port
from harness.registering import KEY, REGISTER, is_empty, kinds, print_signals, signal_times

from etcdnaming.cli.entrypoint.readiness import Readiness

BEGUN = ("--", "sh", "-c", "echo begun; exec sleep 60")

NOWHERE = ("--endpoints", "127.0.0.1:1", "--dial-timeout", "500ms")


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    """Yield a value of NOTIFY_SOCKET, and the socket that receives the notifications."""
    name = {"path": f"{tmp_path}/notify", "abstract": f"@etcdnaming-test-{os.getpid()}"}
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(name[request.param].replace("@", "\0"))
        listener.settimeout(TIMEOUT)
        yield name[request.param], listener


def test_systemd_is_notified_when_registered_and_when_stopping(
    spawn: Spawn, own_etcd: Callable[..., Etcd], systemd: tuple[str, socket.socket]
) -> None:
    """Each is sent once; STOPPING=1 is sent before the other steps of the shutdown."""
    etcd, (name, listener) = own_etcd(), systemd
    process = spawn(
        *(
            *REGISTER,
            "--endpoints",
            etcd.endpoint,
            "--drain",
            "1m",
            "--",
            *print_signals("SIGTERM"),
        ),
        env={"NOTIFY_SOCKET": name},
    )
    assert listener.recv(100) == b"READY=1"
    assert etcd.get(KEY)
    etcd.delete(KEY)
    wait_until(lambda: etcd.get(KEY))
    etcd.freeze()  # nothing can be deregistered
    process.signal(signal.SIGTERM)
    assert listener.recv(100) == b"STOPPING=1"
    wait_until(lambda: "begun" in process.out)  # the command handles signals from now on
    assert "SIGTERM" not in signal_times(process)
    etcd.thaw()
    process.signal(signal.SIGINT)  # skips the drain
    assert process.finish().status == 0
    listener.setblocking(False)
    with pytest.raises(BlockingIOError):
        listener.recv(100)


def test_readiness_does_not_wait_when_the_notify_socket_is_full(tmp_path: Path) -> None:
    """The loop that forwards signals would stop; one warning is enough."""
    warnings: list[str] = []
    path = str(tmp_path / "notify")
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as listener:
        listener.bind(path)
        with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as sender:
            sender.setblocking(False)
            with suppress(BlockingIOError):
                while True:
                    sender.sendto(b"x", path)
        readiness = Readiness(None, {"NOTIFY_SOCKET": path}, warnings.append)

        def notify() -> None:
            readiness.set_ready()
            readiness.notify_watchdog()
            readiness.set_stopping()

        thread = threading.Thread(target=notify, daemon=True)
        thread.start()
        thread.join(AT_ONCE)
        assert not thread.is_alive()
    assert len(warnings) == 1


@pytest.mark.parametrize("name", ["/nonexistent", "relative", "@nobody", "@", "/" + "x" * 200])
def test_lease_register_warns_when_the_notify_socket_does_not_work(
    spawn: Spawn, etcd: Etcd, name: str
) -> None:
    """It runs on."""
    process = spawn(*REGISTER, env={"NOTIFY_SOCKET": name})
    process.wait_for_out("OK\n")
    process.wait_for_err(f"Warning: NOTIFY_SOCKET {name}: ")
    process.signal(signal.SIGTERM)

    assert process.finish().status == 0
    assert is_empty(etcd)


def test_ready_file_exists_only_while_registered_and_healthy(
    spawn: Spawn, etcd: Etcd, tmp_path: Path
) -> None:
    """It does not exist before the registration, while the check fails, or during the shutdown."""
    file, port = tmp_path / "ready", free_port()
    file.touch()  # left by a killed process
    check = ("--check", f"tcp://127.0.0.1:{port}", "--check-interval", "200ms")
    process = spawn(*REGISTER, *check, "--ready-file", file, "--drain", "1m", "--", "sleep", "60")
    wait_until(lambda: not file.exists())
    for _ in range(2):
        with socket.create_server(("127.0.0.1", port)):
            wait_until(file.exists)
            assert etcd.get(KEY)
            wait_until(lambda: file.read_text() == f"{process.pid}\n")
        wait_until(lambda: not file.exists())
    with socket.create_server(("127.0.0.1", port)):
        wait_until(file.exists)
        process.signal(signal.SIGTERM)
        wait_until(lambda: not file.exists())
        wait_until(lambda: is_empty(etcd))
        process.signal(signal.SIGINT)
        assert process.finish().status == 143
    assert not file.exists()


def test_ready_file_stays_when_etcd_is_away(
    spawn: Spawn, own_etcd: Callable[..., Etcd], tmp_path: Path
) -> None:
    """A probe of the file must not end a service because of etcd."""
    etcd, file = own_etcd(), tmp_path / "ready"
    process = spawn(
        *(*REGISTER, "--endpoints", etcd.endpoint, "--ttl", "1", "--ready-file", file, "-w", "json")
    )
    wait_until(file.exists)
    etcd.freeze()
    process.wait_for_out('"lost"')
    assert file.exists()
    etcd.thaw()
    process.wait_for_out('"regained"')
    process.signal(signal.SIGTERM)
    assert process.finish().status == 0
    assert not file.exists()


def test_ready_file_returns_when_the_check_failed_only_during_an_outage(
    spawn: Spawn, own_etcd: Callable[..., Etcd], tmp_path: Path
) -> None:
    """The withdrawal never reached etcd, so no event of the registration follows."""
    etcd, file, sick = own_etcd(), tmp_path / "ready", tmp_path / "sick"
    limits = ("--check-interval", "200ms", "--check-failures", "1", "--ready-file", file)
    check = ("--check", f"exec:test ! -e {sick}", *limits, "--endpoints", etcd.endpoint)
    process = spawn(*REGISTER, *check, "-w", "json")
    wait_until(file.exists)
    etcd.freeze()
    sick.touch()
    wait_until(lambda: not file.exists())
    sick.unlink()
    wait_until(lambda: kinds(process.out).count("healthy") == 2)
    etcd.thaw()
    wait_until(lambda: file.exists() and etcd.get(KEY))


@pytest.fixture
def planted(tmp_path: Path) -> Path:
    """Return a directory in which another process creates files."""
    directory = tmp_path / "run"
    directory.mkdir()
    return directory


def test_ready_file_replaces_what_another_process_put_in_its_place(
    spawn: Spawn, etcd: Etcd, planted: Path, tmp_path: Path
) -> None:
    """Symlinks are not followed, fifos not opened; no temporary file is left."""
    file, port, victim = planted / "ready", free_port(), tmp_path / "victim"
    victim.write_text("precious")
    check = ("--check", f"tcp://127.0.0.1:{port}", "--check-interval", "200ms")
    process = spawn(*REGISTER, *check, "--check-failures", "1", "--ready-file", file, *BEGUN)
    process.wait_for_out("begun")
    plants: list[Callable[[], object]] = [
        lambda: file.symlink_to(victim),
        lambda: os.mkfifo(file),
        file.touch,
    ]
    for plant in plants:
        plant()
        with socket.create_server(("127.0.0.1", port)):
            wait_until(lambda: file.is_file() and not file.is_symlink() and file.stat().st_size > 0)
            assert file.read_text() == f"{process.pid}\n"
            assert file.stat().st_mode & 0o777 == 0o666 & ~umask()
            assert [*planted.iterdir()] == [file]
        wait_until(lambda: not os.path.lexists(file))
    assert victim.read_text() == "precious"
    os.mkfifo(file)
    process.signal(signal.SIGTERM)
    assert process.finish().status == 143
    assert file.is_fifo()


def umask() -> int:
    """Return the umask of this process."""
    os.umask(mask := os.umask(0o077))
    return mask


def test_ready_file_of_another_process_stays_at_exit(
    spawn: Spawn, etcd: Etcd, planted: Path
) -> None:
    """It may belong to the next version, started under the same name."""
    file = planted / "ready"
    process = spawn(*REGISTER, "--ready-file", file)
    wait_until(file.exists)
    (planted / "next").write_text("12345\n")
    (planted / "next").replace(file)
    process.signal(signal.SIGTERM)

    assert process.finish().status == 0
    assert file.read_text() == "12345\n"


def test_ready_file_failure_is_reported_when_a_directory_is_in_its_place(
    spawn: Spawn, etcd: Etcd, planted: Path
) -> None:
    """No temporary file is left."""
    file, port = planted / "ready", free_port()
    check = ("--check", f"tcp://127.0.0.1:{port}", "--check-interval", "200ms")
    process = spawn(*REGISTER, *check, "--ready-file", file, *BEGUN)
    process.wait_for_out("begun")
    file.mkdir()
    with socket.create_server(("127.0.0.1", port)):
        process.wait_for_err(f"Warning: --ready-file {file}: Is a directory\n")
    assert [*planted.iterdir()] == [file]


@pytest.mark.parametrize("cmd", [(), ("--", "sleep", "60")], ids=["alone", "with CMD"])
def test_watchdog_is_notified_while_lease_register_runs(
    spawn: Spawn, etcd: Etcd, systemd: tuple[str, socket.socket], cmd: tuple[str, ...]
) -> None:
    """It is notified even if etcd is unreachable or the check fails."""
    name, listener = systemd
    env = {"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "400000"}
    check = ("--check", "tcp://127.0.0.1:1", "--check-timeout", "0")
    process = spawn(*REGISTER, *NOWHERE, *check, *cmd, env=env)
    assert {listener.recv(100) for _ in range(6)} == {b"WATCHDOG=1"}
    if cmd:
        os.kill(child_of(process.pid), signal.SIGKILL)
        assert process.finish().status == 137


@pytest.mark.parametrize(
    "env",
    [
        {"WATCHDOG_USEC": None},
        {"WATCHDOG_USEC": "0"},
        {"WATCHDOG_USEC": "nonsense"},
        {"WATCHDOG_USEC": "9" * 5000},
        {"WATCHDOG_USEC": "400000", "WATCHDOG_PID": "1"},
    ],
    ids=["none", "0", "nonsense", "too large", "for another process"],
)
def test_watchdog_is_not_notified_when_it_is_off_or_for_another_process(
    spawn: Spawn, etcd: Etcd, systemd: tuple[str, socket.socket], env: dict[str, str | None]
) -> None:
    """The first notification is READY=1."""
    name, listener = systemd
    process = spawn(*REGISTER, env={"NOTIFY_SOCKET": name, **env})
    assert listener.recv(100) == b"READY=1"
    process.signal(signal.SIGTERM)
    assert listener.recv(100) == b"STOPPING=1"
    assert process.finish().status == 0


def test_ready_file_failure_is_reported_when_its_directory_was_removed(
    spawn: Spawn, etcd: Etcd, tmp_path: Path
) -> None:
    """lease-register runs on."""
    port, directory = free_port(), tmp_path / "run"
    directory.mkdir()
    check = ("--check", f"tcp://127.0.0.1:{port}", "--check-interval", "200ms")
    process = spawn(*REGISTER, *check, "--ready-file", directory / "ready", *BEGUN)
    process.wait_for_out("begun")
    directory.rmdir()
    with socket.create_server(("127.0.0.1", port)):
        process.wait_for_err("OK\n")
        process.wait_for_err(f"--ready-file {directory}/ready: No such file or directory\n")
    assert etcd.get(KEY)


def test_ready_file_and_command_wait_until_all_endpoints_are_registered(
    spawn: Spawn, etcd: Etcd, tmp_path: Path
) -> None:
    """One of them waits until another lease releases its key."""
    ready, file, another = tmp_path / "ready", tmp_path / "endpoints", etcd.grant(60)
    etcd.put("svc/e2", "{}", another)
    file.write_text("add svc/e1 1:1\nadd svc/e2 2:2\n")
    wait = ("--on-conflict", "wait", "--start", "registered", "--ready-file", ready)
    cmd = ("--", "sh", "-c", "echo ran; exec sleep 60")
    process = spawn("lease-register", "-f", file, *wait, *cmd)
    process.wait_for_err("svc/e2 is held by lease")
    wait_until(lambda: etcd.get("svc/e1"))
    time.sleep(0.3)
    assert (ready.exists(), process.out) == (False, "")

    etcd.revoke(another)
    process.wait_for_out("ran\n")
    assert ready.exists()
    assert "OK\n" in process.err


def test_command_starts_once_registered_with_start_registered(spawn: Spawn, etcd: Etcd) -> None:
    """By default it starts at once, even if etcd is unreachable."""
    look = [str(etcd.programs.etcdctl), f"--endpoints={etcd.endpoint}", "get", "--keys-only", KEY]
    process = spawn(*REGISTER, "--start", "registered", "--", *look, env={"ETCDCTL_API": "3"})
    assert process.finish().out.strip() == KEY
    assert spawn(*REGISTER, *NOWHERE, "--", "echo", "ran").finish().out == "ran\n"
    late = spawn(*REGISTER, *NOWHERE, "--start", "registered", "--", "echo", "ran")
    late.wait_for_err("no etcd endpoint reached")
    assert late.out == ""
