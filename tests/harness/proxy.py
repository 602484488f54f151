"""etcd's own grpc-proxy in front of a server."""

from __future__ import annotations

import shutil
import tempfile
from functools import partial
from pathlib import Path

from etcdnaming.sandbox import Server

from .etcdctl import Etcdctl
from .ports import free_port
from .servers import last_lines
from .waiting import TIMEOUT, listens

__all__ = ["Proxy"]


class Proxy(Etcdctl):
    """
    An ``etcd grpc-proxy`` in front of *behind*.

    Args:
        behind: A server without TLS, because the proxy is given no certificates.

        flags: More flags for the proxy.
    """

    def __init__(self, behind: Etcdctl, *flags: str) -> None:
        self.endpoint = f"127.0.0.1:{free_port()}"
        super().__init__(behind.programs, self.endpoint, *behind.flags)
        self._command = [
            str(self.programs.etcd),
            "grpc-proxy",
            "start",
            f"--endpoints={behind.endpoints}",
            f"--listen-addr={self.endpoint}",
            # The proxy connects to itself at this address, and exits if it gets no answer.
            f"--advertise-client-url={self.endpoint}",
            *flags,
        ]
        self._directory = Path(tempfile.mkdtemp(prefix="etcdnaming-test-"))
        self._server: Server | None = None

    def start(self) -> None:
        """Start the proxy, and return when it passes requests on."""
        self._server = Server(self._command, self._directory)
        self._server.wait_until(partial(listens, self.endpoint), TIMEOUT)
        self.ctl("get", "ready")

    def close(self) -> None:
        """Stop the proxy, and remove its files."""
        if self._server:
            self._server.close()
        shutil.rmtree(self._directory, ignore_errors=True)

    def last_lines(self) -> str:
        """Return the end of its log."""
        return last_lines(self._directory)
