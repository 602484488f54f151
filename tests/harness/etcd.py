"""A member of etcd that a test can kill, freeze and wipe."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from etcdnaming.sandbox import Server, etcd_command

from . import gateway
from .etcdctl import Etcdctl
from .ports import free_port
from .programs import Programs
from .servers import last_lines, log_size
from .waiting import TIMEOUT, listens, wait_until

__all__ = ["Etcd"]


class Etcd(Etcdctl):
    """
    An etcd that keeps its ports and its data from one start to the next.

    Args:
        programs: The programs to run.

        flags: More flags for the server.

        ctl_flags: Flags for etcdctl, such as certificates or a user.
    """

    def __init__(self, programs: Programs, *flags: str, ctl_flags: tuple[str, ...] = ()) -> None:
        self.port = free_port()
        self.peer_port = free_port()
        self.endpoint = f"127.0.0.1:{self.port}"
        super().__init__(programs, self.endpoint, *ctl_flags)
        self.server_flags = flags
        self.directory = Path(tempfile.mkdtemp(prefix="etcdnaming-test-"))
        self.frozen = False
        self._server: Server | None = None
        self._log_start = 0

    @property
    def running(self) -> bool:
        """Whether the process exists, frozen or not."""
        return self._server is not None

    @property
    def pid(self) -> int:
        """The process ID of the running server."""
        assert self._server, "this etcd is not running"
        return self._server.pid

    @property
    def data(self) -> Path:
        """Its data directory."""
        return self.directory / "data"

    def start(self) -> None:
        """Start the server, and return when it answers."""
        self.launch()
        self.wait_until_ready()

    def launch(self) -> None:
        """Start the server without waiting: members of a cluster become ready only together."""
        assert not self._server, "this etcd is running"
        command = etcd_command(str(self.programs.etcd), self.directory, self.port, self.peer_port)
        self._server = Server([*command, *self.server_flags], self.directory)

    def wait_until_ready(self) -> None:
        """Return when the server answers a read of its data."""
        assert self._server, "this etcd is not running"
        self._server.wait_until(partial(listens, self.endpoint), TIMEOUT)
        self.ctl("get", "ready")

    def kill(self) -> None:
        """End the server as a power failure would. The data stay."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Stop the server as an administrator would. The data stay."""
        self._end(signal.SIGTERM)

    def freeze(self) -> None:
        """Stop the process: connections stay open, but nothing is answered."""
        os.kill(self.pid, signal.SIGSTOP)
        wait_until(self._stands_still)
        self.frozen = True

    def thaw(self) -> None:
        """Continue a frozen process."""
        os.kill(self.pid, signal.SIGCONT)
        self.frozen = False

    def wipe(self) -> None:
        """Start the server again without data: a new history under the same cluster ID."""
        if self._server:
            self.kill()
        shutil.rmtree(self.data)
        self.start()

    def restore(self, snapshot: Path) -> None:
        """
        Start the server again with the data of ``etcdctl snapshot save``.

        That is another cluster, with another ID; its revisions go on from those of the snapshot.
        """
        if self._server:
            self.kill()
        shutil.rmtree(self.data)
        name, peer = self.directory.name, f"http://127.0.0.1:{self.peer_port}"
        self.ctl(
            *("snapshot", "restore", str(snapshot), f"--data-dir={self.data}", f"--name={name}"),
            *(f"--initial-cluster={name}={peer}", f"--initial-advertise-peer-urls={peer}"),
            "--initial-cluster-token=restored",
        )
        self.start()

    def empty(self) -> None:
        """Remove all keys and leases. Not for servers with TLS or users."""
        gateway.empty(self.endpoint)

    def put_all(self, values: Mapping[bytes, bytes]) -> None:
        """Store thousands of keys quickly. Not for servers with TLS or users."""
        gateway.put_all(self.endpoint, values)

    def close(self) -> None:
        """Stop the server, and remove all its files."""
        if self._server:
            self._server.close()
            self._server = None
        shutil.rmtree(self.directory, ignore_errors=True)

    def begin_log(self) -> None:
        """Show nothing that was logged until now in a report: it belongs to other tests."""
        self._log_start = log_size(self.directory)

    def last_lines(self) -> str:
        """Return the end of its log, for the report of a failed test."""
        return last_lines(self.directory, self._log_start)

    def _end(self, number: signal.Signals) -> None:
        assert self._server, "this etcd is not running"
        os.kill(self._server.pid, number)
        self._server.wait(TIMEOUT)
        self._server = None
        self.frozen = False

    def _stands_still(self) -> bool:
        status = Path(f"/proc/{self.pid}/stat")
        # The state is after the name, which is in parentheses. Elsewhere the signal alone must do.
        return not status.exists() or status.read_text().rpartition(")")[2].split()[0] == "T"
