"""`etcdnaming lease-register --metrics`: Prometheus' series and the health of the registration."""

from __future__ import annotations

import re
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from harness import AT_ONCE, TIMEOUT, Etcd, Process, Spawn, wait_until
from harness.environment import pointing_at
from harness.registering import KEY, REGISTER, changes, is_empty
from prometheus_client.parser import text_string_to_metric_families

from etcdnaming.extras import missing
from etcdnaming.monitoring.pages import MAX_CONNECTIONS

PREFIX = "etcdnaming_"
METRICS = (*REGISTER, "--metrics", "127.0.0.1:0")
OFTEN = ("--check-interval", "200ms", "--check-failures", "2")


class Pages:
    """The pages of *process*, which has reported where they are."""

    def __init__(self, process: Process) -> None:
        process.wait_for_err("/metrics\n")
        found = re.search(r"^metrics on (http://(\S+?)/)metrics$", process.err, re.MULTILINE)
        assert found
        self._url, self.address = found[1], found[2]

    def page(self, name: str) -> tuple[int, str]:
        """Return the status and the content of a page."""
        try:
            with urlopen(self._url + name, timeout=TIMEOUT) as answer:  # noqa: S310 - http
                return answer.status, answer.read().decode()
        except HTTPError as exc:
            with exc:
                return exc.code, exc.read().decode()

    @property
    def health(self) -> tuple[int, str]:
        """The status and the content of /healthz."""
        return self.page("healthz")

    def series(self) -> dict[str, float]:
        """Return the value of each series; of one with a label, ``NAME VALUE`` is the name."""
        status, text = self.page("metrics")
        assert status == 200
        return {
            " ".join([sample.name.removeprefix(PREFIX), *sample.labels.values()]): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }


def test_metrics_show_the_registration_and_its_lease(spawn: Spawn, etcd: Etcd) -> None:
    """Each key has its own series, also one that is not UTF-8; names are as Prometheus advises."""
    begin = time.time()
    process = spawn("lease-register", b"svc/\xff", *METRICS[2:], "--ttl", "60")
    pages = Pages(process)
    process.wait_for_out("OK\n")

    assert pages.health == (200, "ok\n")
    found = pages.series()
    assert found[r"endpoint_registered svc/\xff"] == 1
    assert found[r"endpoint_registrations_total svc/\xff"] == 1
    assert found["lease_ttl_seconds"] == 60
    assert 0 < found["lease_remaining_seconds"] <= 60
    assert begin - 1 < found["lease_renewed_timestamp_seconds"] <= time.time()
    assert (found["lease_losses_total"], found["lease_recoveries_total"]) == (0, 0)
    assert found["command_running"] == 0
    assert found["process_open_fds"] > 0
    assert [value for name, value in found.items() if name.startswith("build_info ")] == [1]
    assert not any(name.startswith("check_") for name in found)
    unit = "bytes|fds|info|running|registered|seconds|total"
    assert all(re.fullmatch(rf"\w+_({unit})", name.split()[0]) for name in found)


def test_metrics_count_losses_of_the_lease(spawn: Spawn, etcd: Etcd) -> None:
    """And show that the endpoints are registered again."""
    process = spawn(*METRICS, "--", "sleep", "60")
    pages = Pages(process)
    process.wait_for_err("OK\n")
    etcd.revoke(etcd.lease_of(KEY))
    process.wait_for_err("\nregained ")

    wait_until(lambda: pages.health == (200, "ok\n"))
    found = pages.series()
    assert (found["lease_losses_total"], found["lease_recoveries_total"]) == (1, 1)
    assert found[f"endpoint_registrations_total {KEY}"] == 2
    assert (found[f"endpoint_registered {KEY}"], found["command_running"]) == (1, 1)


