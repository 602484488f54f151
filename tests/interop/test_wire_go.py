"""Go's naming client and this package read and write the same values."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness.go import has_go
from hypothesis import given, settings
from wire_documents import as_go_holds_it, metadata, texts, values

from etcdnaming import wire
from etcdnaming.errors import InvalidValueError
from etcdnaming.model import JSON, Endpoint

ROOT = Path(__file__).parent.parent.parent

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(not has_go(), reason="needs Go"),
    pytest.mark.timeout(600),  # the first build of Go's client takes a minute or more
]

thorough = settings(max_examples=500)


class Go:
    """The running program of ``tests/interop/go/vectors``, which calls Go's client."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def writes(self, endpoint: Endpoint) -> bytes:
        """Return the value that Go stores for *endpoint*."""
        # The standard library knows nothing of Go's notation: it only has to be JSON.
        answer = self._ask(addr=endpoint.addr, metadata=json.dumps(endpoint.metadata))
        return base64.b64decode(answer["value"])

    def reads(self, value: bytes) -> tuple[str, str] | None:
        """Return address and metadata as Go lists them, or None if it skips *value*."""
        answer = self._ask(value=base64.b64encode(value).decode())
        return None if answer.get("skipped") else (answer["addr"], answer["metadata"])

    def _ask(self, **question: str) -> dict[str, Any]:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer


@pytest.fixture(scope="module")
def go(go_programs: Path) -> Iterator[Go]:
    """Go's client, running."""
    pipe = subprocess.PIPE
    program = go_programs / "vectors"
    with subprocess.Popen([program], stdin=pipe, stdout=pipe, encoding="utf-8") as process:
        yield Go(process)


def decoded(value: bytes) -> tuple[str, str] | None:
    """Return what `Go.reads` should return."""
    try:
        endpoint = wire.decode(value)
    except InvalidValueError:
        return None
    return endpoint.addr, wire.dumps(as_go_holds_it(endpoint.metadata))


@thorough
@given(addr=texts, metadata=metadata)
def test_encode_writes_the_bytes_that_go_writes(go: Go, addr: str, metadata: JSON) -> None:
    """An unchanged endpoint written by the other client is no change."""
    endpoint = Endpoint(addr, metadata)
    assert wire.encode(endpoint) == go.writes(endpoint)


@thorough
@given(addr=texts, metadata=metadata)
def test_go_reads_what_encode_wrote(go: Go, addr: str, metadata: JSON) -> None:
    """With floats for all numbers, as always in Go."""
    value = wire.encode(Endpoint(addr, metadata))
    assert go.reads(value) == (addr, wire.dumps(as_go_holds_it(metadata)))


@settings(thorough, max_examples=1500)
@given(value=values)
def test_go_accepts_and_refuses_the_same_values_as_decode(go: Go, value: bytes) -> None:
    """Also unusual ones: otherwise one client lists an endpoint that the other skips."""
    assert decoded(value) == go.reads(value)


def test_golden_vectors_are_current(tmp_path: Path) -> None:
    """``python tools/vectors.py`` would change nothing."""
    kept = sorted((ROOT / "tests" / "data").glob("wire_*.jsonl"))
    for file in kept:
        shutil.copy(file, tmp_path)
    subprocess.run([sys.executable, ROOT / "tools" / "vectors.py", tmp_path], check=True)
    assert [
        file.name for file in kept if file.read_text() != (tmp_path / file.name).read_text()
    ] == []
