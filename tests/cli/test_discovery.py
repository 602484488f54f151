"""``--discovery-srv``: the endpoints of etcd from SRV records, as etcdctl finds them."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from subprocess import CalledProcessError
from typing import Any

import pytest
from harness import Certificates, Etcd, Process, Result, Run, wait_until
from harness.dns_server import SERVFAIL, SILENT, DnsServer, Records
from harness.process import command

from etcdnaming import Client
from etcdnaming.errors import InvalidSettingError
from etcdnaming.extras import missing

SECURE = "_etcd-client-ssl._tcp.example.test."
PLAIN = "_etcd-client._tcp.example.test."
LINE = "svc/e1\t1.2.3.4:80\tnull\n"
LIST = ("list", "svc", "--discovery-srv=example.test")
NOT_FOUND = "Error: no etcd endpoint found in the DNS:"
NONE = "no SRV record"
UNUSED = f"the endpoints without TLS at {PLAIN[:-1]} are not used"
UNUSABLE = "its records name no host and port"


@pytest.fixture
def dns(tmp_path: Path) -> Iterator[DnsServer]:
    """Yield a DNS server without SRV records, to which ``m1`` to ``m3`` are this machine."""
    try:
        server = DnsServer(tmp_path)
        server.probe()
    except (OSError, CalledProcessError) as exc:
        pytest.skip(f"no DNS server or no mount namespaces here: {exc}")
    for name in ("m1", "m2", "m3"):
        server.records[f"{name}.example.test.", "A"] = ["127.0.0.1"]
    yield server
    server.close()


@pytest.fixture
def one(etcd: Etcd) -> Etcd:
    """Return an etcd with one endpoint."""
    etcd.put("svc/e1", '{"Addr":"1.2.3.4:80"}')
    return etcd


def call(dns: DnsServer, *args: str | os.PathLike[str], **env: str) -> Result:
    """Run ARGS with *dns* as the DNS server."""
    done = subprocess.run(
        [*dns.prefix, *args], capture_output=True, env={**os.environ, **env}, check=False
    )
    return Result(done.returncode, done.stdout.decode(), done.stderr.decode())


def ours(dns: DnsServer, *args: str, **env: str) -> Result:
    """Run ``etcdnaming ARGS`` with *dns* as the DNS server."""
    return call(dns, *command(*args), **env)


def etcdctl(dns: DnsServer, etcd: Etcd, *args: str) -> Result:
    """Run ``etcdctl get svc/e1 ARGS`` with *dns* as the DNS server."""
    args = ("get", "svc/e1", "--print-value-only", "--command-timeout=10s", *args)
    return call(dns, etcd.programs.etcdctl, *args, ETCDCTL_API="3")


@pytest.mark.server
def test_discovery_finds_etcd_where_etcdctl_finds_it(dns: DnsServer, one: Etcd) -> None:
    """The host name is absolute, whatever the system's search list is."""
    dns.records[PLAIN, "SRV"] = [f"0 0 {one.port} m1.example.test."]
    dns.records["_etcd-client-blue._tcp.example.test.", "SRV"] = dns.records[PLAIN, "SRV"]

    assert ours(dns, "-d", "example.test", "list", "svc") == (0, LINE, "")
    assert ours(dns, *LIST[:2], ETCDCTL_DISCOVERY_SRV="example.test.") == (0, LINE, "")
    assert etcdctl(dns, one, "-d", "example.test")[:2] == (0, '{"Addr":"1.2.3.4:80"}\n')

    dns.records[PLAIN, "SRV"] = ()
    assert ours(dns, *LIST, "--discovery-srv-name=blue") == (0, LINE, "")
    assert etcdctl(dns, one, "-d", "example.test", "--discovery-srv-name=blue").status == 0


def test_discovered_endpoints_are_used_instead_of_the_given_ones(dns: DnsServer, one: Etcd) -> None:
    """As etcdctl decides; ``status`` has a row for each of them."""
    dns.records[PLAIN, "SRV"] = [f"0 0 {one.port} m1.example.test.", "1 0 1 m2.example.test."]
    given = ("--endpoints", "127.0.0.1:1")

    assert ours(dns, *LIST, *given) == (0, LINE, "")
    assert etcdctl(dns, one, "-d", "example.test", *given).status == 0
    status = ours(dns, "status", "-d", "example.test", "-w", "json", *given)
    assert [each["endpoint"] for each in status.json()["members"]] == [
        f"http://m1.example.test:{one.port}",
        "http://m2.example.test:1",
    ]


