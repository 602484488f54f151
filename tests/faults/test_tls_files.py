"""A running process when its certificate, key or CA file is broken while it reconnects."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from harness import Certificates, Etcd, Spawn, wait_until
from harness.pids import parent_of
from harness.registering import KEY, REGISTER, VALUE, is_empty
from harness.registrations import EventLog
from harness.watcher import Watcher, put

from etcdnaming import Client, Endpoint, EndpointManager, Registration
from etcdnaming.errors import TLSError

TTL = 2
BACK = 20.0
"""Seconds after which all is well again when the file is; pauses are 5 s at most."""

CMD = ("--", "sh", "-c", "echo $$; exec sleep 600")


class Broken(NamedTuple):
    """An invalid content of a file during a rotation (``None``: no file), and its error."""

    setting: str
    content: bytes | None
    reason: str


OTHER = b"the key of another certificate"

BROKEN = [
    Broken("cert", b"", "empty"),
    *(
        pytest.param(each, marks=pytest.mark.long)
        for each in (
            Broken("key", b"", "empty"),
            Broken("cacert", b"", "empty"),
            Broken("cert", b" \n", "empty"),
            Broken("key", b"garbage", "not PEM"),
            Broken("key", OTHER, OTHER.decode()),
            Broken("cert", None, "No such file"),
        )
    ),
]


class Secure(NamedTuple):
    """An etcd that requires TLS, and the files of a client that it accepts."""

    etcd: Etcd
    certificates: Certificates

    @property
    def files(self) -> dict[str, str]:
        """Return the names of the files by setting."""
        pair = self.certificates.client
        # The server reads ca.pem itself, so the client gets a copy.
        cacert = self.certificates.ca.with_name("client-ca.pem")
        return {"cacert": str(cacert), "cert": str(pair.cert), "key": str(pair.key)}

    @property
    def options(self) -> list[str]:
        """Return the options for the command line."""
        files = (f"--{setting}={name}" for setting, name in self.files.items())
        return [f"--endpoints=https://{self.etcd.endpoint}", *files]

    @contextmanager
    def broken(self, what: Broken) -> Iterator[str]:
        """
        Break a file and restart etcd; after the block the file is valid again.

        Yields:
            The error that the process is expected to report.
        """
        file = Path(self.files[what.setting])
        good = file.read_bytes()
        if what.content is None:
            file.unlink()
        elif what.content == OTHER:
            file.write_bytes(self.certificates.other_client.key.read_bytes())
        else:
            file.write_bytes(what.content)
        self.etcd.kill()
        self.etcd.launch()  # its health check would use the broken files
        try:
            yield f"{file}: {what.reason}"
        finally:
            file.write_bytes(good)
            self.etcd.wait_until_ready()


@pytest.fixture
def secure(secure_etcd: Callable[..., Etcd], certificates: Certificates) -> Secure:
    """An etcd that requires client certificates."""
    found = Secure(secure_etcd(mutual=True), certificates)
    Path(found.files["cacert"]).write_bytes(certificates.ca.read_bytes())
    return found


@pytest.mark.parametrize("what", BROKEN, ids=str)
def test_lease_register_continues_and_names_the_file_when_a_tls_file_is_broken(
    spawn: Spawn, secure: Secure, what: Broken
) -> None:
    """CMD keeps running, and all endpoints are registered again when the file is valid again."""
    process = spawn(*REGISTER, *secure.options, "--ttl", str(TTL), *CMD)
    process.wait_for_out("\n")
    process.wait_for_err("OK\n")
    with secure.broken(what) as report:
        process.wait_for_err(report, timeout=30)
        process.wait_for_err("\nlost ", timeout=30)
    process.wait_for_err("\nregained ", timeout=BACK)
    assert secure.etcd.entry(KEY).value == VALUE
    assert parent_of(int(process.out)) == process.pid
    process.signal(signal.SIGTERM)
    assert process.finish().status == 143
    assert is_empty(secure.etcd)


@pytest.mark.parametrize("what", BROKEN, ids=str)
def test_watch_continues_and_names_the_file_when_a_tls_file_is_broken(
    spawn: Spawn, secure: Secure, what: Broken
) -> None:
    """The error is reported once, and no change is missed."""
    put(secure.etcd, e1="1:1")
    watch = spawn("watch", "svc", *secure.options)
    watch.wait_for_out("svc/e1")
    with secure.broken(what) as report:
        watch.wait_for_err(report, timeout=30)
    put(secure.etcd, e2="2:2")
    watch.wait_for_out("PUT\tsvc/e2", timeout=BACK)
    watch.signal(signal.SIGINT)
    reported = watch.finish()
    assert reported.err.count(report) == 1
    assert "reconnected to" in reported.err


def test_client_names_a_broken_file_and_recovers_when_it_is_valid_again(secure: Secure) -> None:
    """Calls fail with the name of the file, and the watch and the registration recover."""
    reported = EventLog()
    with (
        Client([f"https://{secure.etcd.endpoint}"], **secure.files) as client,  # type: ignore[arg-type]
        Watcher(client) as watcher,
        Registration(client, {KEY: Endpoint("1.2.3.4:80")}, ttl=TTL, on_state=reported),
    ):
        watcher.wait_for_addresses(e1="1.2.3.4:80").wait_until_connected()
        with secure.broken(Broken("cert", b"", "empty")) as report:
            watcher.wait_until(lambda watcher: report in str(watcher.states), 30)
            with pytest.raises(TLSError, match=report):
                EndpointManager(client, "svc").list()
            wait_until(lambda: "lost" in reported.kinds, timeout=30)
            assert any(report in each.reason for each in reported)
        wait_until(lambda: "regained" in reported.kinds, timeout=BACK)
        watcher.wait_until_connected(BACK)
        put(secure.etcd, e2="2:2")
        watcher.wait_for_addresses(BACK, e1="1.2.3.4:80", e2="2:2")
        assert len(EndpointManager(client, "svc").list().endpoints) == 2


def test_watch_names_a_password_file_when_it_is_empty(
    spawn: Spawn, auth_etcd: Callable[..., Etcd], tmp_path: Path
) -> None:
    """The watch has to log in again, and continues when the file contains the password."""
    etcd, file = auth_etcd(), tmp_path / "password"
    file.write_text("reader-secret\n")
    login = ("--user", "reader", "--password-file", str(file))
    watch = spawn("watch", "svc", "--endpoints", etcd.endpoint, *login)
    put(etcd, e1="1:1")
    watch.wait_for_out("svc/e1")
    file.write_text("")
    # The password stays the same, but the change makes the token invalid.
    etcd.ctl("user", "passwd", "--interactive=false", "reader", input="reader-secret\n")
    etcd.kill()
    etcd.start()
    watch.wait_for_err(f"{file}: empty", timeout=30)
    file.write_text("reader-secret\n")
    put(etcd, e2="2:2")
    watch.wait_for_out("PUT\tsvc/e2", timeout=BACK)
    watch.signal(signal.SIGINT)
    assert watch.finish().err.count(f"{file}: empty") == 1
