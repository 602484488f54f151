"""
Run pod.yaml without a cluster, as PID 1, with its variables replaced.

`make lint` checks its fields against the schema of Kubernetes. Not tested: what a kubelet does with
them, and the permissions of mounted files.
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from harness import Certificates, Etcd, wait_until
from harness.auth import SERVER_FLAGS
from harness.examples import (
    EXAMPLES,
    SERVER,
    endpoints,
    leave_in_order,
    passes,
    replaced,
    seconds_to_stop,
)
from harness.pids import child_of
from harness.ports import free_port
from harness.process import Process

FILE = EXAMPLES / "kubernetes" / "pod.yaml"

SECRET = "/run/secrets/etcd"  # noqa: S105 - a directory


def pod() -> Any:
    """Return the spec of the pods."""
    return yaml.safe_load(FILE.read_text("utf-8"))["spec"]["template"]["spec"]


def container() -> Any:
    """Return the only container."""
    [container] = pod()["containers"]
    return container


def variables(status: dict[str, str]) -> dict[str, str]:
    """Return the environment of the container; *status* has the fields Kubernetes sets."""
    return {
        each["name"]: each.get("value") or status[each["valueFrom"]["fieldRef"]["fieldPath"]]
        for each in container()["env"]
    }


def words(known: dict[str, str]) -> list[str]:
    """Return the command line, with ``$(NAME)`` replaced as Kubernetes does."""
    line = [*container()["command"], *container()["args"]]
    return [re.sub(r"\$\((\w+)\)", lambda name: known[name[1]], word) for word in line]


@pytest.fixture
def guarded_etcd(secure_etcd: Callable[..., Etcd]) -> Etcd:
    """Return an etcd with TLS, and with the user and role that the file's comments create."""
    etcd = secure_etcd(*SERVER_FLAGS)
    etcd.ctl("user", "add", "root:root-secret")
    etcd.ctl("user", "grant-role", "root", "root")
    lines = re.findall(r"^# +(etcdctl .*)", FILE.read_text("utf-8"), re.MULTILINE)
    for line in " && ".join(lines).replace("user add svc", "user add svc:secret").split(" && "):
        etcd.ctl(*line.split()[1:])
    etcd.ctl("auth", "enable")
    etcd.flags = (*etcd.flags, "--user=root:root-secret")
    return etcd


def test_pod_is_registered_while_it_is_ready(
    guarded_etcd: Etcd,
    certificates: Certificates,
    namespace: list[str],
    start: Callable[..., Process],
    tmp_path: Path,
) -> None:
    """With its name and address, by a user who has no other permission."""
    port = str(free_port())
    secret, ready = tmp_path / "secret", tmp_path / "ready"
    secret.mkdir()
    (secret / "password").write_text("secret")
    (secret / "ca.crt").write_bytes(certificates.ca.read_bytes())
    name, addr = "svc-7d4f-x2x", f"127.0.0.1:{port}"
    known = variables({"metadata.name": name, "status.podIP": "127.0.0.1"})
    places = {SECRET: str(secret), "etcd.example.com:2379": guarded_etcd.endpoint}
    env = dict(zip(known, replaced([*known.values()], places), strict=True))
    here = {"50051": port, "/app/server.py": str(SERVER), SECRET: str(secret)}
    tmp = {"/tmp/ready": str(ready)}  # noqa: S108 - a container has its own
    probe = replaced(container()["readinessProbe"]["exec"]["command"], tmp)

    process = start([*namespace, *replaced(words(env), {**here, **tmp})], env)
    wait_until(partial(passes, probe), 20)
    assert endpoints(guarded_etcd) == {name: addr}

    stop = partial(os.kill, child_of(process.pid), signal.SIGTERM)
    leave_in_order(process, stop, guarded_etcd, name, addr)
    assert not passes(probe)
    assert "Warning" not in process.err


def test_pod_grace_period_is_longer_than_the_shutdown() -> None:
    """Kubernetes sends SIGKILL after it."""
    known = variables({"metadata.name": "svc", "status.podIP": "10.0.0.1"})
    assert pod()["terminationGracePeriodSeconds"] > seconds_to_stop(words(known))


def test_pod_mounts_every_file_it_names() -> None:
    """The root file system is read-only."""
    mounts = {each["mountPath"]: each["name"] for each in container()["volumeMounts"]}
    assert mounts[SECRET] == "etcd"
    assert mounts["/tmp"] == "tmp"  # noqa: S108
    volumes = {each["name"]: each for each in pod()["volumes"]}
    assert volumes["etcd"]["secret"] == {"secretName": "etcd"}
    assert volumes["tmp"]["emptyDir"] == {}
