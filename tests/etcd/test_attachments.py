"""Objects that the users of a client share: created for the first user, closed after the last."""

from __future__ import annotations

import pytest

from etcdnaming.errors import ClientClosedError
from etcdnaming.etcd import Client


class Shared:
    """An attached object that records the calls of its methods."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def close(self) -> None:
        """Record the call."""
        self.calls.append("close")

    def after_fork(self) -> None:
        """Record the call."""
        self.calls.append("after_fork")


def test_attached_object_is_shared_until_its_last_user_detaches() -> None:
    """Each kind has its own object, and the next user after that gets a new one."""
    with Client() as client:
        first = client._attach("kind", Shared)
        assert client._attach("kind", Shared) is first
        assert client._attach("other", Shared) is not first
        client._detach("kind", first)
        assert first.calls == []
        client._detach("kind", first)
        assert first.calls == ["close"]
        second = client._attach("kind", Shared)
        assert second is not first
        client._detach("kind", first)  # a second detach by a former user
        assert second.calls == []


def test_attached_object_is_closed_with_its_client() -> None:
    """The object is closed once, and attaching to a closed client is an error."""
    client = Client()
    shared = client._attach("kind", Shared)
    client.close()
    client._detach("kind", shared)
    assert shared.calls == ["close"]
    with pytest.raises(ClientClosedError):
        client._attach("kind", Shared)


def test_factory_error_leaves_nothing_attached() -> None:
    """The next user calls its factory again."""

    def fail() -> Shared:
        raise MemoryError

    with Client() as client:
        with pytest.raises(MemoryError):
            client._attach("kind", fail)
        assert client._attach("kind", Shared).calls == []


def test_child_has_nothing_attached_after_fork() -> None:
    """The child can attach objects even if a thread of the parent held the lock during the fork."""
    with Client() as client:
        shared = client._attach("kind", Shared)

        def fork() -> Shared:
            # The lock is held, and in a child it would never be released.
            client._attachments.after_fork()
            return Shared()

        client._attach("busy", fork)
        assert shared.calls == ["after_fork"]
        assert client._attach("kind", Shared) is not shared