@pytest.mark.parametrize(
    ("secure", "plain", "reasons"),
    [
        pytest.param((), (), (NONE, NONE), id="nothing"),
        pytest.param(SERVFAIL, (), ("the DNS server failed: SERVFAIL", NONE), id="server failure"),
        pytest.param(SILENT, b"?", ("no answer", "no answer"), id="no answer and no DNS"),
        pytest.param(["0 0 0 ."], ["0 0 2379 1.2.3.4."], (UNUSABLE, UNUSABLE), id="no host names"),
    ],
)
def test_discovery_fails_with_the_reason_of_each_name_within_the_dial_timeout(
    dns: DnsServer, secure: Records, plain: Records, reasons: tuple[str, str]
) -> None:
    """The command never falls back to an etcd that happens to run on this machine."""
    dns.records[SECURE, "SRV"], dns.records[PLAIN, "SRV"] = secure, plain

    result = ours(dns, *LIST, "--dial-timeout=1s", "--command-timeout=1h")

    wanted = f"{NOT_FOUND} {SECURE[:-1]}: {reasons[0]}; {PLAIN[:-1]}: {reasons[1]}"
    assert (result.status, result.out) == (2, "")
    assert result.err.splitlines()[-1] == wanted


def test_discovery_names_the_settings_of_the_system_when_they_name_no_dns_server(
    dns: DnsServer, tmp_path: Path
) -> None:
    """The reason is the same for both names."""
    (tmp_path / "resolv.conf").write_text("")

    result = ours(dns, *LIST)

    reason = "this system has no settings for the DNS (/etc/resolv.conf)"
    wanted = f"{NOT_FOUND} {SECURE[:-1]}: {reason}; {PLAIN[:-1]}: {reason}"
    assert (result.status, result.err.splitlines()[-1]) == (2, wanted)


@pytest.mark.parametrize("other", [SERVFAIL, SILENT, b"?"], ids=["failure", "silence", "nonsense"])
def test_discovery_uses_the_records_of_one_name_when_the_other_has_no_answer(
    dns: DnsServer, one: Etcd, other: Records
) -> None:
    """As etcdctl does; half of the dial timeout is left for the connection."""
    dns.records[SECURE, "SRV"] = other
    dns.records[PLAIN, "SRV"] = [f"0 0 {one.port} m1.example.test."]

    assert ours(dns, *LIST) == (0, LINE, "")


def test_discovery_dials_in_the_order_of_priorities_and_reads_odd_records(dns: DnsServer) -> None:
    """Endpoints with TLS come first. Names that are none are left out, and shown escaped."""
    dns.records[PLAIN, "SRV"] = [
        "30 1 3 m1.example.test.",
        r"5 0 9 a\027[31m\010.test.",
        "20 0 2 m2.example.test.",
        "0 0 0 m3.example.test.",
        "20 0 2 m2.example.test.",
    ]
    dns.records[SECURE, "SRV"] = ["40 0 1 M3.example.test."]

    result = ours(dns, *LIST, "--dial-timeout=2s")

    warning, error = result.err.splitlines()
    assert warning.startswith(f"Warning: 2 of 4 SRV records at {PLAIN[:-1]} are not used, as they")
    assert result.err.replace("\n", "").isprintable()
    tried = [each.rpartition(": ")[0] for each in error.partition("s: ")[2].split("; ")]
    assert tried == [
        "https://M3.example.test:1",
        "http://m2.example.test:2",
        "http://m1.example.test:3",
    ]


def test_discovery_reads_thousands_of_records_by_tcp(dns: DnsServer, one: Etcd) -> None:
    """An answer by UDP has no room for them; an error names some of the endpoints."""
    hosts = [f"1 {port % 7} {port} m1.example.test." for port in range(1, 1601)]
    dns.records[PLAIN, "SRV"] = [*hosts, f"0 0 {one.port} m2.example.test."]

    assert ours(dns, *LIST, "--dial-timeout=20s") == (0, LINE, "")
    assert (PLAIN, "SRV", True) in dns.queries

    dns.records[PLAIN, "SRV"] = hosts
    result = ours(dns, *LIST, "--dial-timeout=3s")
    assert result.status == 2
    assert len(result.err) < 1000
    assert result.err.rstrip().endswith(" more")


def test_discovery_verifies_certificates_for_the_host_or_for_the_domain(
    dns: DnsServer, certificates: Certificates, secure_etcd: Callable[..., Etcd]
) -> None:
    """Of the domain with ``--insecure-discovery=false``, so that a forged record gains nothing."""
    certificates.renew("m1.example.test", "127.0.0.1")
    etcd = secure_etcd()
    etcd.put("svc/e1", '{"Addr":"1.2.3.4:80"}')
    dns.records[SECURE, "SRV"] = [f"0 0 {etcd.port} m1.example.test."]
    dns.records[PLAIN, "SRV"] = ["0 0 1 m2.example.test."]
    cacert = f"--cacert={certificates.ca}"
    strict = "--insecure-discovery=false"

    assert ours(dns, *LIST, cacert) == (0, LINE, "")
    given = f"--endpoints=https://m1.example.test.:{etcd.port}"
    assert ours(dns, "list", "svc", given, cacert) == (0, LINE, "")
    assert etcdctl(dns, etcd, "-d", "example.test", cacert).status == 0
    member = f"https://m1.example.test:{etcd.port}"
    misnamed = f"no etcd endpoint can be used: {member}: its certificate is not for"
    assert ours(dns, *LIST, cacert, strict) == (
        2,
        "",
        f"Warning: {UNUSED}\nError: {misnamed} 'example.test'\n",
    )
    refused = etcdctl(dns, etcd, "-d", "example.test", cacert, strict, "--command-timeout=1s")
    assert refused.status != 0

    dns.records[PLAIN, "SRV"] = ()
    certificates.issue(certificates.server, "example.test")
    assert ours(dns, *LIST, cacert, strict) == (0, LINE, "")
    assert etcdctl(dns, etcd, "-d", "example.test", cacert, strict).status == 0
    assert ours(dns, *LIST, cacert).err == f"Error: {misnamed} 'm1.example.test'\n"


