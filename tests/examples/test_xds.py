"""
Run the examples of the xDS bridge, with addresses and paths replaced.

`make lint` and systemd-analyze check their fields. Not tested: what a kubelet and systemd do with
them.
"""

from __future__ import annotations

import re
import shlex
import shutil
import stat
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from harness import READER, Certificates, Etcd, Spawn
from harness.backends import Backends, method
from harness.examples import EXAMPLES, SERVER, replaced
from harness.process import Process
from harness.waiting import wait_until
from harness.xds import CLIENTS, Language, Xds

from etcdnaming.cli.commands.xds_bridge import command
from etcdnaming.cli.parsing import parse_duration
from etcdnaming.sandbox import free_port

MANIFEST = EXAMPLES / "xds" / "bridge.yaml"
UNIT = EXAMPLES / "xds" / "etcdnaming-xds-bridge.service"

NAME, PASSWORD = READER.split(":")


def pod() -> Any:
    """Return the spec of the pods."""
    _, deployment = yaml.safe_load_all(MANIFEST.read_text("utf-8"))
    return deployment["spec"]["template"]["spec"]


def settings(name: str) -> list[str]:
    """Return the values of a setting of the unit; a backslash continues a line."""
    text = UNIT.read_text("utf-8").replace("\\\n", "")
    return re.findall(rf"^{name}=(.*)$", text, re.MULTILINE)


def drain(words: list[str]) -> float:
    """Return the seconds of ``--drain`` in a command line."""
    with command.make_context("xds-bridge", words[2:]) as context:
        return float(context.params["drain"])


@pytest.fixture
def guarded_etcd(auth_etcd: Callable[..., Etcd]) -> Etcd:
    """Return an etcd with a user who may only read below ``foo/``."""
    etcd = auth_etcd()
    etcd.ctl("role", "grant-permission", NAME, "read", "foo/", "--prefix")
    etcd.put("foo/bar/svc/e1", '{"Addr":"10.0.0.1:80"}')
    return etcd


def test_client_in_each_language_calls_the_service(
    guarded_etcd: Etcd,
    start: Callable[..., Process],
    tmp_path: Path,
    language: Language,
) -> None:
    """The server of the container example, found through the bridge of the unit."""
    port, admin = free_port(), free_port()
    server = start([sys.executable, str(SERVER), "--port", str(port)], {})
    guarded_etcd.put("foo/bar/svc/e1", f'{{"Addr":"127.0.0.1:{port}"}}')
    (tmp_path / "password").write_text(f"{PASSWORD}\n")
    socket = f"{tmp_path}/xds.sock"
    [said] = settings("ExecStart")
    env = dict(each.split("=", 1) for each in settings("Environment"))
    places = {"https://etcd.example.com:2379": guarded_etcd.endpoint, "bridge": NAME}
    env = dict(zip(env, replaced([*env.values()], places), strict=True))
    here = {
        "/usr/local/bin/etcdnaming": "etcdnaming",
        "/run/etcdnaming-xds-bridge/xds.sock": socket,
        "18001": str(admin),
        "${CREDENTIALS_DIRECTORY}": str(tmp_path),
    }
    [mask] = settings("UMask")
    shell = ["sh", "-c", f'umask {mask}; exec "$@"', "sh"]
    bridge = start([*shell, *replaced(shlex.split(said), here)], env)
    bridge.wait_for_err("serving 1 service with 1 endpoint below foo", 30)
    # The bridge is a user of its own; to connect takes the permission to write.
    assert stat.S_IMODE(Path(socket).stat().st_mode) == 0o777
    [shown] = re.findall(r"^# +(etcdnaming xds-bootstrap .*) >", UNIT.read_text(), re.MULTILINE)
    words = replaced(shlex.split(shown), {"/run/etcdnaming-xds-bridge/xds.sock": socket})
    file = tmp_path / "xds.json"
    done = start([*words, "-o", str(file)], {})
    assert done.finish().status == 0

    options = ["-calls", "3", "-deadline", "20"]
    target = ["xds:///foo/bar/svc", "10"]
    ordered = [*options, *target] if language.name == "go" else [*target, *options]
    client = start([*language.command(), *ordered], {"GRPC_XDS_BOOTSTRAP": str(file)})

    result = client.finish(60)
    assert result.out.count('"hello world from') == 3 or result.out.count("hello world") == 3, (
        result.out,
        server.err,
    )


