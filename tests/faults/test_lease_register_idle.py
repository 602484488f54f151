"""The cost of `etcdnaming lease-register` while nothing happens: memory, CPU time, wake-ups."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from harness import Certificates, Etcd, Spawn
from harness.registering import REGISTER, print_signals, signal_times

from etcdnaming.etcd import rpc_pb2

pytestmark = pytest.mark.long

# The smallest gRPC program that keeps a lease alive.
BARE = """
import importlib.util, sys
from queue import SimpleQueue
import grpc

spec = importlib.util.spec_from_file_location("rpc_pb2", sys.argv[2])  # not the package
rpc_pb2 = importlib.util.module_from_spec(spec)
spec.loader.exec_module(rpc_pb2)
channel = grpc.insecure_channel(sys.argv[1])
grant = channel.unary_unary(
    "/etcdserverpb.Lease/LeaseGrant",
    rpc_pb2.LeaseGrantRequest.SerializeToString, rpc_pb2.LeaseGrantResponse.FromString,
)
keep = channel.stream_stream(
    "/etcdserverpb.Lease/LeaseKeepAlive",
    rpc_pb2.LeaseKeepAliveRequest.SerializeToString, rpc_pb2.LeaseKeepAliveResponse.FromString,
)
requests = SimpleQueue()
requests.put(rpc_pb2.LeaseKeepAliveRequest(ID=grant(rpc_pb2.LeaseGrantRequest(TTL=600)).ID))
for answer in keep(iter(requests.get, None)):
    print(answer.TTL, flush=True)
"""

SECONDS = 30


@contextmanager
def bare(etcd: Etcd) -> Iterator[int]:
    """Run `BARE`, and yield its process ID."""
    command = [sys.executable, "-c", BARE, etcd.endpoint, rpc_pb2.__file__]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"600\n"
        try:
            yield process.pid
        finally:
            process.kill()


def memory(pid: int) -> int:
    """Return the resident memory of a process in KiB."""
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


def cpu_time(pid: int) -> float:
    """Return the CPU time of a process in seconds."""
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


def wake_ups(pid: int) -> int:
    """Return the number of voluntary context switches of a process."""
    lines = [
        line
        for task in Path(f"/proc/{pid}/task").glob("*/status")
        for line in task.read_text().splitlines()
    ]
    return sum(int(each.split()[1]) for each in lines if each.startswith("voluntary_ctxt"))


@pytest.fixture
def idle(spawn: Spawn, etcd: Etcd, tmp_path: Path) -> int:
    """Return the process ID of an idle lease-register."""
    # With compiled files, as installed: compiling needs memory that is not given back.
    compiled = {"PYTHONDONTWRITEBYTECODE": None, "PYTHONPYCACHEPREFIX": str(tmp_path)}
    spawn(*REGISTER, "--start", "registered", "--", "true", env=compiled).finish()
    process = spawn(*REGISTER, "--", "sleep", "600", env=compiled)
    process.wait_for_err("OK\n")
    time.sleep(2)
    return process.pid


def test_idle_lease_register_needs_little_memory(idle: int, etcd: Etcd) -> None:
    """At most 1.2 times that of the smallest gRPC program that keeps a lease alive."""
    with bare(etcd) as least:
        assert memory(idle) <= 1.2 * memory(least)


def test_idle_lease_register_needs_little_memory_for_a_thousand_endpoints(
    spawn: Spawn, idle: int, etcd: Etcd, tmp_path: Path
) -> None:
    """At most 20 MiB more."""
    file = tmp_path / "endpoints"
    file.write_text("".join(f"add svc/many-{n} 10.0.0.1:{n}\n" for n in range(1, 1001)))
    many = spawn("lease-register", "-f", file, "--", "sleep", "600")
    many.wait_for_err("OK\n")
    time.sleep(2)
    assert len(etcd.get("svc/many-")) == 1000
    assert memory(many.pid) - memory(idle) <= 20 * 1024


def test_idle_lease_register_needs_little_cpu_time(idle: int, etcd: Etcd) -> None:
    """About that of a minimal program; benchmarks/idle.py has the numbers."""
    with bare(etcd) as least:
        before = cpu_time(idle), cpu_time(least)
        time.sleep(SECONDS)
        used, least_used = cpu_time(idle) - before[0], cpu_time(least) - before[1]
    assert used < max(SECONDS / 100, 2 * least_used)


@pytest.fixture(params=["plain", "TLS"])
def way(request: pytest.FixtureRequest) -> list[str]:
    """Return the options to connect in plain text or by TLS."""
    if request.param == "plain":
        etcd: Etcd = request.getfixturevalue("etcd")
        return ["--endpoints", etcd.endpoint]
    secure: Callable[..., Etcd] = request.getfixturevalue("secure_etcd")
    certificates: Certificates = request.getfixturevalue("certificates")
    return ["--endpoints", f"https://{secure().endpoint}", "--cacert", str(certificates.ca)]


def test_idle_lease_register_rarely_wakes_up(spawn: Spawn, way: list[str]) -> None:
    """gRPC by itself wakes up 50 times a second, and 120 times with TLS."""
    process = spawn(*REGISTER, *way, "--", "sleep", "600")
    process.wait_for_err("OK\n")
    time.sleep(2)
    before = wake_ups(process.pid)
    time.sleep(SECONDS)
    assert wake_ups(process.pid) - before < 25 * SECONDS


def test_command_has_the_default_timer_slack(spawn: Spawn, etcd: Etcd) -> None:
    """Only lease-register itself has a larger one."""
    show = ("cat", "/proc/self/timerslack_ns")
    assert spawn(*REGISTER, "--start", "registered", "--", *show).finish().out == (
        Path("/proc/self/timerslack_ns").read_text()
    )


def test_shutdown_is_not_delayed_by_the_timer_slack(spawn: Spawn, etcd: Etcd) -> None:
    """The command is signalled as soon as etcd has answered."""
    delays = []
    for _ in range(12):
        several = [
            spawn("lease-register", f"svc/e{n}", "--addr", "1:1", "--", *print_signals("SIGTERM"))
            for n in range(4)
        ]
        for each in several:
            each.wait_for_out("begun")
            each.wait_for_err("OK\n")
        sent = time.time()
        for each in several:
            each.signal(signal.SIGTERM)
        for each in several:
            each.finish()
            delays.append(signal_times(each)["SIGTERM"] - sent)
    # The quickest quarter: the others may have waited for a CPU.
    assert sorted(delays)[len(delays) // 4] < 0.4, sorted(delays)
