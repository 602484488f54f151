"""Files whose content may change, or can be read only once: certificates, keys, passwords."""

from __future__ import annotations

import errno
import os
from stat import S_ISREG

from .deadline import Deadline, within

__all__ = ["File"]

LARGEST = 16 << 20
"""Bytes. No certificate, key or password is larger; ``/dev/zero`` has no end."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class File:
    """
    A file that is read again each time its content is needed.

    What is no regular file (a pipe as of ``<(…)``, a fifo, ``/dev/stdin``) can be read only once:
    its content is kept. Reads of one `File` must not overlap.
    """

    def __init__(self, name: str, timeout: float) -> None:
        self.name = name
        self._timeout = timeout
        self._kept: bytes | None = None

    def read(self) -> bytes:
        """
        Return the content, without a byte order mark.

        Raises:
            OSError: The file can't be read, is too large, or does not end within the timeout.
        """
        if self._kept is not None:
            return self._kept
        # Without O_NONBLOCK a fifo that has no writer would block in open(), for ever.
        descriptor = os.open(self.name, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
        try:
            if S_ISREG(os.fstat(descriptor).st_mode):
                return self._content(descriptor, None)
            with within(self._timeout) as deadline:
                self._kept = self._content(descriptor, deadline)
            return self._kept
        finally:
            os.close(descriptor)

    def _content(self, descriptor: int, deadline: Deadline | None) -> bytes:
        data = bytearray()
        while piece := self._piece(descriptor, len(data), deadline):
            data += piece
            if len(data) > LARGEST:
                raise OSError(errno.EFBIG, f"larger than {LARGEST >> 20} MiB", self.name)
        return bytes(data.removeprefix(_BYTE_ORDER_MARK))

    def _piece(self, descriptor: int, position: int, deadline: Deadline | None) -> bytes:
        if deadline is None:
            # From its beginning, even where opening /dev/stdin shares the position of stdin.
            return os.pread(descriptor, 1 << 16, position)
        from select import POLLIN, poll  # only for what is no regular file

        waiting = poll()
        waiting.register(descriptor, POLLIN)
        while waiting.poll(1000 * deadline.left()):
            try:
                return os.read(descriptor, 1 << 16)
            except BlockingIOError:
                continue  # another process that reads it was faster
        raise OSError(
            errno.ETIMEDOUT, f"not read to its end within {deadline.seconds:g}s", self.name
        )
