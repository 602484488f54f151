"""Go's naming client, in each version that has a module in ``go/``."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness import Etcd
from harness.go import MODULES, GoClient, build


@pytest.fixture(
    scope="session",
    params=[
        pytest.param(version, marks=pytest.mark.against(f"Go's client/v3 {version}"))
        for version in MODULES
    ],
)
def go_programs(request: pytest.FixtureRequest) -> Path:
    """Return the directory of the programs of ``tests/interop/go``, for one client version."""
    return build(request.param)


@pytest.fixture
def go(go_programs: Path, etcd: Etcd) -> GoClient:
    """Return Go's client of ``etcd``."""
    return GoClient(go_programs, etcd.endpoint)
