"""`etcdnaming version` and `--version`."""

from __future__ import annotations

import platform
from importlib.metadata import version

import pytest
from harness import Etcd, Result, Run

from etcdnaming import __version__


def test_version_option_prints_the_version_of_etcdnaming(run: Run) -> None:
    """The output is one line."""
    assert run("--version") == Result(0, f"etcdnaming {__version__}\n", "")


def test_version_command_prints_the_versions_of_dependencies_and_etcd(run: Run, etcd: Etcd) -> None:
    """Bug reports need them."""
    member = etcd.ctl_json("endpoint", "status")[0]["Status"]
    assert run("version", "-w", "json").json() == {
        "etcdnaming": __version__,
        "python": platform.python_version(),
        **{name: version(name) for name in ("grpcio", "protobuf", "click", "rich")},
        "etcd": member["version"],
    }


def test_version_command_asks_etcd_without_a_login(run: Run, etcd: Etcd) -> None:
    """It neither prompts for the password of a user nor fails because of a wrong one."""
    version = etcd.ctl_json("endpoint", "status")[0]["Status"]["version"]

    for user in ("nobody", "nobody:wrong"):
        assert run("version", "-w", "json", "--user", user).json()["etcd"] == version


@pytest.mark.parametrize(
    "settings",
    [
        {"ETCDNAMING_ENDPOINTS": "nonsense", "ETCDCTL_COMMAND_TIMEOUT": "bad"},
        {"ETCDCTL_CACERT": "/missing"},
        {"ETCDNAMING_ENDPOINTS": "192.0.2.1:2379", "ETCDCTL_DIAL_TIMEOUT": "1h"},
    ],
)
def test_version_command_ignores_the_settings(run: Run, settings: dict[str, str]) -> None:
    """Invalid settings are not reported, and no etcd is needed: its version is "-"."""
    result = run("version", "-w", "json", env=settings)

    assert (result.status, result.err) == (0, "")
    assert result.json() == {**result.json(), "etcdnaming": __version__, "etcd": "-"}