@pytest.mark.long
def test_metrics_are_served_while_etcd_is_killed_and_back(
    spawn: Spawn, own_etcd: Callable[..., Etcd]
) -> None:
    """The reason is in /healthz; the time of the last keep-alive stands still meanwhile."""
    etcd = own_etcd()
    process = spawn(*METRICS, "--ttl", "4", "--endpoints", etcd.endpoint, "--", "sleep", "600")
    pages = Pages(process)
    process.wait_for_err("OK\n")
    first = pages.series()["lease_renewed_timestamp_seconds"]
    wait_until(lambda: pages.series()["lease_renewed_timestamp_seconds"] > first)

    etcd.kill()
    wait_until(lambda: pages.health[0] == 503)
    reason = pages.health[1]
    assert re.match(r"not registered: lease [0-9a-f]{16} lost: no answer for 4 s", reason), reason
    found = pages.series()
    assert (found[f"endpoint_registered {KEY}"], found["lease_losses_total"]) == (0, 1)
    assert found["lease_remaining_seconds"] == 0
    assert time.time() - found["lease_renewed_timestamp_seconds"] >= 4
    etcd.start()
    wait_until(lambda: pages.health == (200, "ok\n"))
    wait_until(lambda: pages.series()["lease_recoveries_total"] == 1)
    found = pages.series()
    assert (found[f"endpoint_registered {KEY}"], found["command_running"]) == (1, 1)
    assert found["lease_remaining_seconds"] > 0


def test_metrics_are_served_when_etcd_was_never_reached(spawn: Spawn) -> None:
    """/healthz has the error."""
    process = spawn(*METRICS, "--endpoints", "127.0.0.1:1", "--dial-timeout", "100ms")
    pages = Pages(process)
    assert pages.health[0] == 503
    process.wait_for_err("Warning: no etcd endpoint")

    wait_until(lambda: "no etcd endpoint reached" in pages.health[1])
    found = pages.series()
    assert (found[f"endpoint_registered {KEY}"], found["lease_ttl_seconds"]) == (0, 0)


def test_metrics_show_the_check(spawn: Spawn, etcd: Etcd) -> None:
    """/healthz says that it fails, and with what."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        process = spawn(*METRICS, "--check", f"tcp://127.0.0.1:{port}", *OFTEN)
        pages = Pages(process)
        process.wait_for_out("OK\n")
        assert pages.health == (200, "ok\n")
        found = pages.series()
        assert (found["check_healthy"], found["check_runs_total failed"]) == (1, 0)
        assert found["check_runs_total passed"] >= 1
    process.wait_for_err("\nderegistered ")

    assert pages.health == (503, "the check does not pass: connection refused\n")
    found = pages.series()
    assert (found["check_healthy"], found[f"endpoint_registered {KEY}"]) == (0, 0)
    assert found["check_runs_total failed"] >= 2


def test_health_says_which_key_another_client_has(spawn: Spawn, etcd: Etcd) -> None:
    """It is not this process's any more."""
    process = spawn(*METRICS)
    pages = Pages(process)
    process.wait_for_out("OK\n")
    lease = etcd.grant(60)
    etcd.put(KEY, "{}", lease)
    process.wait_for_err("was taken over by lease")

    wait_until(lambda: pages.health[0] == 503)
    assert pages.health[1] == f"not registered: {KEY} was taken over by lease {lease:016x}\n"
    assert pages.series()[f"endpoint_registered {KEY}"] == 0


def test_metrics_are_served_until_the_end_of_the_drain(spawn: Spawn, etcd: Etcd) -> None:
    """A probe sees that the process stops; a connection without a request does not delay it."""
    process = spawn(*METRICS, "--drain", "60s", "--", "sleep", "60")
    pages = Pages(process)
    process.wait_for_err("OK\n")
    host, _, port = pages.address.rpartition(":")
    with socket.create_connection((host, int(port))):
        process.signal(signal.SIGTERM)
        process.wait_for_err("\nderegistered ")
        assert pages.health == (503, "stopping\n")
        assert pages.series()[f"endpoint_registered {KEY}"] == 0
        begin = time.monotonic()
        process.signal(signal.SIGINT)  # skips the drain
        result = process.finish()
    assert time.monotonic() - begin < AT_ONCE
    assert result.status == 143
    assert result.err.splitlines()[-1].endswith(" revoked")
    assert "Traceback" not in result.err
    socket.create_server((host, int(port))).close()


def test_command_does_not_inherit_the_socket_of_the_metrics(spawn: Spawn, etcd: Etcd) -> None:
    """Neither does a check; a restarted wrapper finds its port free."""
    process = spawn(*METRICS, "--check", "exec:true", "--", "sh", "-c", "echo $(ls /proc/self/fd)")
    Pages(process)

    assert process.finish().out == "0 1 2 3\n"  # the last one is that of ls


