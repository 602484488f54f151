"""Run deploy.sh with real instances, each time in a PID namespace of its own."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from harness import Etcd, wait_until
from harness.examples import EXAMPLES, KEYS, SERVER, endpoints
from harness.ports import free_port
from harness.process import Process
from harness.waiting import listens
from harness.watcher import stored

TARGET = KEYS.rstrip("/")

# Runs the script twice: the second time replaces what the first one has started.
TWICE = """
old=$1 new=$2 newest=$3 script=$4 target=$5; shift 5
bash "$script" "$target" "$old" "$new" "$@" --port "${new##*:}"; echo "[$?]"
read -r _
bash "$script" "$target" "$new" "$newest" "$@" --port "${newest##*:}"; echo "[$?]"
ls "${DEPLOY_LOG%/*}"; echo end; read -r _
"""

# Runs the script, prints its status, and waits, so that processes the script started go on.
WORLD = 'bash "$@"; echo "[$?]" | tee /dev/stderr; read -r _'

QUICK = {"DEPLOY_TIMEOUT": "30s", "DEPLOY_DRAIN": "1s"}

Deploy = Callable[..., Process]


def address() -> str:
    """Return a free address."""
    return f"127.0.0.1:{free_port()}"


def server(addr: str) -> list[str]:
    """Return the command line of a server at *addr*."""
    return [sys.executable, str(SERVER), "--port", addr.rpartition(":")[2]]


def values(etcd: Etcd, key: str, revisions: Sequence[int]) -> list[str]:
    """Return the values of *key* at these revisions, without repetitions."""
    get = ("get", "--print-value-only")
    found = [etcd.ctl(*get, f"--rev={each}", "--", key).strip() for each in revisions]
    return [value for value, _ in itertools.groupby(found)]


@pytest.fixture
def deploy(
    etcd: Etcd, namespace: list[str], start: Callable[..., Process], tmp_path: Path
) -> Deploy:
    """``deploy(target, old, new, *command)``: run the script to its end."""

    def deploy(*args: str, **variables: str) -> Process:
        where = {"ETCDNAMING_ENDPOINTS": etcd.endpoint, "DEPLOY_LOG": str(tmp_path / "log")}
        words = [*namespace, "sh", "-c", WORLD, "sh", str(EXAMPLES / "deploy.sh"), *args]
        process = start(words, {**where, **QUICK, **variables})
        process.wait_for_out("]\n", timeout=90)
        process.wait_for_err("]\n")
        return process

    return deploy


@pytest.fixture
def register(etcd: Etcd, start: Callable[..., Process]) -> Callable[..., Process]:
    """``register(addr, *flags)``: start a registered server at *addr*."""

    def register(addr: str, *flags: str) -> Process:
        words = ["etcdnaming", "lease-register", KEYS, f"--addr={addr}", f"--check=tcp://{addr}"]
        where = {"ETCDNAMING_ENDPOINTS": etcd.endpoint}
        process = start([*words, *flags, "--", *server(addr)], where)
        wait_until(lambda: addr in endpoints(etcd), 20)
        return process

    return register


def test_deploy_replaces_an_instance_without_a_failed_call(
    etcd: Etcd, deploy: Deploy, register: Callable[..., Process], start: Callable[..., Process]
) -> None:
    """The old one is drained before it is deleted; the new one stays."""
    old, new, before = address(), address(), etcd.revision()
    register(old, "--on-delete=leave")
    where = {"ETCDNAMING_ENDPOINTS": etcd.endpoint}
    client = start([sys.executable, str(EXAMPLES / "resolver_client.py"), TARGET], where)
    client.wait_for_out(old.partition(":")[2])

    deployed = deploy(TARGET, old, new, *server(new))

    assert deployed.out == f"{KEYS}{new}\t{new}\tnull\n[0]\n"
    assert endpoints(etcd) == {new: new}
    assert etcd.lease_of(KEYS + new)
    drained = f'{{"Op":0,"Addr":"{old}","Metadata":{{"draining":true}}}}'
    was = values(etcd, KEYS + old, range(before + 1, etcd.revision() + 1))
    assert was == [stored(old), drained, ""]
    client.wait_for_out(new.partition(":")[2])
    assert client.err == ""


def test_deploy_ends_the_process_of_an_instance_that_it_has_started(
    etcd: Etcd, namespace: list[str], start: Callable[..., Process], tmp_path: Path
) -> None:
    """With its server; the client loses no call. One that it has not started is named."""
    old, new, newest = address(), address(), address()
    etcd.put(KEYS + old, stored(old))
    where = {"ETCDNAMING_ENDPOINTS": etcd.endpoint, "DEPLOY_LOG": str(tmp_path / "log")}
    words = [old, new, newest, str(EXAMPLES / "deploy.sh"), TARGET, sys.executable, str(SERVER)]
    process = start([*namespace, "bash", "-c", TWICE, "sh", *words], {**where, **QUICK})
    process.wait_for_out("[0]\n", timeout=90)
    client = start([sys.executable, str(EXAMPLES / "resolver_client.py"), TARGET], where)
    client.wait_for_out(new.partition(":")[2])
    process.stdin.write(b"\n")
    process.wait_for_out("end\n", timeout=90)

    assert f"deploy: {old} gets no more calls; end that process\n" in process.err
    assert f"deploy: {new}" not in process.err
    assert process.out.endswith(f"[0]\n{newest}.pid\nlog\nend\n")
    assert not listens(new)
    assert listens(newest)
    client.wait_for_out(newest.partition(":")[2])
    assert client.err == ""


def test_deploy_changes_nothing_when_the_old_instance_does_not_exist(
    etcd: Etcd, deploy: Deploy
) -> None:
    """The address may be wrong."""
    revision = etcd.revision()
    deployed = deploy(TARGET, "1.2.3.4:1", "1.2.3.4:2", "touch", "/never")

    assert deployed.out == "[1]\n"
    assert "deploy: 1.2.3.4:1 is not there to be replaced; nothing was done\n" in deployed.err
    assert etcd.revision() == revision


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (["sh", "-c", "exit 3"], ""),
        pytest.param(["no-such-server"], "command not found", marks=pytest.mark.long),
        pytest.param(["sleep", "60"], "1 of at least 2 endpoints", marks=pytest.mark.long),
    ],
    ids=["it ends", "it is no command", "it does not serve"],
)
def test_deploy_keeps_the_old_instance_when_the_new_one_does_not_start(
    etcd: Etcd, deploy: Deploy, tmp_path: Path, command: list[str], reason: str
) -> None:
    """Its weight does not change either."""
    old, new, log = address(), address(), tmp_path / "log"
    etcd.put(KEYS + old, stored(old))
    deployed = deploy(TARGET, old, new, *command, DEPLOY_TIMEOUT="5s")

    assert deployed.out == "[1]\n"
    assert f"deploy: {new} did not come, see {log}; {old} serves on\n" in deployed.err
    assert reason in deployed.err + log.read_text()
    assert etcd.entry(KEYS + old).version == 1
    assert endpoints(etcd) == {old: old}


@pytest.mark.long
def test_deploy_fails_when_the_old_instance_is_registered_again(
    etcd: Etcd, deploy: Deploy, register: Callable[..., Process]
) -> None:
    """By a process with --on-delete=restore."""
    old, new = address(), address()
    register(old, "--on-delete=restore")
    deployed = deploy(TARGET, old, new, *server(new))

    assert deployed.out == "[1]\n"
    assert f"deploy: {old} is back: its holder restores it" in deployed.err
    assert endpoints(etcd) == {old: old, new: new}


def test_deploy_changes_nothing_without_etcd(deploy: Deploy) -> None:
    """The error is printed."""
    nowhere = {"ETCDNAMING_ENDPOINTS": "127.0.0.1:1", "ETCDNAMING_DIAL_TIMEOUT": "200ms"}
    deployed = deploy(TARGET, "1.2.3.4:1", "1.2.3.4:2", "touch", "/never", **nowhere)

    assert deployed.out == "[1]\n"
    assert "no etcd endpoint reached" in deployed.err
    assert "nothing was done" in deployed.err


def test_deploy_reports_wrong_usage(deploy: Deploy) -> None:
    """With status 2."""
    deployed = deploy(TARGET, "1.2.3.4:1", "1.2.3.4:2")

    assert deployed.out == "[2]\n"
    assert deployed.err == "usage: deploy.sh TARGET OLD NEW COMMAND...\n[2]\n"
