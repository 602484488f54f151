"""The descriptors and the environment that CMD inherits."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping

import pytest
from harness import Etcd, Shell
from harness.environment import pointing_at
from harness.process import command
from harness.registering import REGISTER

WRAPPERS = {
    "lease-register": REGISTER,
    "watch": ("watch", "svc", "--timeout", "1s"),
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
    env = {**base, **locale, **systemd, "ODD": "\udcff=\n"}

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
