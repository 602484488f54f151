"""Writing to stdout: all of it is written, or an OSError is raised."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest
from cli.output.samples import TESTS

from etcdnaming.cli.output.streams import write

PRINT = "import sys; from cli.output.samples import *; printer('simple').listing(LISTING, {})"


class BareFile:
    """An unbuffered file whose `write` accepts at most *most* bytes."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.taken: list[bytes] = []

    def write(self, data: memoryview) -> int:
        """Record the bytes that are accepted, and return their number."""
        self.taken.append(bytes(data[: self._most]))
        return len(self.taken[-1])


class Unbuffered:
    """A stand-in for `sys.stdout` under ``PYTHONUNBUFFERED``, whose buffer is the bare file."""

    def __init__(self, most: int = sys.maxsize) -> None:
        self.buffer = BareFile(most)


def test_write_retries_when_stdout_accepts_only_a_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a buffer, nothing else retries."""
    monkeypatch.setattr(sys, "stdout", stdout := Unbuffered(most=3))

    write(["one\n", "zwö\n"])

    assert b"".join(stdout.buffer.taken).decode() == "one\nzwö\n"


def test_write_writes_in_batches_when_there_are_many_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lines are neither all in memory at once nor written one by one."""
    monkeypatch.setattr(sys, "stdout", stdout := Unbuffered())
    monkeypatch.setattr("etcdnaming.cli.output.streams.BATCH", 5_000)
    written_meanwhile: list[int] = []

    def lines() -> Iterator[str]:
        for number in range(10_000):
            written_meanwhile.append(len(stdout.buffer.taken))
            yield f"{number}\n"

    write(lines())

    assert b"".join(stdout.buffer.taken) == b"".join(b"%d\n" % n for n in range(10_000))
    assert len(stdout.buffer.taken) == 10
    assert written_meanwhile[-1] == 9


def test_write_fails_when_stdout_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """In this case `sys.stdout` is None."""
    monkeypatch.setattr(sys, "stdout", None)

    with pytest.raises(OSError, match="closed"):
        write(["lost\n"])


def test_write_can_be_captured_by_pytest(capfd: pytest.CaptureFixture[str]) -> None:
    """The capture has what was written once stdout is flushed."""
    write(["one\n"])
    sys.stdout.flush()

    assert capfd.readouterr().out == "one\n"


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_write_fails_when_the_disk_is_full(unbuffered: str) -> None:
    """The error is raised by the write, or by the caller's flush."""
    with Path("/dev/full").open("wb") as full:
        done = _python(f"{PRINT}; sys.stdout.flush()", full, PYTHONUNBUFFERED=unbuffered)

    assert "OSError: [Errno 28]" in done.stderr


def test_write_encodes_as_utf8_in_any_locale() -> None:
    """Keys and JSON are UTF-8."""
    done = _python(
        "from cli.output.samples import *; printer('json').version({'ü': '世'})",
        subprocess.PIPE,
        PYTHONIOENCODING="latin-1",
    )

    assert json.loads(done.stdout) == {"ü": "世"}


@pytest.mark.parametrize("name", ["fields", "json", "simple"])
def test_rich_is_not_imported_for_formats_other_than_table(name: str) -> None:
    """Neither is grpc, nor a module that only parsing needs."""
    done = _python(
        f"import sys; from etcdnaming.cli.output import printer; printer({name!r}); "
        "print({'rich', 'grpc', 'google', 'msgspec', 'asyncio'} & set(sys.modules))",
        subprocess.PIPE,
    )

    assert done.stdout == "set()\n"


def _python(
    program: str, stdout: int | IO[bytes], **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program],
        stdout=stdout,
        stderr=subprocess.PIPE,
        env={"PYTHONPATH": str(TESTS), **environment},
        check=False,
        encoding="utf-8",
    )
