"""The one way out: all of it arrives, or an OSError says that it did not."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest
from cli.output.samples import TESTS

from etcdnaming.cli.output.stdout import write

PRINT = "import sys; from cli.output.samples import *; printer('simple').listing(LISTING, {})"


class BareFile:
    """A file without a buffer, which takes no more than *most* bytes at a time."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.taken: list[bytes] = []

    def write(self, data: memoryview) -> int:
        """Take what it can."""
        self.taken.append(bytes(data[: self._most]))
        return len(self.taken[-1])


class Unbuffered:
    """What `sys.stdout` is under ``PYTHONUNBUFFERED``: its buffer is the bare file."""

    def __init__(self, most: int = sys.maxsize) -> None:
        self.buffer = BareFile(most)


def test_writes_all_to_a_file_that_takes_little(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a buffer nothing else retries."""
    monkeypatch.setattr(sys, "stdout", stdout := Unbuffered(most=3))

    write(["one\n", "zwö\n"])

    assert b"".join(stdout.buffer.taken).decode() == "one\nzwö\n"


def test_writes_while_more_is_still_to_come(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred thousand lines are never in memory all at once, nor written one by one."""
    monkeypatch.setattr(sys, "stdout", stdout := Unbuffered())
    monkeypatch.setattr("etcdnaming.cli.output.stdout.BATCH", 5_000)
    written_meanwhile: list[int] = []

    def lines() -> Iterator[str]:
        for number in range(10_000):
            written_meanwhile.append(len(stdout.buffer.taken))
            yield f"{number}\n"

    write(lines())

    assert b"".join(stdout.buffer.taken) == b"".join(b"%d\n" % n for n in range(10_000))
    assert len(stdout.buffer.taken) == 10
    assert written_meanwhile[-1] == 9


def test_a_closed_stdout_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python has no `sys.stdout` then."""
    monkeypatch.setattr(sys, "stdout", None)

    with pytest.raises(OSError, match="closed"):
        write(["lost\n"])


def test_a_test_can_capture_it(capfd: pytest.CaptureFixture[str]) -> None:
    """As it captures all that is printed."""
    write(["one\n"])
    sys.stdout.flush()

    assert capfd.readouterr().out == "one\n"


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_disk_is_an_error(unbuffered: str) -> None:
    """Now, or when the caller flushes."""
    with Path("/dev/full").open("wb") as full:
        done = _python(f"{PRINT}; sys.stdout.flush()", full, PYTHONUNBUFFERED=unbuffered)

    assert "OSError: [Errno 28]" in done.stderr


def test_writes_utf8_whatever_the_locale() -> None:
    """Keys and JSON are."""
    done = _python(
        "from cli.output.samples import *; printer('json').version({'ü': '世'})",
        subprocess.PIPE,
        PYTHONIOENCODING="latin-1",
    )

    assert json.loads(done.stdout) == {"ü": "世"}


@pytest.mark.parametrize("name", ["fields", "json", "simple"])
def test_only_the_table_brings_rich(name: str) -> None:
    """Nor do the others bring grpc, or what only reading needs."""
    done = _python(
        f"import sys; from etcdnaming.cli.output.printers import printer; printer({name!r}); "
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