@pytest.mark.parametrize("address", [":0", "[::1]:0", "localhost:0"])
def test_metrics_are_served_on_every_kind_of_address(
    spawn: Spawn, etcd: Etcd, address: str
) -> None:
    """The free port that was taken is in the log; without a host it is every address."""
    process = spawn(*REGISTER, "--metrics", address)
    pages = Pages(process)

    assert pages.page("healthz")[0] in {200, 503}
    assert pages.page("other") == (404, "there are: /metrics /healthz\n")
    if address == ":0":
        port = int(pages.address.rpartition(":")[2])
        assert pages.address == f"localhost:{port}"
        for host in ("127.0.0.1", "::1"):
            socket.create_connection((host, port)).close()


def test_metrics_are_served_on_a_unix_socket(spawn: Spawn, etcd: Etcd, tmp_path: Path) -> None:
    """One that a killed process has left is replaced; another file is not."""
    path = tmp_path / "metrics"
    for _ in range(2):
        process = spawn(*REGISTER, "--metrics", f"unix:{path}")
        process.wait_for_err(f"metrics on unix:{path}\n")
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(path))
            connection.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
            assert connection.recv(65536).startswith(b"HTTP/1.1 200 OK\r\n")
        process.signal(signal.SIGKILL)
        process.finish()
    path.unlink()
    path.write_text("precious")
    result = spawn(*REGISTER, "--metrics", f"unix:{path}").finish()
    message = f"Error: can't listen on unix:{path}: not a socket\n"
    assert (result.status, result.err) == (128, message)
    assert path.read_text() == "precious"


def test_metrics_are_served_again_after_too_many_connections(spawn: Spawn, etcd: Etcd) -> None:
    """Those beyond the limit are closed at once, so that they take no descriptors."""
    process = spawn(*METRICS)
    pages = Pages(process)
    process.wait_for_out("OK\n")
    host, _, port = pages.address.rpartition(":")
    with ExitStack() as opened:
        connections = [
            opened.enter_context(socket.create_connection((host, int(port))))
            for _ in range(MAX_CONNECTIONS + 1)
        ]
        connections[-1].settimeout(TIMEOUT)
        assert connections[-1].recv(1) == b""
        for each in connections:
            each.close()
        wait_until(lambda: _is_up(pages))
    assert "Traceback" not in process.err


def _is_up(pages: Pages) -> bool:
    try:
        return pages.health == (200, "ok\n")
    except OSError:
        return False


def test_address_of_the_metrics_is_an_object_in_json(spawn: Spawn, etcd: Etcd) -> None:
    """All objects have the same members."""
    process = spawn(*METRICS, "-w", "json", "--", "sleep", "60")
    wait_until(lambda: '"registered"' in process.err)

    metrics, granted, _ = changes(process.err)
    assert metrics["type"] == "metrics"
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/metrics", metrics["reason"])
    assert [*metrics] == [*granted]


def test_port_of_the_metrics_that_is_taken_is_an_error(spawn: Spawn, etcd: Etcd) -> None:
    """Neither the command nor the registration is started."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        result = spawn(*REGISTER, "--metrics", address, "--", "echo", "begun").finish()

    message = f"Error: can't listen on {address}: Address already in use\n"
    assert result == (128, "", message)
    assert is_empty(etcd)


def test_metrics_without_their_library_name_the_extra(
    spawn: Spawn, etcd: Etcd, tmp_path: Path
) -> None:
    """Before anything is started."""
    (tmp_path / "prometheus_client.py").write_text("raise ModuleNotFoundError\n")
    process = spawn(*METRICS, "--", "echo", "begun", env={"PYTHONPATH": str(tmp_path)})

    message = f"Error: no --metrics: {missing('metrics')}"
    hint = " (see etcdnaming lease-register --help)\n"
    assert process.finish() == (128, "", message + hint)
    assert is_empty(etcd)


def test_lease_register_imports_no_server_without_metrics(etcd: Etcd) -> None:
    """Starting takes no longer for those that don't ask for them."""
    show = (
        "import sys; from etcdnaming.cli import main; status = main(sys.argv[1:])\n"
        "print(status, *{'asyncio.base_events', 'prometheus_client'} & {*sys.modules})"
    )
    program = [sys.executable, "-c", show, *REGISTER, "--", "true"]
    with closing(Process(program, pointing_at(etcd.endpoint, {}))) as process:
        assert process.finish().out == "0\n"
