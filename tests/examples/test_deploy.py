"""deploy.sh, on real instances: each run is a world of its own, in which all ends with it."""

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
from harness.watcher import stored

TARGET = KEYS.rstrip("/")

# The script, its status, and a pause in which what it has started can be looked at.
WORLD = 'bash "$@"; echo "[$?]" | tee /dev/stderr; read -r _'

QUICK = {"DEPLOY_TIMEOUT": "30s", "DEPLOY_DRAIN": "1s"}

Deploy = Callable[..., Process]


def address() -> str:
    """Return one that is free."""
    return f"127.0.0.1:{free_port()}"


def server(addr: str) -> list[str]:
    """Return what serves there."""
    return [sys.executable, str(SERVER), "--port", addr.rpartition(":")[2]]


def values(etcd: Etcd, key: str, revisions: Sequence[int]) -> list[str]:
    """Return what *key* was at these revisions, without repetitions."""
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
    """``register(addr, *flags)``: an instance that serves there, and can be found."""

    def register(addr: str, *flags: str) -> Process:
        words = ["etcdnaming", "lease-register", KEYS, f"--addr={addr}", f"--check=tcp://{addr}"]
        where = {"ETCDNAMING_ENDPOINTS": etcd.endpoint}
        process = start([*words, *flags, "--", *server(addr)], where)
        wait_until(lambda: addr in endpoints(etcd), 20)
        return process

    return register


def test_one_instance_is_replaced_without_a_failed_call(
    etcd: Etcd, deploy: Deploy, register: Callable[..., Process], start: Callable[..., Process]
) -> None:
    """The old one gets weight 0 before it goes, the new one stays; a client has noticed nothing."""
    old, new, before = address(), address(), etcd.revision()
    register(old, "--on-delete=leave")
    where = {"ETCDNAMING_ENDPOINTS": etcd.endpoint}
    client = start([sys.executable, str(EXAMPLES / "resolver_client.py"), TARGET], where)
    client.wait_for_out(old.partition(":")[2])

    deployed = deploy(TARGET, old, new, *server(new))

    assert deployed.out == f"{KEYS}{new}\t{new}\tnull\n[0]\n"
    assert endpoints(etcd) == {new: new}
    assert etcd.lease_of(KEYS + new)
    drained = f'{{"Op":0,"Addr":"{old}","Metadata":{{"weight":0}}}}'
    was = values(etcd, KEYS + old, range(before + 1, etcd.revision() + 1))
    assert was == [stored(old), drained, ""]
    client.wait_for_out(new.partition(":")[2])
    assert client.err == ""


def test_nothing_is_done_if_there_is_nothing_to_replace(etcd: Etcd, deploy: Deploy) -> None:
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
def test_old_one_serves_on_if_the_new_one_does_not_come(
    etcd: Etcd, deploy: Deploy, tmp_path: Path, command: list[str], reason: str
) -> None:
    """It is not even drained."""
    old, new, log = address(), address(), tmp_path / "log"
    etcd.put(KEYS + old, stored(old))
    deployed = deploy(TARGET, old, new, *command, DEPLOY_TIMEOUT="5s")

    assert deployed.out == "[1]\n"
    assert f"deploy: {new} did not come, see {log}; {old} serves on\n" in deployed.err
    assert reason in deployed.err + log.read_text()
    assert etcd.entry(KEYS + old).version == 1
    assert endpoints(etcd) == {old: old}


@pytest.mark.long
def test_an_old_one_that_comes_back_is_no_success(
    etcd: Etcd, deploy: Deploy, register: Callable[..., Process]
) -> None:
    """Its holder was not told to leave it."""
    old, new = address(), address()
    register(old, "--on-delete=restore")
    deployed = deploy(TARGET, old, new, *server(new))

    assert deployed.out == "[1]\n"
    assert f"deploy: {old} is back: whoever holds it restores it" in deployed.err
    assert endpoints(etcd) == {old: old, new: new}


def test_without_etcd_nothing_is_done(deploy: Deploy) -> None:
    """And that is said."""
    nowhere = {"ETCDNAMING_ENDPOINTS": "127.0.0.1:1", "ETCDNAMING_DIAL_TIMEOUT": "200ms"}
    deployed = deploy(TARGET, "1.2.3.4:1", "1.2.3.4:2", "touch", "/never", **nowhere)

    assert deployed.out == "[1]\n"
    assert "no etcd endpoint reached" in deployed.err
    assert "nothing was done" in deployed.err


def test_wrong_usage_is_told(deploy: Deploy) -> None:
    """With its own status."""
    deployed = deploy(TARGET, "1.2.3.4:1", "1.2.3.4:2")

    assert deployed.out == "[2]\n"
    assert deployed.err == "usage: deploy.sh TARGET OLD NEW COMMAND...\n[2]\n"
