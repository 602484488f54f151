"""Files that are read again when they are needed, and pipes that can be read only once."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import AT_ONCE

from etcdnaming.etcd.deadline import within
from etcdnaming.etcd.security import File

SOON = 0.2
"""Seconds that a file may take, where it is to fail."""


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    """A FIFO without a writer."""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    return path


@pytest.fixture
def pipe() -> Iterator[tuple[str, int]]:
    """The read end of a pipe as a path, like a shell's ``<(…)``, and the write end."""
    reader, writer = os.pipe()
    yield f"/dev/fd/{reader}", writer
    os.close(reader)


def test_regular_file_is_read_each_time(tmp_path: Path) -> None:
    """Its content may be replaced while a program runs."""
    path = tmp_path / "file"
    file = File(str(path), SOON)
    for content in (b"one", b"", b"another one"):
        path.write_bytes(content)
        assert file.read() == content


def test_pipe_is_read_once_and_its_content_kept(pipe: tuple[str, int]) -> None:
    """A second read of the pipe would return nothing."""
    name, writer = pipe
    os.write(writer, b"content")
    os.close(writer)
    file = File(name, 30)

    assert [file.read(), file.read()] == [b"content", b"content"]


def test_fifo_is_read_to_its_end_when_the_writer_is_late(fifo: Path) -> None:
    """The writer opens the FIFO after the reader, and writes in several pieces."""

    def write() -> None:
        time.sleep(0.1)  # so that the reader opens the FIFO before the writer
        with fifo.open("wb", buffering=0) as writer:
            for _ in range(3):
                writer.write(b"x" * 100_000)

    thread = threading.Thread(target=write)
    thread.start()
    file = File(str(fifo), 30)

    assert file.read() == file.read() == b"x" * 300_000
    thread.join()


def test_fifo_without_a_writer_fails_within_the_timeout(fifo: Path) -> None:
    """A plain open() would block forever."""
    start = time.monotonic()
    with pytest.raises(OSError, match=r"not read to its end within 0\.2s"):
        File(str(fifo), SOON).read()
    assert time.monotonic() - start < AT_ONCE


def test_pipe_that_does_not_end_fails_within_the_timeout(pipe: tuple[str, int]) -> None:
    """A part of a certificate is useless."""
    name, writer = pipe
    os.write(writer, b"half")
    with pytest.raises(OSError, match="not read to its end"):
        File(name, SOON).read()
    os.close(writer)


def test_several_pipes_share_one_timeout(fifo: Path) -> None:
    """The limit is the deadline of the operation that reads them."""
    with within(SOON), pytest.raises(OSError, match=r"within 0\.2s"):
        File(str(fifo), 600).read()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("/nowhere", "No such file"),
        ("/", "Is a directory"),
        ("/dev/zero", "larger than 16 MiB"),
        ("", "No such file"),
    ],
)
def test_unreadable_file_is_an_error_with_the_reason(name: str, reason: str) -> None:
    """The reason is the system's message or our own."""
    with pytest.raises(OSError, match=reason):
        File(name, 30).read()


def test_byte_order_mark_is_removed(tmp_path: Path) -> None:
    """Windows editors write it, and it is not part of a password."""
    path = tmp_path / "file"
    path.write_bytes(b"\xef\xbb\xbfpassword")
    assert File(str(path), SOON).read() == b"password"
