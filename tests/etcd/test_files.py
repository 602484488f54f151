"""Files that are read again and again, and what can be read only once."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from etcdnaming.etcd.deadline import within
from etcdnaming.etcd.files import File

SOON = 0.2
"""Seconds that a file may take, where it is to fail."""


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    """A fifo without a writer."""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    return path


@pytest.fixture
def pipe() -> Iterator[tuple[str, int]]:
    """What a shell makes of ``<(…)``: the name of a pipe's end, and the other end."""
    reader, writer = os.pipe()
    yield f"/dev/fd/{reader}", writer
    os.close(reader)


def test_regular_file_is_read_each_time(tmp_path: Path) -> None:
    """What is in it is replaced while a program runs."""
    path = tmp_path / "file"
    file = File(str(path), SOON)
    for content in (b"one", b"", b"another one"):
        path.write_bytes(content)
        assert file.read() == content


def test_pipe_is_read_once_and_its_content_kept(pipe: tuple[str, int]) -> None:
    """A second reading would find it empty."""
    name, writer = pipe
    os.write(writer, b"content")
    os.close(writer)
    file = File(name, 30)

    assert [file.read(), file.read()] == [b"content", b"content"]


def test_fifo_waits_for_its_writer_and_for_all_that_is_written(fifo: Path) -> None:
    """Which comes later, and in pieces."""

    def write() -> None:
        time.sleep(0.1)  # the reader is to be there before the writer
        with fifo.open("wb", buffering=0) as writer:
            for _ in range(3):
                writer.write(b"x" * 100_000)

    thread = threading.Thread(target=write)
    thread.start()
    file = File(str(fifo), 30)

    assert file.read() == file.read() == b"x" * 300_000
    thread.join()


def test_fifo_without_a_writer_fails_within_the_timeout(fifo: Path) -> None:
    """open() would block for ever."""
    start = time.monotonic()
    with pytest.raises(OSError, match=r"not read to its end within 0\.2s"):
        File(str(fifo), SOON).read()
    assert time.monotonic() - start < 10 * SOON


def test_pipe_that_does_not_end_fails_within_the_timeout(pipe: tuple[str, int]) -> None:
    """Half a certificate is none."""
    name, writer = pipe
    os.write(writer, b"half")
    with pytest.raises(OSError, match="not read to its end"):
        File(name, SOON).read()
    os.close(writer)


def test_several_pipes_share_one_timeout(fifo: Path) -> None:
    """That of the operation in which they are read."""
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
def test_what_is_no_such_file_is_an_error(name: str, reason: str) -> None:
    """With the system's words, or ours."""
    with pytest.raises(OSError, match=reason):
        File(name, 30).read()


def test_byte_order_mark_is_taken_off(tmp_path: Path) -> None:
    """Windows leaves it there; it is no part of a password."""
    path = tmp_path / "file"
    path.write_bytes(b"\xef\xbb\xbfpassword")
    assert File(str(path), SOON).read() == b"password"
