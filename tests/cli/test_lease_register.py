"""`etcdnaming lease-register` without CMD: registration, output and exit."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from harness import TIMEOUT, Certificates, Etcd, Result, Run, Shell, Spawn, wait_until
from harness.process import command
from harness.registering import ADDR, KEY, REGISTER, VALUE, changes, is_empty, kinds


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_lease_register_keeps_the_key_until_it_is_signalled(
    spawn: Spawn, etcd: Etcd, number: int
) -> None:
    """It prints the messages of etcdctl for leases, and leaves nothing in etcd."""
    process = spawn(*REGISTER, "--ttl", "7")
    process.wait_for_out("OK\n")
    entry = etcd.entry(KEY)
    assert (entry.value, [entry.lease]) == (VALUE, etcd.leases())

    process.signal(number)

    lease = f"{entry.lease:016x}"
    expected = f"lease {lease} granted with TTL(7s)\nOK\nlease {lease} revoked\n"
    states = f"registered {KEY} {ADDR}\nderegistered {KEY} {ADDR}\n"
    assert process.finish() == (0, expected, states)
    assert is_empty(etcd)


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGQUIT])
def test_lease_register_cleans_up_when_sighup_or_sigquit_ends_it(
    spawn: Spawn, etcd: Etcd, number: int
) -> None:
    """The process dies by that signal after the cleanup."""
    process = spawn(*REGISTER)
    process.wait_for_out("OK\n")

    process.signal(number)

    assert process.finish().status == -number
    assert is_empty(etcd)


def test_lease_register_json_prints_an_object_for_each_change(spawn: Spawn, etcd: Etcd) -> None:
    """All objects have the same members."""
    process = spawn(*REGISTER, "--metadata-json", '{"a":[1]}', "-w", "json")
    process.wait_for_out('"registered"')
    process.signal(signal.SIGTERM)
    result = process.finish()

    assert result.err == ""
    granted, registered, left, revoked = changes(result.out)
    assert len({tuple(each) for each in (granted, registered, left, revoked)}) == 1
    lease = granted["lease"]
    common = {"type": "registered", "key": KEY, "key_base64": None, "lease": lease, "holder": "0"}
    details = {"addr": ADDR, "metadata": {"a": [1]}, "ttl": 0, "seconds": 0, "reason": ""}
    assert abs(time.time() - _epoch(registered.pop("time"))) < 30
    assert registered.pop("revision") == etcd.revision() - 1
    assert registered == {**common, **details}
    assert (granted["type"], granted["ttl"]) == ("granted", 10)
    assert (left["type"], left["key"], left["revision"]) == ("left", KEY, etcd.revision())
    assert (revoked["type"], revoked["lease"]) == ("revoked", lease)


def test_lease_register_yaml_prints_a_document_for_each_change(spawn: Spawn, etcd: Etcd) -> None:
    """Each has the members of the JSON object."""
    process = spawn(*REGISTER, "-w", "yaml")
    process.wait_for_out('type: "registered"')
    process.signal(signal.SIGTERM)

    found = [*yaml.safe_load_all(process.finish().out)]
    assert [each["type"] for each in found] == ["granted", "registered", "left", "revoked"]
    assert found[1]["addr"] == ADDR


def _epoch(text: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "fields",
            (
                r'"Type" : granted\n"Lease" : \d+\n"TTL" : 10\n\n'
                r'"Type" : registered\n"Key" : "svc/e1"\n"Addr" : "1.2.3.4:80"\n'
                r'"Metadata" : null\n"Revision" : \d+\n"Lease" : \d+\n\n'
            ),
        ),
        (
            "table",
            (
                r"\d\d:\d\d:\d\d  granted     TTL\(10s\)  lease [0-9a-f]+\n"
                r"\d\d:\d\d:\d\d  registered  svc/e1  1.2.3.4:80  lease [0-9a-f]+\n"
            ),
        ),
    ],
)
def test_lease_register_prints_each_change_at_once_in_other_formats(
    spawn: Spawn, etcd: Etcd, name: str, expected: str
) -> None:
    """Stdout is a pipe, so buffered lines would not arrive."""
    process = spawn(*REGISTER, "-w", name)
    process.wait_for_out(ADDR)
    wait_until(lambda: process.out.count("\n") >= expected.count("\\n"))

    assert re.fullmatch(expected, process.out), process.out


def test_lease_register_file_shares_one_lease(spawn: Spawn, etcd: Etcd, tmp_path: Path) -> None:
    """The file is text or JSON; OK is printed once, when all endpoints are registered."""
    file = tmp_path / "endpoints"
    file.write_text('# comment\nadd svc/e1 1:1 {"a":1}\nadd svc/ 2:2\nadd other/e3 3:3\n')
    process = spawn("lease-register", "-f", file)
    process.wait_for_out("OK\n")

    assert list(etcd.get("svc/")) == [b"svc/2:2", b"svc/e1"]
    assert {each.lease for each in etcd.entries("")} == {*etcd.leases()}
    process.signal(signal.SIGTERM)
    assert process.finish().out.count("OK\n") == 1
    assert etcd.get("") == {}

    lines = [{"op": "add", "key": f"svc/e{n}", "addr": f"{n}:{n}"} for n in range(1, 201)]
    file.write_text("\n".join(map(json.dumps, lines)))
    process = spawn("lease-register", "-f", file, "-w", "json", "--target", "svc")
    wait_until(lambda: kinds(process.out).count("registered") == 200)
    assert len(etcd.get("svc/")) == 200


def test_lease_register_warns_once_of_an_address_without_a_port(spawn: Spawn, etcd: Etcd) -> None:
    """The command line and the library both check the address."""
    process = spawn("lease-register", "svc/e1", "--addr", "localhost")
    process.wait_for_out("OK\n")
    process.wait_for_err("registered svc/e1 localhost\n")
    assert process.err == (
        "Warning: the address 'localhost' has no port: write localhost:PORT\n"
        "registered svc/e1 localhost\n"
    )


def test_lease_register_refuses_an_address_in_a_file_that_no_client_can_dial(
    spawn: Spawn, run: Run, etcd: Etcd, tmp_path: Path
) -> None:
    """The error names the line; with --force the endpoint is registered with a warning."""
    file = tmp_path / "endpoints"
    file.write_text("add svc/e1 1:1\nadd svc/e2 http://a:1\n")
    reason = "the address 'http://a:1' is a URL: write HOST:PORT"

    refused = f"Error: {file}:2: {reason}; --force stores it anyway\n"
    assert run("lease-register", "-f", file) == Result(3, "", refused)
    assert etcd.get("") == {}
    process = spawn("lease-register", "-f", file, "--force")
    process.wait_for_out("OK\n")
    assert list(etcd.get("")) == [b"svc/e1", b"svc/e2"]
    process.wait_for_err("registered svc/e2 http://a:1\n")
    assert process.err.startswith(f"Warning: {reason}\nregistered ")
    assert process.err.count("Warning") == 1


def test_lease_register_completes_a_key_that_ends_in_a_slash(spawn: Spawn, etcd: Etcd) -> None:
    """A wildcard address is registered with a warning."""
    process = spawn("lease-register", "svc/", "--addr", "0.0.0.0:80")
    process.wait_for_out("OK\n")

    assert list(etcd.get("svc/")) == [b"svc/0.0.0.0:80"]
    process.wait_for_err("registered ")
    assert process.err == (
        "Warning: 0.0.0.0:80: servers listen on 0.0.0.0, but clients can't dial it\n"
        "registered svc/0.0.0.0:80 0.0.0.0:80\n"
    )


def test_lease_register_refuses_a_port_when_etcd_is_reached_by_loopback(
    spawn: Spawn, etcd: Etcd
) -> None:
    """Other machines could not dial 127.0.0.1."""
    result = spawn("lease-register", "svc/", "--addr", ":80").finish()

    assert (result.status, result.out) == (128, "")
    assert "use HOST:80, or 127.0.0.1:80" in result.err
    assert is_empty(etcd)


def test_lease_register_ends_when_its_stdout_is_a_broken_pipe(shell: Shell, etcd: Etcd) -> None:
    """It dies by SIGPIPE without a message; nothing stays registered."""
    script = f"etcdnaming {' '.join(REGISTER)} --quiet | true; echo ${{PIPESTATUS[0]}}"

    assert shell(script) == (0, "141\n", "")
    assert is_empty(etcd)


def test_lease_register_fails_when_the_disk_is_full(shell: Shell, etcd: Etcd) -> None:
    """Nothing stays registered."""
    full = (6, "", "Error: stdout: No space left on device\n")

    assert shell(f"etcdnaming {' '.join(REGISTER)} --quiet > /dev/full") == full
    assert is_empty(etcd)


def test_lease_register_registers_nothing_when_stdout_is_closed(shell: Shell, etcd: Etcd) -> None:
    """The result could not be printed."""
    assert shell(f"etcdnaming {' '.join(REGISTER)} >&-") == (6, "", "Error: stdout: closed\n")
    assert is_empty(etcd)


def test_lease_register_handles_signals_when_its_reader_is_stuck(
    etcd: Etcd, tmp_path: Path
) -> None:
    """It exits in order, although it can not write."""
    file = tmp_path / "endpoints"
    file.write_text("".join(f"add svc/e{n} {n}:{n}\n" for n in range(1, 501)))
    args = command("lease-register", "-f", file, "-w", "json", "--endpoints", etcd.endpoint)
    with subprocess.Popen(args, stdout=subprocess.PIPE) as process:
        wait_until(lambda: len(etcd.get("svc/")) == 500)
        process.send_signal(signal.SIGTERM)
        assert process.wait(TIMEOUT) == 0
        assert is_empty(etcd)


def test_lease_register_exits_at_once_when_etcd_was_never_reached(spawn: Spawn, etcd: Etcd) -> None:
    """There is nothing to clean up."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"127.0.0.1:{silent.getsockname()[1]}"
        process = spawn(*REGISTER, "--endpoints", endpoint, "--dial-timeout", "1h")
        with silent.accept()[0]:
            process.signal(signal.SIGTERM)

            assert process.finish() == (0, "", "")


def test_lease_register_ends_when_the_ca_is_wrong_and_it_needs_its_own_address(
    spawn: Spawn, secure_etcd: Callable[..., Etcd], certificates: Certificates
) -> None:
    """Its address is that of the connection, which no retry makes."""
    where = ("--endpoints", f"https://{secure_etcd().endpoint}")
    ca = ("--cacert", str(certificates.other_ca))
    result = spawn(*where, *ca, "lease-register", "svc/", "--addr", ":80").finish()

    assert result.out == ""
    assert result.status not in {0, None}
    assert "certificate" in result.err
