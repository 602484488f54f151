"""The streams of one watch, one after another, until it is stopped."""

from __future__ import annotations

import threading

from ..errors import CompactedError, ConnectionFailedError, EtcdError, PermissionDeniedError
from . import rpc_pb2 as rpc
from .answers import understand_text
from .carriers import open_watch
from .client import Client
from .stream import LATE
from .substream import Substream

__all__ = ["Streams"]


class Streams:
    """
    Opens streams of what happens from *start* to *end*, all for one thread; another may `stop`.

    *shared* is for one of many: it does not take the call that a single watch of a client has.

    `_lock` guards `_stream` and `_stopped`, so that no stream is opened after the end.
    """

    def __init__(self, client: Client, start: bytes, end: bytes, *, shared: bool) -> None:
        self._client, self._start, self._end, self._shared = client, start, end, shared
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._stream: Substream | None = None

    @property
    def stopped(self) -> bool:
        """Say whether all is over."""
        return self._stopped.is_set()

    def stop(self) -> None:
        """End whatever is waited for; from another thread."""
        with self._lock:
            self._stopped.set()
            if self._stream:
                self._stream.close()

    def pause(self, seconds: float) -> None:
        """Wait, unless stopped."""
        self._stopped.wait(seconds)

    def open(self, revision: int) -> Substream:
        """
        Return a stream of the changes from *revision* on, which etcd has accepted.

        Raises:
            EtcdError: It refused, or said nothing.
            AskAgainError: A proxy does not carry a single watch; the next one will be shared.
        """
        stream = self._open(revision)
        try:
            self._expect_acceptance(stream)
        except BaseException:
            stream.close()
            raise
        return stream

    def refuse(self, revision: int) -> None:
        """Raise what etcd says to a watch of a compacted *revision*: it names the compact one."""
        with self.open(revision) as stream:
            while response := stream.take(LATE):
                if response.canceled:
                    raise self.refusal(response, stream.member)

    def refusal(self, response: rpc.WatchResponse, member: str) -> EtcdError:
        """Return why *member* has ended the watch."""
        if response.compact_revision:
            return CompactedError(
                "etcdserver: mvcc: required revision has been compacted: "
                f"the compact revision is {response.compact_revision}"
            )
        error = understand_text(response.cancel_reason, member)
        if isinstance(error, PermissionDeniedError):
            asked = rpc.WatchCreateRequest(key=self._start, range_end=self._end)
            return self._client.caller.explain(error, asked)
        return error

    def _open(self, revision: int) -> Substream:
        create = rpc.WatchCreateRequest(
            key=self._start, range_end=self._end, start_revision=revision, fragment=True
        )
        stream = open_watch(self._client, create, shared=self._shared)
        with self._lock:
            self._stream = stream
            if self._stopped.is_set():
                stream.close()
        return stream

    def _expect_acceptance(self, stream: Substream) -> None:
        response = stream.first()
        if response is not None and response.canceled:  # whatever its watch id, and "created" too
            raise self.refusal(response, stream.member)
        if response is None or not response.created:
            stream.leave()
            raise ConnectionFailedError(f"{stream.member}: the watch does not begin")
