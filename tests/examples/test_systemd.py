"""
Run the unit as systemd does: with its command line, its variables and NOTIFY_SOCKET.

systemd-analyze checks the settings.
"""

from __future__ import annotations

import re
import shlex
import shutil
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from harness import Etcd
from harness.auth import WRITER
from harness.examples import EXAMPLES, SERVER, endpoints, leave_in_order, replaced, seconds_to_stop
from harness.ports import free_port
from harness.process import Process

from etcdnaming.cli.parsing import parse_duration

UNIT = EXAMPLES / "systemd" / "etcdnaming-server.service"

PROGRAM = "/usr/local/bin/etcdnaming"

NAME, SECRET = WRITER.split(":")

CREDENTIALS = struct.Struct("3i")  # of the sender: process, user, group


def settings(name: str) -> list[str]:
    """Return the values of a setting, in order; a backslash continues a line."""
    text = UNIT.read_text("utf-8").replace("\\\n", "")
    return re.findall(rf"^{name}=(.*)$", text, re.MULTILINE)


def words() -> list[str]:
    """Return the command line."""
    [line] = settings("ExecStart")
    return shlex.split(line)


class Manager:
    """Receive notifications as systemd does; each has the process ID of its sender."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._socket.settimeout(20)
        self._socket.bind(self.path)

    def receive(self) -> tuple[str, int]:
        """Return the next message, and the ID of the process that sent it."""
        text, [(_, _, sender)], *_ = self._socket.recvmsg(4096, socket.CMSG_SPACE(CREDENTIALS.size))
        return text.decode(), CREDENTIALS.unpack(sender)[0]

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    """Yield a receiver of notifications."""
    manager = Manager(tmp_path / "notify")
    yield manager
    manager.close()


def test_unit_notifies_systemd_when_ready_and_when_stopping(
    auth_etcd: Callable[..., Etcd], manager: Manager, start: Callable[..., Process], tmp_path: Path
) -> None:
    """Ready means registered; the main process sends the messages."""
    etcd, host, port = auth_etcd(), socket.gethostname(), str(free_port())
    etcd.ctl("role", "grant-permission", NAME, "readwrite", "foo/bar/svc/", "--prefix")
    (tmp_path / "password").write_text(f"{SECRET}\n")
    env = dict(each.split("=", 1) for each in settings("Environment"))
    places = {"https://etcd.example.com:2379": etcd.endpoint, "svc": NAME}
    env = dict(zip(env, replaced([*env.values()], places), strict=True))
    here = {
        PROGRAM: "etcdnaming",
        "/usr/bin/python3": sys.executable,
        "/opt/svc/server.py": str(SERVER),
        "${CREDENTIALS_DIRECTORY}": str(tmp_path),
        "%H": host,
        "50051": port,
    }

    process = start(replaced(words(), here), {**env, "NOTIFY_SOCKET": manager.path})
    assert manager.receive() == ("READY=1", process.pid)
    assert endpoints(etcd) == {host: f"{host}:{port}"}

    stop = partial(process.signal, signal.SIGTERM)
    leave_in_order(process, stop, etcd, host, f"127.0.0.1:{port}")
    assert manager.receive() == ("STOPPING=1", process.pid)


def test_unit_stop_timeout_is_longer_than_the_shutdown() -> None:
    """systemd signals only the main process, so the server runs until lease-register stops it."""
    [grace], [mode] = settings("TimeoutStopSec"), settings("KillMode")
    assert parse_duration(grace) > seconds_to_stop(words())
    assert mode == "mixed"


def test_unit_has_only_settings_that_systemd_knows(tmp_path: Path) -> None:
    """systemd-analyze prints a line for each unknown one."""
    if not (analyze := shutil.which("systemd-analyze")):
        pytest.skip("no systemd here")
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text("utf-8").replace(PROGRAM, sys.executable))

    done = subprocess.run([analyze, "verify", unit], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