def test_strict_discovery_uses_the_given_endpoints_when_no_record_is_for_tls(
    dns: DnsServer, one: Etcd
) -> None:
    """As etcdctl does, but never the default one."""
    dns.records[PLAIN, "SRV"] = [f"0 0 {one.port} m1.example.test."]
    strict = (*LIST, "--insecure-discovery=false")

    assert ours(dns, *strict, "--endpoints", f"http://{one.endpoint}") == (
        0,
        LINE,
        f"Warning: {UNUSED}\n",
    )
    assert ours(dns, *strict, "--endpoints", one.endpoint).err.endswith("use http://\n")
    assert ours(dns, *strict) == (2, "", f"{NOT_FOUND} {SECURE[:-1]}: {NONE}; {UNUSED}\n")


def test_discovery_looks_again_when_the_known_endpoints_are_gone(
    dns: DnsServer, own_etcd: Callable[..., Etcd], one: Etcd
) -> None:
    """A watch goes on when the cluster has moved; while the DNS is silent it keeps what it knew."""
    first = own_etcd()
    dns.records[PLAIN, "SRV"] = [f"0 0 {first.port} m1.example.test."]
    program = [*dns.prefix, *command("watch", "svc", "-d", "example.test", "-w", "json")]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as watch:
        assert watch.stdout
        try:
            assert b'"SYNCED"' in watch.stdout.readline()
            dns.records[PLAIN, "SRV"] = SILENT
            first.kill()
            first.start()
            first.put("svc/e0", '{"Addr":"1.1.1.1:80"}')
            assert b"1.1.1.1:80" in watch.stdout.readline()
            dns.records[PLAIN, "SRV"] = [f"0 0 {one.port} m1.example.test."]
            first.kill()
            assert b"1.2.3.4:80" in watch.stdout.readline() + watch.stdout.readline()
        finally:
            watch.kill()


def test_lease_register_registers_when_the_dns_answers_at_last(dns: DnsServer, one: Etcd) -> None:
    """CMD runs meanwhile, as while etcd is away."""
    dns.records[PLAIN, "SRV"] = SERVFAIL
    register = ("lease-register", "svc/e9", "--addr=1.1.1.1:1", "-d", "example.test")
    process = Process(
        [*dns.prefix, *command(*register, "--", "sh", "-c", "echo runs; exec sleep 60")],
        dict(os.environ),
    )
    with closing(process):
        process.wait_for_out("runs\n")
        process.wait_for_err(f"{PLAIN[:-1]}: the DNS server failed: SERVFAIL")
        dns.records[PLAIN, "SRV"] = [f"0 0 {one.port} m1.example.test."]
        wait_until(lambda: b"svc/e9" in one.get("svc/e9"))
        process.signal(signal.SIGTERM)
        process.finish()
    assert not one.get("svc/e9")


def test_discovery_without_its_extra_says_what_to_install(run: Run) -> None:
    """Before anything is asked."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(__import__("sys").modules, "dns", None)
        flag = run(*LIST)
        variable = run(*LIST[:2], env={"ETCDCTL_DISCOVERY_SRV": "example.test"})

    message = f"SRV records can't be read: {missing('srv')}"
    assert flag == Result(128, "", f"Error: {message}\n")
    assert variable == Result(128, "", f"Error: ETCDCTL_DISCOVERY_SRV: {message}\n")


@pytest.mark.parametrize("args", [["--discovery-srv-name=x"], ["--insecure-discovery=false"]])
def test_discovery_flag_without_a_domain_is_refused(run: Run, one: Etcd, args: list[str]) -> None:
    """In the environment of all commands it has no effect, as in etcdctl."""
    name, _, value = args[0].partition("=")

    refused = run("list", "svc", *args)
    variable = f"ETCDCTL_{name.strip('-').replace('-', '_').upper()}"

    assert refused == Result(128, "", f"Error: {name} needs a --discovery-srv\n")
    assert run("list", "svc", env={variable: value}) == Result(0, LINE, "")


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"discovery_srv": "a.b", "channel": object()}, "use either channel or discovery_srv"),
        ({"discovery_srv_name": "x"}, "need a discovery_srv"),
        ({"insecure_discovery": False}, "need a discovery_srv"),
        ({"discovery_srv": "a..b"}, "is not a domain name"),
    ],
)
def test_client_refuses_settings_of_discovery_that_contradict_others(
    settings: dict[str, Any], reason: str
) -> None:
    """Nothing is sent."""
    with pytest.raises(InvalidSettingError, match=reason):
        Client(**settings)
