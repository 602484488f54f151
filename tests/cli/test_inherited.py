"""The descriptors and the environment that CMD inherits."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from harness import Etcd, Shell
from harness.environment import pointing_at
from harness.process import command
from harness.registering import REGISTER

from etcdnaming import Client, insecure_channel
from etcdnaming.xds.embedded.bootstrap import VARIABLE

WRAPPERS = {
    "lease-register": REGISTER,
    "watch": ("watch", "svc", "--timeout", "3s"),
    "sandbox": ("sandbox",),
}

wrappers = pytest.mark.parametrize("wrapper", WRAPPERS)

# The variables that each command is documented to change for CMD.
OURS = {
    "lease-register": ("NOTIFY_SOCKET", "WATCHDOG_"),
    "watch": ("ETCD_WATCH_", "ETCDNAMING_WATCH_"),
    "sandbox": ("ETCDCTL_", "ETCDNAMING_"),
}


@wrappers
def test_command_inherits_the_descriptors_of_the_caller(shell: Shell, wrapper: str) -> None:
    """The test passes one by a process substitution of the shell, and one by number."""
    words = " ".join(WRAPPERS[wrapper])
    script = f"exec 9> >(cat); etcdnaming {words} -- sh -c 'cat $0; echo to 9 >&9' <(echo given)"

    result = shell(f"({script}) | cat")

    assert sorted(result.out.splitlines()) == ["given", "to 9"]


@wrappers
@pytest.mark.parametrize(
    "locale",
    [
        {},
        {"LC_CTYPE": ""},
        {"LC_CTYPE": "C"},
        {"LC_CTYPE": "C.UTF-8"},
        {"LC_CTYPE": "xx_XX"},
        {"LC_ALL": "C", "LC_CTYPE": "C"},
        {"LANG": "C.UTF-8"},
    ],
    ids=str,
)
def test_command_inherits_the_environment_of_the_caller(
    etcd: Etcd, wrapper: str, locale: Mapping[str, str]
) -> None:
    """In a C locale, as in containers, Python adds LC_CTYPE to its own environment."""
    base = pointing_at(etcd.endpoint, dict.fromkeys(("LANG", "LC_ALL", "LC_CTYPE")))
    systemd = {"NOTIFY_SOCKET": "@nobody", "WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"}
    env = {**base, **locale, **systemd, "ODD": "\udcff=\n", VARIABLE: '{"xds_servers":[]}'}

    done = subprocess.run(
        [*command(*WRAPPERS[wrapper]), "--", "env", "-0"],
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=50,
        check=False,
    )

    seen = dict(each.split("=", 1) for each in os.fsdecode(done.stdout).split("\0")[:-1])
    ours = OURS[wrapper]
    assert {name: value for name, value in seen.items() if not name.startswith(ours)} == {
        name: value for name, value in env.items() if not name.startswith(ours)
    }
    assert wrapper != "lease-register" or not systemd.keys() & seen.keys()


@wrappers
def test_command_does_not_inherit_the_bootstrap_of_the_callers_channel(
    etcd: Etcd, client: Client, wrapper: str, tmp_path: Path
) -> None:
    """The variable by which gRPC finds the server inside the caller; a check has it neither."""
    # The check runs again and again: the file must not be empty meanwhile.
    new, seen = tmp_path / "new", tmp_path / "check"
    shows = f"sh -c 'env > {new} && mv {new} {seen}'"
    check = ("--check", f"exec:{shows}", "--start", "now") if wrapper == "lease-register" else ()
    with insecure_channel("svc", client):
        env = pointing_at(etcd.endpoint, {})
    assert VARIABLE in env

    wait = f"until [ -s {seen} ]; do sleep 0.01; done; env" if check else "env"
    done = subprocess.run(
        [*command(*WRAPPERS[wrapper], *check), "--", "sh", "-c", wait],
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )

    assert "PATH=" in done.stdout
    assert VARIABLE not in done.stdout
    assert not check or ("PATH=" in seen.read_text() and VARIABLE not in seen.read_text())
