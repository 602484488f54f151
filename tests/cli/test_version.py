"""`etcdnaming version` and `--version`."""

from __future__ import annotations

import platform
from importlib.metadata import version

from harness import Result, Run

from etcdnaming import __version__


def test_version_option_prints_the_version_of_etcdnaming(run: Run) -> None:
    """The output is one line."""
    assert run("--version") == Result(0, f"etcdnaming {__version__}\n", "")


def test_version_command_prints_the_versions_of_dependencies(run: Run) -> None:
    """Bug reports need them."""
    assert run("version", "-w", "json").json() == {
        "etcdnaming": __version__,
        "python": platform.python_version(),
        **{name: version(name) for name in ("grpcio", "protobuf", "click", "rich")},
    }


def test_version_command_ignores_the_settings(run: Run) -> None:
    """Invalid settings are not reported, and no etcd is needed."""
    env = {"ETCDNAMING_ENDPOINTS": "nonsense", "ETCDCTL_COMMAND_TIMEOUT": "bad"}

    assert run("version", env=env).status == 0
