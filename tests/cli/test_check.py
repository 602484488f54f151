"""`etcdnaming check`: the health of all endpoints of a target."""

from __future__ import annotations

import re
import socket
import time
from contextlib import suppress
from pathlib import Path

import pytest
from harness import Etcd, Run, Shell, Spawn
from harness.health import NOT_SERVING, SERVING, HealthServer
from harness.pids import has_ended
from harness.ports import free_port
from harness.tls import Certificates


def fill(etcd: Etcd, *addrs: str) -> None:
    """Store an endpoint for each of *addrs*."""
    etcd.put_all(
        {f"svc/e{n}".encode(): f'{{"Addr":"{addr}"}}'.encode() for n, addr in enumerate(addrs)}
    )


def columns(text: str) -> list[list[str]]:
    """Return the columns of a result in a pipe, without the latency."""
    lines = [[*line.split("\t"), ""][:5] for line in text.splitlines()]
    return [[addr, status, reason] for _, addr, status, _, reason in lines]


def test_check_prints_the_health_of_every_endpoint(run: Run, etcd: Etcd) -> None:
    """Also of those that do not answer or can't be dialled; the exit code is then 1."""
    closed = f"127.0.0.1:{free_port()}"
    with (
        HealthServer({"": SERVING}) as good,
        HealthServer({"": NOT_SERVING}) as bad,
        HealthServer(None) as without,
    ):
        fill(etcd, good.address, bad.address, without.address, closed, "a..b:80", "no-port")

        result = run("check", "svc")
        in_json = run("check", "svc", "-w", "json").json()

    no_port = "the address 'no-port' has no port: write no-port:PORT"
    no_health = "the server has no grpc.health.v1.Health service"
    expected = [
        [good.address, "SERVING", ""],
        [bad.address, "NOT_SERVING", "NOT_SERVING"],
        [without.address, "NOT_SERVING", no_health],
        [closed, "UNREACHABLE", "connection refused"],
        ["a..b:80", "UNREACHABLE", "host name not found"],
        ["no-port", "UNREACHABLE", no_port],
    ]
    assert (result.status, columns(result.out)) == (1, expected)
    assert result.err == "Error: not serving: 5 of 6 endpoints\n"
    assert (in_json["serving"], in_json["count"], in_json["invalid"]) == (1, 6, [])
    assert [
        [each["addr"], each["status"], each["reason"] or ""] for each in in_json["endpoints"]
    ] == expected
    assert [each["seconds"] is None for each in in_json["endpoints"]] == [False] * 3 + [True] * 3


@pytest.mark.parametrize(("output", "words"), [("table", "1 of 1 endpoint"), ("fields", "Serving")])
def test_check_exits_with_0_when_all_endpoints_serve(
    run: Run, etcd: Etcd, output: str, words: str
) -> None:
    """In the other formats, too; a value that can't be read draws a warning."""
    with HealthServer({"": SERVING, "foo.Bar": NOT_SERVING}) as server:
        fill(etcd, server.address)
        etcd.put("svc/bad", "nonsense")
        result = run("check", "svc", "-w", output)
        other = run("check", "svc", "--service", "foo.Bar")

    assert result.status == 0
    assert words in result.out
    assert server.address in result.out
    assert result.err.startswith("Warning: svc/bad: ")
    assert other.status == 1


def test_check_exits_with_7_when_the_target_has_no_endpoints(run: Run, etcd: Etcd) -> None:
    """A mistyped target must not look healthy."""
    result = run("check", "svc")

    assert (result.status, result.out) == (7, "")
    assert result.err == "Error: no endpoints under svc/\n"


def test_check_connects_to_the_port_with_tcp(run: Run, etcd: Etcd, tmp_path: Path) -> None:
    """Unix sockets count as ports."""
    path, closed = tmp_path / "s", f"127.0.0.1:{free_port()}"
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket(socket.AF_UNIX) as local:
        local.bind(str(path))
        local.listen()
        port = listener.getsockname()[1]
        fill(etcd, f"127.0.0.1:{port}", f"unix:{path}", closed, f"unix:{path}-none")

        result = run("check", "svc", "--tcp")

    assert [status for _, status, _ in columns(result.out)] == ["SERVING"] * 2 + ["UNREACHABLE"] * 2
    assert [reason for _, _, reason in columns(result.out)][2:] == [
        "connection refused",
        "no such file or directory",
    ]


def test_check_uses_tls_when_asked(run: Run, etcd: Etcd, certificates: Certificates) -> None:
    """The server's certificate is verified, for the name given."""
    certificates.issue(certificates.server, "svc.test")
    ca = f"--tls-cacert={certificates.ca}"
    with HealthServer({"": SERVING}, tls=certificates) as server:
        fill(etcd, server.address)

        assert run("check", "svc", ca, "--tls-server-name=svc.test").status == 0
        for args in ([], ["--tls"], [ca], [f"--tls-cacert={certificates.other_ca}"]):
            result = run("check", "svc", *args)
            assert result.status == 1
            assert columns(result.out)[0][1] == "UNREACHABLE"


