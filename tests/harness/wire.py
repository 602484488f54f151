"""A connection to a server that a test can cut for one client alone."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

from .ports import free_port

__all__ = ["Wire"]


class Wire:
    """
    Forwards connections to *endpoint*, ``HOST:PORT``, until a test interrupts them.

    Each piece of data takes *delay* seconds, in either direction.

    `_changed` guards all state.
    """

    def __init__(self, endpoint: str) -> None:
        host, _, port = endpoint.rpartition(":")
        self._server = (host, int(port))
        self._changed = threading.Condition()
        self._open: set[socket.socket] = set()
        self._listener: socket.socket | None = None
        self._deaf = self._mute = False
        self.delay = 0.0
        self._port = free_port()
        self.endpoint = f"127.0.0.1:{self._port}"
        self.mend()

    def cut(self) -> None:
        """Break every connection, and refuse new ones."""
        with self._changed:
            if self._listener:
                # Closing alone does not wake the thread that is blocked in accept.
                with contextlib.suppress(OSError):
                    self._listener.shutdown(socket.SHUT_RDWR)
                self._listener.close()
                self._listener = None
            for each in self._open:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)

    def hold(self) -> None:
        """Forward nothing, in either direction; connections stay open."""
        with self._changed:
            self._deaf = self._mute = True

    def hold_answers(self) -> None:
        """Forward only the data of the client."""
        with self._changed:
            self._mute = True

    def mend(self) -> None:
        """Forward everything again, including the data held back."""
        with self._changed:
            self._deaf = self._mute = False
            self._changed.notify_all()
            if self._listener is None:
                self._listener = socket.create_server(("127.0.0.1", self._port))
                self._start(self._accept, self._listener)

    def close(self) -> None:
        """Close the listener and all connections."""
        self.cut()
        with self._changed:
            self._deaf = self._mute = False
            self._changed.notify_all()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):  # it was cut
            while True:
                client = listener.accept()[0]
                try:
                    server = socket.create_connection(self._server)
                except OSError:
                    client.close()
                    continue
                for each in (client, server):
                    each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                with self._changed:
                    self._open |= {client, server}
                self._start(self._pass_on, client, server)
                self._start(self._pass_on, server, client)

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                time.sleep(self.delay)
                self._wait_to_pass(from_client=source.getsockname()[1] == self._port)
                target.sendall(data)
        with self._changed:
            self._open -= {source, target}
        for each in (source, target):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        source.close()

    def _wait_to_pass(self, *, from_client: bool) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not (self._deaf if from_client else self._mute))

    def _start(self, target: object, *args: socket.socket) -> None:
        threading.Thread(target=target, args=args, daemon=True).start()  # type: ignore[arg-type]
