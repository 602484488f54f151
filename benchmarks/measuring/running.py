"""The cost of a process while it runs, as Linux and etcd report it."""

from __future__ import annotations

import re
import subprocess
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.request import urlopen

__all__ = ["Usage", "requests", "running", "streams", "usage_of"]


class Usage(NamedTuple):
    """
    What a process has used until *at*.

    *memory* is the current memory in MiB; *cpu* is the CPU time of the threads that still run, in
    seconds; *wake_ups* is how often one of these threads continued after it had waited.
    """

    at: float
    memory: float
    cpu: float
    wake_ups: int

    def since(self, before: Usage) -> Usage:
        """Return the usage since *before*, and the seconds since then."""
        return Usage(
            self.at - before.at,
            self.memory - before.memory,
            self.cpu - before.cpu,
            self.wake_ups - before.wake_ups,
        )


@contextmanager
def running(
    command: Sequence[str], environment: Mapping[str, str] | None = None, *, ready: str
) -> Iterator[int]:
    """Run *command* while the block runs; the block begins after a line of output with *ready*."""
    pipe, stdout = subprocess.PIPE, subprocess.STDOUT
    with subprocess.Popen(
        command, env=environment, stdout=pipe, stderr=stdout, text=True
    ) as process:
        lines = process.stdout or ()
        if not any(ready in line for line in lines):
            raise ChildProcessError(f"{command} did not say {ready!r}")
        reader = threading.Thread(target=lambda: deque(lines, maxlen=0))
        reader.start()  # otherwise the process would block when the pipe is full
        try:
            yield process.pid
        finally:
            process.terminate()
            reader.join()


def usage_of(pid: int) -> Usage:
    """Return the usage of the process *pid* until now."""
    status = Path(f"/proc/{pid}/status").read_text()
    threads = [each.read_text() for each in Path(f"/proc/{pid}/task").glob("*/status")]
    # In nanoseconds. stat counts in ticks, and a process woken by a timer runs at each tick.
    times = [each.read_text() for each in Path(f"/proc/{pid}/task").glob("*/schedstat")]
    return Usage(
        time.monotonic(),
        _number("VmRSS", status) / 1024,
        sum(int(each.split()[0]) for each in times) / 1e9,
        sum(_number("voluntary_ctxt_switches", each) for each in threads),
    )


def requests(endpoint: str) -> dict[str, int]:
    """Return the number of messages of each kind that the etcd at *endpoint* has received."""
    return _metric(endpoint, "grpc_server_msg_received_total")


def streams(endpoint: str, method: str) -> int:
    """Return the number of calls of *method* that the etcd at *endpoint* has received."""
    return _metric(endpoint, "grpc_server_started_total").get(method, 0)


def _metric(endpoint: str, name: str) -> dict[str, int]:
    with urlopen(f"http://{endpoint}/metrics", timeout=10) as page:
        text = page.read().decode()
    found = re.findall(rf'{name}{{grpc_method="(\w+)",grpc_service="etcd.*}} (\S+)', text)
    return {method: int(float(number)) for method, number in found if float(number)}


def _number(name: str, status: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+)", status, re.MULTILINE)
    return int(found[1]) if found else 0