def test_python_client_prints_a_readable_line_for_each_call(
    backends: Backends, start: Callable[..., Process]
) -> None:
    """The demo shows it; -json is for programs."""
    backend = backends()
    client = [sys.executable, str(CLIENTS / "python" / "client.py"), backend.addr, "0", "-calls=2"]
    answered = start([*client, "-method", method("Who")], {}).finish()
    failed = start([*client, "-method", method("None")], {}).finish()

    assert re.fullmatch(rf"({re.escape(backend.addr)} \(\d+\.\d ms\)\n){{2}}", answered.out)
    assert (answered.err, failed.out) == ("", "")
    assert re.fullmatch(r"(UNIMPLEMENTED: .*\(\d+\.\d ms\)\n){2}", failed.err)


def test_bridge_pod_is_ready_when_it_serves_by_tls(
    guarded_etcd: Etcd,
    certificates: Certificates,
    backends: Backends,
    start: Callable[..., Process],
    spawn: Spawn,
    tmp_path: Path,
) -> None:
    """With a user who may only read below the prefix."""
    backend = backends()
    guarded_etcd.put("foo/bar/svc/e1", f'{{"Addr":"{backend.addr}"}}')
    [container] = pod()["containers"]
    port, admin = free_port(), free_port()
    for name, content in (
        ("password", PASSWORD.encode()),
        ("tls.crt", certificates.server.cert.read_bytes()),
        ("tls.key", certificates.server.key.read_bytes()),
    ):
        (tmp_path / name).write_bytes(content)
    here = {
        "/run/secrets/tls": str(tmp_path),
        "/run/secrets/etcd": str(tmp_path),
        "0.0.0.0:18000": f"127.0.0.1:{port}",
        "0.0.0.0:18001": f"127.0.0.1:{admin}",
    }
    known = {each["name"]: each["value"] for each in container["env"]}
    assert {*known} == {"ETCDNAMING_ENDPOINTS", "ETCDNAMING_CACERT", "ETCDNAMING_USER"}
    env = {"ETCDNAMING_ENDPOINTS": guarded_etcd.endpoint, "ETCDNAMING_USER": NAME}
    bridge = start(replaced(container["command"], here), env)
    for probe in ("readinessProbe", "livenessProbe"):
        request = container[probe]["httpGet"]
        assert request["port"] == "admin"
        wait_until(partial(is_ok, admin, request["path"]), 30)

    xds = Xds(spawn, tmp_path)
    try:
        ca = str(certificates.ca)
        caller = xds.call(Language("python"), f"127.0.0.1:{port}", "xds:///foo/bar/svc", ca=ca)
        caller.wait_for(backend.addr)
    finally:
        xds.close()
    assert "Warning" not in bridge.err


def is_ok(port: int, path: str) -> bool:
    """Return whether a page answers with success."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return bool(answer.status == 200)
    except urllib.error.HTTPError as exc:
        exc.close()
        return False
    except OSError:
        return False


def test_bridge_grace_period_is_longer_than_the_drain() -> None:
    """Kubernetes and systemd send SIGKILL after it."""
    [container] = pod()["containers"]
    assert pod()["terminationGracePeriodSeconds"] > drain(
        replaced(container["command"], {"--tls-cert=/run/secrets/tls": "--tls-cert="})
    )
    [said], [grace] = settings("ExecStart"), settings("TimeoutStopSec")
    assert parse_duration(grace) > drain(shlex.split(said))


def test_bridge_pod_mounts_every_file_it_names() -> None:
    """The root file system is read-only."""
    [container] = pod()["containers"]
    mounts = {each["mountPath"]: each["name"] for each in container["volumeMounts"]}
    volumes = {each["name"]: each["secret"]["secretName"] for each in pod()["volumes"]}
    assert {volumes[name] for name in mounts.values()} == {"etcd-bridge", "xds-bridge"}
    named = re.findall(r"(/run/secrets/\w+)/", " ".join(container["command"]))
    assert {*named} == {*mounts}


def test_bridge_unit_has_only_settings_that_systemd_knows(tmp_path: Path) -> None:
    """systemd-analyze prints a line for each unknown one."""
    if not (analyze := shutil.which("systemd-analyze")):
        pytest.skip("no systemd here")
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/usr/local/bin/etcdnaming", sys.executable))

    done = subprocess.run([analyze, "verify", unit], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
