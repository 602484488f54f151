"""`etcdnaming version` and `--version`."""

from __future__ import annotations

import platform
from importlib.metadata import version

from harness import Result, Run

from etcdnaming import __version__


def test_the_option_names_ours(run: Run) -> None:
    """In one line."""
    assert run("--version") == Result(0, f"etcdnaming {__version__}\n", "")


def test_the_command_names_what_we_rest_on_too(run: Run) -> None:
    """For reports of mistakes."""
    assert run("version", "-w", "json").json() == {
        "etcdnaming": __version__,
        "python": platform.python_version(),
        **{name: version(name) for name in ("grpcio", "protobuf", "click", "rich")},
    }


def test_needs_no_etcd_and_no_settings(run: Run) -> None:
    """What is wrong with them is not asked for."""
    env = {"ETCDNAMING_ENDPOINTS": "nonsense", "ETCDCTL_COMMAND_TIMEOUT": "bad"}

    assert run("version", env=env).status == 0
