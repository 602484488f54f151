"""Fixtures for the tests of examples/."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import pytest
from harness.examples import environment
from harness.process import Process
from harness.xds import Language, languages


@pytest.fixture(params=languages())
def language(request: pytest.FixtureRequest) -> Language:
    """A language whose client is built; Python is in the default run, the others are marked."""
    found: Language = request.param
    found.command()
    return found


@pytest.fixture
def start() -> Iterator[Callable[..., Process]]:
    """``start(words, variables)``: run a command until the end of the test."""
    started: list[Process] = []

    def start(words: Sequence[str], variables: Mapping[str, str]) -> Process:
        started.append(Process(words, environment(variables)))
        return started[-1]

    yield start
    for process in started:
        process.close()
