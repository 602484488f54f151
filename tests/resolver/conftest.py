"""Fixtures of the tests of channels."""

from __future__ import annotations

import pytest

from etcdnaming.xds.embedded import process


@pytest.fixture(autouse=True)
def _new_slot() -> None:
    """Let no service of the test share a target of gRPC with one of an earlier test."""
    for slot in process.services._slots.values():
        slot.full = True
