"""What `etcdnaming lease-register` costs when nothing happens, as it does most of the time."""

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
from harness.registering import REGISTER, hearing, times

from etcdnaming.etcd import rpc_pb2

pytestmark = pytest.mark.long

# The least that a program needs which keeps a lease alive.
BARE = """
import importlib.util, sys
from queue import SimpleQueue
import grpc

spec = importlib.util.spec_from_file_location("rpc_pb2", sys.argv[2])  # and nothing else of ours
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
    """Yield the process id of such a program."""
    command = [sys.executable, "-c", BARE, etcd.endpoint, rpc_pb2.__file__]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"600\n"
        try:
            yield process.pid
        finally:
            process.kill()


def memory(pid: int) -> int:
    """Return the KiB that a process has in memory."""
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


def used(pid: int) -> float:
    """Return the seconds that a process has run so far."""
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


def wake_ups(pid: int) -> int:
    """Return how often the threads of a process have gone to sleep so far."""
    lines = [
        line
        for task in Path(f"/proc/{pid}/task").glob("*/status")
        for line in task.read_text().splitlines()
    ]
    return sum(int(each.split()[1]) for each in lines if each.startswith("voluntary_ctxt"))


@pytest.fixture
def idle(spawn: Spawn, etcd: Etcd, tmp_path: Path) -> int:
    """One whose command has nothing to do either."""
    # As installed: else it is compiled at every start, and what that takes is not given back.
    compiled = {"PYTHONDONTWRITEBYTECODE": None, "PYTHONPYCACHEPREFIX": str(tmp_path)}
    spawn(*REGISTER, "--start", "registered", "--", "true", env=compiled).finish()
    process = spawn(*REGISTER, "--", "sleep", "600", env=compiled)
    process.wait_for_err("OK\n")
    time.sleep(2)
    return process.pid


def test_it_needs_little_memory(idle: int, etcd: Etcd) -> None:
    """At most a fifth more than the least that keeps a lease alive."""
    with bare(etcd) as least:
        assert memory(idle) <= 1.2 * memory(least)


def test_a_thousand_endpoints_need_little_more(
    spawn: Spawn, idle: int, etcd: Etcd, tmp_path: Path
) -> None:
    """At most 20 MiB."""
    file = tmp_path / "endpoints"
    file.write_text("".join(f"add svc/many-{n} 10.0.0.1:{n}\n" for n in range(1, 1001)))
    many = spawn("lease-register", "-f", file, "--", "sleep", "600")
    many.wait_for_err("OK\n")
    time.sleep(2)
    assert len(etcd.get("svc/many-")) == 1000
    assert memory(many.pid) - memory(idle) <= 20 * 1024


def test_it_needs_hardly_any_time(idle: int, etcd: Etcd) -> None:
    """About what a minimal program needs, at most; benchmarks/idle.py has the numbers."""
    with bare(etcd) as least:
        before = used(idle), used(least)
        time.sleep(SECONDS)
        ours, theirs = used(idle) - before[0], used(least) - before[1]
    assert ours < max(SECONDS / 100, 2 * theirs)


@pytest.fixture(params=["plain", "TLS"])
def way(request: pytest.FixtureRequest) -> list[str]:
    """The options that reach an etcd by itself, or by certificates."""
    if request.param == "plain":
        etcd: Etcd = request.getfixturevalue("etcd")
        return ["--endpoints", etcd.endpoint]
    secure: Callable[..., Etcd] = request.getfixturevalue("secure_etcd")
    certificates: Certificates = request.getfixturevalue("certificates")
    return ["--endpoints", f"https://{secure().endpoint}", "--cacert", str(certificates.ca)]


def test_it_hardly_ever_wakes_up(spawn: Spawn, way: list[str]) -> None:
    """Nor for gRPC, as far as we can help it: it looks 50 times a second, and 120 with TLS."""
    process = spawn(*REGISTER, *way, "--", "sleep", "600")
    process.wait_for_err("OK\n")
    time.sleep(2)
    before = wake_ups(process.pid)
    time.sleep(SECONDS)
    assert wake_ups(process.pid) - before < 25 * SECONDS


def test_its_command_is_as_punctual_as_any(spawn: Spawn, etcd: Etcd) -> None:
    """It is only we who may be late."""
    show = ("cat", "/proc/self/timerslack_ns")
    assert spawn(*REGISTER, "--start", "registered", "--", *show).finish().out == (
        Path("/proc/self/timerslack_ns").read_text()
    )


def test_no_answer_is_late_for_that(spawn: Spawn, etcd: Etcd) -> None:
    """The command is told as soon as etcd has let the endpoints go."""
    late = []
    for _ in range(12):
        several = [
            spawn("lease-register", f"svc/e{n}", "--addr", "1:1", "--", *hearing("SIGTERM"))
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
            late.append(times(each)["SIGTERM"] - sent)
    assert sorted(late)[len(late) // 4] < 0.4, sorted(late)  # the rest may have waited for a core
