"""Clients that follow a target and call its servers: Go's resolver and our channel."""

from __future__ import annotations

import json
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from itertools import count
from typing import Any

import grpc

from etcdnaming import Client, insecure_channel

from .backends import method

__all__ = ["Caller", "GoCaller", "OurCaller"]

CODES: dict[int, str] = {code.value[0]: code.name for code in grpc.StatusCode}


class Caller:
    """
    A client with one channel to ``svc``.

    What it answers is the address of the server that took the call, or the name of a status code.
    """

    is_go = False

    def begin(
        self, timeout: float, *, wait_for_ready: bool, name: str, request: str
    ) -> Future[str]:
        """Begin a call, and return its answer to be."""
        raise NotImplementedError

    def close(self) -> None:
        """End it, with its calls."""
        raise NotImplementedError

    def call(
        self,
        timeout: float = 20,
        *,
        wait_for_ready: bool = False,
        name: str = "Who",
        request: str = "-",
    ) -> Future[str]:
        """Begin a call of the method *name*, and return its answer to be."""
        return self.begin(timeout, wait_for_ready=wait_for_ready, name=name, request=request)

    def ask(self, times: int = 1) -> Counter[str]:
        """Call so many times, one after another, and count the answers; all wait for ready."""
        return Counter(self.call(wait_for_ready=True).result() for _ in range(times))

    @contextmanager
    def load(self) -> Iterator[Counter[str]]:
        """Call one after another, in a thread, while the block runs; yield the answers so far."""
        stop, answers = threading.Event(), Counter[str]()

        def run() -> None:
            while not stop.wait(0.001):
                answers[self.call().result()] += 1

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield answers
        finally:
            stop.set()
            thread.join()


class GoCaller(Caller):
    """Go's resolver: *command* is that of ``peer ETCD ask TARGET``."""

    is_go = True

    def __init__(self, command: list[str]) -> None:
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True
        )
        self._ids = count()
        self._begun: dict[str, Future[str]] = {}
        self._lock = threading.Lock()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def begin(
        self, timeout: float, *, wait_for_ready: bool, name: str, request: str
    ) -> Future[str]:
        """As `Caller`."""
        assert self._process.stdin
        number, future = str(next(self._ids)), Future[str]()
        self._begun[number] = future
        line = f"{number} {method(name)} {request} {timeout} {str(wait_for_ready).lower()}\n"
        with self._lock:  # calls begin in several threads
            self._process.stdin.write(line)
            self._process.stdin.flush()
        return future

    def close(self) -> None:
        """As `Caller`."""
        assert self._process.stdin
        self._process.stdin.close()
        self._reader.join()
        assert self._process.wait() == 0

    def _read(self) -> None:
        assert self._process.stdout
        with self._process.stdout as lines:
            for line in lines:
                number, code, text = line.split(" ", 2)
                name = CODES[int(code)]
                self._begun.pop(number).set_result(json.loads(text) if name == "OK" else name)
        for future in self._begun.values():
            future.set_exception(EOFError("the Go client has ended"))


class OurCaller(Caller):
    """Our channel, with a client of the etcd at *endpoint*."""

    def __init__(self, endpoint: str) -> None:
        self._client = Client([endpoint])
        self._channel = insecure_channel("etcd:///svc", self._client)

    def begin(
        self, timeout: float, *, wait_for_ready: bool, name: str, request: str
    ) -> Future[str]:
        """As `Caller`."""
        future = Future[str]()

        def done(call: Any) -> None:
            code = call.code()
            ok = code is grpc.StatusCode.OK
            future.set_result(call.result().decode() if ok else code.name)

        called: Any = self._channel.unary_unary(method(name))
        call = called.future(request.encode(), timeout=timeout, wait_for_ready=wait_for_ready)
        call.add_done_callback(done)
        return future

    def close(self) -> None:
        """As `Caller`."""
        self._channel.close()
        self._client.close()
