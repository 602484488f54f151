"""Files named on the command line: pipes are read once, byte order marks are removed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import AT_ONCE, ROOT, Certificates, Etcd, Result, Run, Shell, Spawn

MARK = b"\xef\xbb\xbf"
USER, _, PASSWORD = ROOT.partition(":")

COUNT = "list svc --count-only"
NONE = Result(0, "0\n", "")


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    """Create a fifo that has no writer."""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    return path


@pytest.mark.parametrize(
    "script",
    [
        "etcdnaming COUNT --password-file <(echo PASSWORD)",
        "echo PASSWORD | etcdnaming COUNT --password-file /dev/stdin",
        "etcdnaming COUNT --password-file /dev/stdin <<< PASSWORD",
        "(sleep 0.2; echo PASSWORD > FIFO) & etcdnaming COUNT --password-file FIFO",
        "ETCDNAMING_PASSWORD_FILE=<(echo PASSWORD) etcdnaming COUNT",
    ],
)
def test_password_file_may_be_a_pipe(
    shell: Shell, auth_etcd: Callable[..., Etcd], fifo: Path, script: str
) -> None:
    """It is given by the option or by the variable."""
    words = {
        "COUNT": f"{COUNT} --endpoints {auth_etcd().endpoint} --user {USER}",
        "PASSWORD": PASSWORD,
        "FIFO": str(fifo),
    }
    for word, text in words.items():
        script = script.replace(f" {word}", f" {text}")

    assert shell(script) == NONE


@pytest.mark.parametrize(
    "script",
    [
        "etcdnaming COUNT --cacert <(cat CA) --cert <(cat CERT) --key <(cat KEY)",
        "cat CERT KEY | etcdnaming COUNT --cacert CA --cert /dev/stdin --key /dev/stdin",
        "ETCDCTL_CACERT=<(cat CA) ETCDCTL_CERT=<(cat CERT) ETCDCTL_KEY=<(cat KEY) etcdnaming COUNT",
        "SSL_CERT_FILE=<(cat CA) etcdnaming COUNT --cert CERT --key KEY",
    ],
)
def test_certificate_files_may_be_pipes(
    shell: Shell, secure_etcd: Callable[..., Etcd], certificates: Certificates, script: str
) -> None:
    """One pipe may hold both the certificate and its key."""
    words = {
        "COUNT": f"{COUNT} --endpoints https://{secure_etcd(mutual=True).endpoint}",
        "CA": str(certificates.ca),
        "CERT": str(certificates.client.cert),
        "KEY": str(certificates.client.key),
    }
    for word, text in words.items():
        script = script.replace(f" {word}", f" {text}")

    assert shell(script) == NONE


def test_certificates_from_pipes_are_reused_when_the_client_reconnects(
    spawn: Spawn, secure_etcd: Callable[..., Etcd], certificates: Certificates, fifo: Path
) -> None:
    """A pipe can not be read a second time."""
    etcd = secure_etcd()
    watch = spawn("watch", "svc", f"--endpoints=https://{etcd.endpoint}", f"--cacert={fifo}")
    fifo.write_bytes(certificates.ca.read_bytes())
    etcd.put("svc/e1", '{"Addr":"1:1"}')
    watch.wait_for_out("svc/e1")
    etcd.stop()
    etcd.start()
    etcd.put("svc/e2", '{"Addr":"2:2"}')
    watch.wait_for_out("svc/e2", timeout=20)


@pytest.mark.parametrize("setting", ["--password-file", "--cacert"])
def test_fifo_without_a_writer_fails_within_the_timeouts(
    run: Run, fifo: Path, setting: str
) -> None:
    """etcdctl waits forever."""
    start = time.monotonic()
    login = ["--user=root"] if setting == "--password-file" else []
    limits = ["--dial-timeout=100ms", "--command-timeout=200ms"]

    result = run("list", "svc", *limits, *login, f"{setting}={fifo}")

    assert result == Result(128, "", f"Error: {fifo}: not read to its end within 0.3s\n")
    assert time.monotonic() - start < AT_ONCE


def test_metadata_file_and_update_file_may_be_pipes(shell: Shell, etcd: Etcd) -> None:
    """Process substitution and /dev/stdin both work."""
    for number, script in enumerate(
        (
            "etcdnaming add svc/e0 --addr 1:1 --metadata-file <(echo 1)",
            "echo 1 | etcdnaming add svc/e1 --addr 1:1 --metadata-file /dev/stdin",
            "etcdnaming txn-update <(echo 'add svc/e2 1:1 1')",
        )
    ):
        assert shell(script).status == 0
        assert etcd.entry(f"svc/e{number}").value == b'{"Op":0,"Addr":"1:1","Metadata":1}'


def test_byte_order_mark_is_removed_from_files(
    run: Run, etcd: Etcd, tmp_path: Path, auth_etcd: Callable[..., Etcd]
) -> None:
    """Editors on Windows write it."""
    file = tmp_path / "file"
    file.write_bytes(MARK + b"1")
    assert run("add", "svc/e1", "--addr=1:1", f"--metadata-file={file}").status == 0
    file.write_bytes(MARK + b"add svc/e2 1:1 1\r\ndel svc/e3\r\n")
    assert run("txn-update", file).status == 0
    assert run("txn-update", "-", input=MARK + b"add svc/e3 1:1 1").status == 0
    for key in ("svc/e1", "svc/e2", "svc/e3"):
        assert etcd.entry(key).value == b'{"Op":0,"Addr":"1:1","Metadata":1}'
    file.write_bytes(MARK + PASSWORD.encode() + b"\r\n")
    login = ["--user", USER, "--password-file", str(file)]
    assert Run(auth_etcd().endpoint)(*COUNT.split(), *login) == NONE


def test_byte_order_mark_is_removed_from_the_file_of_lease_register(
    spawn: Spawn, etcd: Etcd, tmp_path: Path
) -> None:
    """It has the format of an update file."""
    file = tmp_path / "file"
    file.write_bytes(MARK + b"add svc/e1 1:1 1\n")
    process = spawn("lease-register", "-f", file)
    process.wait_for_out("OK\n")
    assert etcd.entry("svc/e1").value == b'{"Op":0,"Addr":"1:1","Metadata":1}'


def test_byte_order_mark_is_removed_from_certificates(
    secure_etcd: Callable[..., Etcd], certificates: Certificates
) -> None:
    """gRPC would find no certificate in the file."""
    etcd = secure_etcd(mutual=True)
    cert, key = certificates.client.cert, certificates.client.key
    cacert = certificates.ca.with_name("client-ca.pem")
    cacert.write_bytes(MARK + certificates.ca.read_bytes())
    for file in (cert, key):
        file.write_bytes(MARK + file.read_bytes())
    files = (f"--cacert={cacert}", f"--cert={cert}", f"--key={key}")

    assert Run(f"https://{etcd.endpoint}")(*COUNT.split(), *files) == NONE


@pytest.mark.parametrize("content", [b"", b" \n", b"garbage"])
@pytest.mark.parametrize("setting", ["cacert", "cert", "key"])
@pytest.mark.parametrize("name", ["list", "watch", "lease-register"])
def test_invalid_certificate_file_is_reported_at_the_start(
    secure_etcd: Callable[..., Etcd],
    certificates: Certificates,
    name: str,
    setting: str,
    content: bytes,
) -> None:
    """CMD does not start; the error names the variable if the file comes from one."""
    pair, broken = certificates.client, certificates.ca.with_name("broken.pem")
    broken.write_bytes(content)
    files = {"cacert": certificates.ca, "cert": pair.cert, "key": pair.key, setting: broken}
    args = {"lease-register": ["svc/e1", "--addr=1:1", "--", "echo", "begun"]}.get(name, ["svc"])
    run, reason = Run("https://127.0.0.1:1"), "not PEM: no " if b"g" in content else "empty\n"

    result = run(name, *(f"--{each}={file}" for each, file in files.items()), *args)
    by_variable = run(
        name, *args, env={f"ETCDCTL_{each.upper()}": str(file) for each, file in files.items()}
    )

    assert (result.status, result.out) == (by_variable.status, by_variable.out) == (128, "")
    assert result.err.startswith(f"Error: {broken}: {reason}")
    assert by_variable.err.startswith(f"Error: ETCDCTL_{setting.upper()}: {broken}: {reason}")


def test_empty_ca_file_is_refused(
    secure_etcd: Callable[..., Etcd], certificates: Certificates
) -> None:
    """It must not enable the system's CAs, for instance while a rotation is writing the file."""
    etcd, empty = secure_etcd(), certificates.ca.with_name("empty.pem")
    empty.touch()
    trusting = {"SSL_CERT_FILE": str(certificates.ca)}
    run = Run(f"https://{etcd.endpoint}")

    assert run(*COUNT.split(), env=trusting) == NONE
    assert run(*COUNT.split(), f"--cacert={empty}", env=trusting) == Result(
        128, "", f"Error: {empty}: empty\n"
    )


def test_endpoint_list_is_parsed_as_by_etcdctl(run: Run, etcd: Etcd) -> None:
    """Blanks, quotes and empty elements are common in configuration files."""
    port = etcd.endpoint.rpartition(":")[2]
    for text in (
        f"{etcd.endpoint},",
        f",{etcd.endpoint} , ",
        f'"{etcd.endpoint}"',
        f'"127.0.0.1:1,{etcd.endpoint}"',
        f"'{etcd.endpoint}'",
        f"HTTP://{etcd.endpoint}/",
        f"http://127.0.0.1:1/,\n Http://127.0.0.1:{port}/ ",
    ):
        assert run(*COUNT.split(), "--endpoints", text) == NONE, text
        assert run(*COUNT.split(), env={"ETCDNAMING_ENDPOINTS": text}) == NONE, text
