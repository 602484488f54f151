"""The only speaker of etcd's Watch: opens the watches and the streams of a client."""

from __future__ import annotations

import threading
from functools import partial

from ..errors import (
    ClientClosedError,
    CompactedError,
    ConnectionFailedError,
    EtcdError,
    PermissionDeniedError,
)
from ..fork import GRPC_FORK_SUPPORT
from . import rpc_pb2 as rpc
from .answers import classify_text
from .calls import Caller
from .client import Client
from .watch_stream import CREATE_TIMEOUT, WatchStream
from .watch_substream import WatchSubstream

__all__ = ["RangeStreams", "Watcher"]


class Watcher:
    """
    The streams of one client.

    Its first watch has a dedicated stream, all others share one, and registered keys have one.

    A dedicated stream is faster (a thread less is woken for each change), as long as there are few:
    gRPC wakes up for each of them five times a second. The grpc-proxy does not carry it; then all
    watches share a stream.

    `_lock` guards everything. It is taken before the lock of a `WatchStream`, never after it.
    """

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._lock = threading.Lock()
        self._dedicated: WatchStream | None = None
        self._shared: WatchStream | None = None
        self._for_keys: list[WatchStream] = []

    @classmethod
    def of(cls, client: Client) -> Watcher:
        """
        Return the watcher of *client*.

        It is never detached: it lasts as long as the client, and knows whether a dedicated stream
        works.
        """
        return client._attach("watches", partial(cls, client._caller))

    def open(self, create: rpc.WatchCreateRequest, *, shared: bool) -> WatchSubstream:
        """
        Return the watch that *create* asks for: on the dedicated stream, if that is free.

        *shared* leaves the dedicated stream to another watch. So does gRPC's support for forks,
        which can't stop a thread of ours that reads a call.

        Raises:
            ConnectionFailedError: No thread can be started now.
        """
        with self._lock:
            if not shared and not GRPC_FORK_SUPPORT and self._may_dedicate():
                stream = WatchStream(self._caller, dedicated=True)
                watch = WatchSubstream(stream, create)
                stream.start(watch)
                self._dedicated = stream
                return watch
            if self._shared:
                watch = WatchSubstream(self._shared, create)
                if self._shared.add(watch):
                    return watch
            stream = WatchStream(self._caller)
            watch = WatchSubstream(stream, create)
            stream.start(watch)
            self._shared = stream
            return watch

    def open_key_stream(self) -> WatchStream:
        """
        Return a stream for the watches of single keys, which the caller runs in its own thread.

        They have one of their own, because a refused key ends its stream.
        """
        stream = WatchStream(self._caller)
        with self._lock:
            self._for_keys = [each for each in self._for_keys if not each.over]
            self._for_keys.append(stream)
        return stream

    def close(self) -> None:
        """End all watches."""
        with self._lock:
            streams = [self._dedicated, self._shared, *self._for_keys]
        for stream in filter(None, streams):
            stream.fail(ClientClosedError())

    def after_fork(self) -> None:
        """Leave the watches to `RangeWatch`, which ends them in a child."""

    def _may_dedicate(self) -> bool:
        stream = self._dedicated
        return stream is None or (stream.over and stream.works)


class RangeStreams:
    """
    Opens the watch of the keys from *start* to *end* again and again, for the thread of its loop.

    Another thread may `stop`. `_lock` guards `_stream` and `_stopped`, so that no stream is opened
    after the end. It is not held while a stream is opened, which takes the lock of the `Watcher`.
    """

    def __init__(self, client: Client, start: bytes, end: bytes, *, shared: bool) -> None:
        self._client, self._start, self._end, self._shared = client, start, end, shared
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._stream: WatchSubstream | None = None

    @property
    def stopped(self) -> bool:
        """Return whether `stop` was called."""
        return self._stopped.is_set()

    def stop(self) -> None:
        """End the stream and the pause; for another thread."""
        with self._lock:
            self._stopped.set()
            if self._stream:
                self._stream.close()

    def pause(self, seconds: float) -> None:
        """Wait, unless stopped."""
        self._stopped.wait(seconds)

    def open(self, revision: int) -> WatchSubstream:
        """
        Return a stream of the changes from *revision* on, once etcd has accepted it.

        Raises:
            EtcdError: The server refused, or did not answer.
            WatchAgainError: A proxy carries no dedicated stream; the next one will be shared.
        """
        stream = self._open(revision)
        try:
            self._expect_acceptance(stream)
        except BaseException:
            stream.close()
            raise
        return stream

    def refuse(self, revision: int) -> None:
        """Raise etcd's refusal to watch a compacted *revision*: it names the compact revision."""
        with self.open(revision) as stream:
            while response := stream.take(CREATE_TIMEOUT):
                if response.canceled:
                    raise self.refusal(response, stream.member)

    def refusal(self, response: rpc.WatchResponse, member: str) -> EtcdError:
        """Return why *member* has ended the watch."""
        if response.compact_revision:
            return CompactedError(
                "etcdserver: mvcc: required revision has been compacted: "
                f"the compact revision is {response.compact_revision}"
            )
        error = classify_text(response.cancel_reason, member)
        if isinstance(error, PermissionDeniedError):
            asked = rpc.WatchCreateRequest(key=self._start, range_end=self._end)
            return self._client._caller.explain(error, asked)
        return error

    def _open(self, revision: int) -> WatchSubstream:
        create = rpc.WatchCreateRequest(
            key=self._start, range_end=self._end, start_revision=revision, fragment=True
        )
        stream = Watcher.of(self._client).open(create, shared=self._shared)
        with self._lock:
            self._stream = stream
            if self._stopped.is_set():
                stream.close()
        return stream

    def _expect_acceptance(self, stream: WatchSubstream) -> None:
        response = stream.first()
        if response is not None and response.canceled:  # whatever its watch id, and "created" too
            raise self.refusal(response, stream.member)
        if response is None or not response.created:
            stream.leave()
            raise ConnectionFailedError(f"{stream.member}: the watch does not begin")