def test_check_names_the_option_of_a_file_that_it_can_not_use(
    run: Run, etcd: Etcd, tmp_path: Path
) -> None:
    """Before anything is dialled."""
    file = tmp_path / "ca.pem"
    file.touch()

    assert (
        run("check", "svc", f"--tls-cacert={file}").err == f"Error: --tls-cacert: {file}: empty\n"
    )
    assert run("check", "svc", f"--tls-cert={file}").status == 128
    assert run("check", "svc", f"--tls-key={file}").status == 128


def test_check_asks_a_thousand_endpoints(run: Run, etcd: Etcd) -> None:
    """Many at a time; each is printed, in the order of the keys."""
    with HealthServer({"": SERVING}) as server:
        fill(etcd, *[server.address] * 1000)
        result = run("check", "svc", "--timeout", "60s")

    keys = [line.partition("\t")[0] for line in result.out.splitlines()]
    assert (result.status, len(keys), keys) == (0, 1000, sorted(keys))


def test_check_reports_silent_endpoints_in_parallel(run: Run, etcd: Etcd) -> None:
    """They time out side by side: one after the other would take 60 s."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        fill(etcd, *[f"127.0.0.1:{silent.getsockname()[1]}"] * 60)
        result = run("check", "svc", "--timeout", "1s")

    assert (
        columns(result.out)
        == [[columns(result.out)[0][0], "UNREACHABLE", "no answer in time"]] * 60
    )


@pytest.mark.parametrize("limit", [32, 100])
@pytest.mark.parametrize("how", ["", "--tcp"])
def test_check_asks_fewer_endpoints_at_a_time_when_descriptors_are_scarce(
    shell: Shell, etcd: Etcd, limit: int, how: str
) -> None:
    """An endpoint is not UNREACHABLE because there is no descriptor to dial it."""
    with HealthServer({"": SERVING}) as server:
        fill(etcd, *[server.address] * 200)
        result = shell(f"ulimit -n {limit}; etcdnaming check svc --timeout 60s {how}")

    assert (result.status, result.err) == (0, "")
    assert result.out.count("\tSERVING\t") == 200


@pytest.mark.timeout(900)
@pytest.mark.parametrize("count", [1_000, pytest.param(100_000, marks=pytest.mark.long)])
@pytest.mark.parametrize("how", ["--timeout=60s", "--tcp"])
def test_check_of_many_endpoints_is_bounded_in_memory_threads_and_descriptors(
    spawn: Spawn, etcd: Etcd, count: int, how: str
) -> None:
    """However many there are: half of them serve, and half are refused."""
    threads, descriptors, kilobytes = 0, 0, 0
    with HealthServer({"": SERVING}) as server:
        fill(etcd, *[server.address, f"127.0.0.1:{free_port()}"] * (count // 2))
        process = spawn("check", "svc", how, "--command-timeout=60s")
        place = Path(f"/proc/{process.pid}")
        while not has_ended(process.pid):
            with suppress(OSError, IndexError):  # as it ends
                threads = max(threads, len([*(place / "task").iterdir()]))
                descriptors = max(descriptors, len([*(place / "fd").iterdir()]))
                peak = (place / "status").read_text().partition("VmHWM:")[2]
                kilobytes = max(kilobytes, int(peak.split()[0]))
            time.sleep(0.01)
        result = process.finish()

    message = f"Error: not serving: {count // 2} of {count} endpoints\n"
    assert (result.status, result.err) == (1, message)
    assert result.out.count("\tSERVING\t") == result.out.count("\tUNREACHABLE\t") == count // 2
    assert 0 < threads < 300
    assert 0 < descriptors < 500
    assert 0 < kilobytes < 300_000


@pytest.mark.long
@pytest.mark.parametrize("output", ["json", "yaml", "table", "fields"])
def test_check_prints_a_hundred_thousand_endpoints_in_every_format(
    run: Run, etcd: Etcd, output: str
) -> None:
    """Each of them is there, in the order of the keys."""
    addr = f"127.0.0.1:{free_port()}"
    etcd.put_all({b"svc/e%06d" % n: b'{"Addr":"%s"}' % addr.encode() for n in range(100_000)})

    result = run("check", "svc", "--tcp", "-w", output, "--command-timeout", "60s")

    assert (result.status, result.err) == (1, "Error: not serving: 100000 of 100000 endpoints\n")
    assert re.findall(r"svc/e(\d+)", result.out) == [f"{n:06}" for n in range(100_000)]
    assert result.out.count("UNREACHABLE") == result.out.count(addr) == 100_000
