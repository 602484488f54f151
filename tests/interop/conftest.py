"""Go's naming client, in every version there is a module for."""

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
    """Where the programs of ``tests/interop/go`` are, built against one version of the client."""
    return build(request.param)


@pytest.fixture
def go(go_programs: Path, etcd: Etcd) -> GoClient:
    """Go's client of ``etcd``."""
    return GoClient(go_programs, etcd.endpoint)
