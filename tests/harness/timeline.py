"""Record when keys were put and deleted, as seen by etcdctl."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from base64 import b64decode
from types import TracebackType
from typing import Any, NamedTuple

from .etcdctl import Etcdctl
from .waiting import TIMEOUT, wait_until

__all__ = ["Moment", "Timeline"]


class Moment(NamedTuple):
    """The put or delete of a *key*; *at* is in seconds since the epoch."""

    at: float
    kind: str
    key: str


class Timeline:
    """Record all changes of keys in *etcd*, from now on, with ``etcdctl watch``."""

    def __init__(self, etcd: Etcdctl) -> None:
        self.moments: list[Moment] = []
        command = [str(etcd.programs.etcdctl), f"--endpoints={etcd.endpoints}", "-w", "json"]
        self._process = subprocess.Popen(
            [*command, "watch", "--prefix", "", f"--rev={etcd.revision() + 1}"],
            env={"ETCDCTL_API": "3"},
            stdout=subprocess.PIPE,
        )
        threading.Thread(target=self._read, daemon=True).start()

    def when(self, kind: str, key: str = "svc/e1", timeout: float = TIMEOUT) -> float:
        """Wait for a ``PUT`` or ``DELETE`` of *key*, and return the time of the last one."""
        wait_until(lambda: self._found(kind, key), timeout)
        return self._found(kind, key)[-1].at

    def kinds(self, key: str = "svc/e1") -> list[str]:
        """Return all changes of *key*."""
        return [each.kind for each in self.moments if each.key == key]

    def _found(self, kind: str, key: str) -> list[Moment]:
        return [each for each in self.moments if (each.kind, each.key) == (kind, key)]

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            at = time.time()
            self.moments += [_moment(at, event) for event in json.loads(line)["Events"]]

    def __enter__(self) -> Timeline:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdout
        self._process.stdout.close()


def _moment(at: float, event: Any) -> Moment:
    key = b64decode(event["kv"]["key"]).decode()
    return Moment(at, "DELETE" if event.get("type") else "PUT", key)
