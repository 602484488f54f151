"""What the users of a client share: from the first to the last of them, and no longer than it."""

from __future__ import annotations

import pytest

from etcdnaming.errors import ClientClosedError
from etcdnaming.etcd import Client


class Shared:
    """Something attached; it notes what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def close(self) -> None:
        """Note it."""
        self.told.append("close")

    def after_fork(self) -> None:
        """Note it."""
        self.told.append("after_fork")


def test_attached_object_is_shared_until_its_last_user_detaches() -> None:
    """Per kind; after that it is made anew."""
    with Client() as client:
        first = client.attach("kind", Shared)
        assert client.attach("kind", Shared) is first
        assert client.attach("other", Shared) is not first
        client.detach("kind", first)
        assert first.told == []
        client.detach("kind", first)
        assert first.told == ["close"]
        second = client.attach("kind", Shared)
        assert second is not first
        client.detach("kind", first)  # by a user who is late
        assert second.told == []


def test_attached_object_is_closed_with_its_client() -> None:
    """Once, and nothing can be attached from then on."""
    client = Client()
    shared = client.attach("kind", Shared)
    client.close()
    client.detach("kind", shared)
    assert shared.told == ["close"]
    with pytest.raises(ClientClosedError):
        client.attach("kind", Shared)


def test_factory_error_leaves_nothing_attached() -> None:
    """The next user tries again."""

    def fail() -> Shared:
        raise MemoryError

    with Client() as client:
        with pytest.raises(MemoryError):
            client.attach("kind", fail)
        assert client.attach("kind", Shared).told == []


def test_child_begins_with_nothing_attached() -> None:
    """Even if a thread of the parent was attaching something in the moment of the fork."""
    with Client() as client:
        shared = client.attach("kind", Shared)

        def fork() -> Shared:
            client.after_fork()  # the lock is held, as it would be for ever in a child
            return Shared()

        client.attach("busy", fork)
        assert shared.told == ["after_fork"]
        assert client.attach("kind", Shared) is not shared
