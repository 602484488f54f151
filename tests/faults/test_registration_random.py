"""A registration while everything happens to its key, its lease and etcd, at random."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TypeAlias

import pytest
from harness import Etcd, EtcdctlError, wait_until
from harness.registrations import EventLog
from harness.wire import Wire

from etcdnaming import Client, Endpoint, Registration, wire

KEY = "svc/e1"
HERE, LOOSE, TAKEN = Endpoint("here:1"), Endpoint("loose:2"), Endpoint("taken:3")
TTL = 2


class World:
    """An etcd, a registration behind a relay of its own, and the faults done to them."""

    def __init__(self, etcd: Etcd, chance: random.Random) -> None:
        self.etcd, self.chance = etcd, chance
        self.wire = Wire(etcd.endpoint)
        self.client = Client([self.wire.endpoint])
        self.chosen: list[Endpoint] = []
        self.another = 0
        self.begin()

    def begin(self) -> None:
        """Register."""
        self.events = EventLog()
        self.registration = Registration(self.client, {KEY: HERE}, ttl=TTL, on_state=self.events)
        self.registration.start()
        self.another = 0

    def end(self) -> None:
        """Leave."""
        self.registration.close()
        self.client.close()
        self.wire.close()

    def deleted(self) -> None:
        """Delete the key."""
        self.etcd.delete(KEY)

    def put_without_a_lease(self) -> None:
        """Put the key without a lease, as etcdctl and Go do by default."""
        self.etcd.put(KEY, wire.encode(LOOSE).decode())

    def changed(self) -> None:
        """An operator drains it, in a way that keeps the lease."""
        endpoint = Endpoint("here:1", self.chance.randrange(1 << 30))
        with suppress(EtcdctlError):  # there is no key at the moment
            self.etcd.ctl("put", "--ignore-lease", KEY, wire.encode(endpoint).decode())
            self.chosen.append(endpoint)

    def revoked(self) -> None:
        """Revoke the lease."""
        with suppress(EtcdctlError):  # it is gone already
            self.etcd.revoke(self.registration.lease)

    def cut_off(self) -> None:
        """The network breaks for a moment."""
        self.wire.cut()
        self.wire.mend()

    def cut_off_for_longer(self) -> None:
        """It breaks for longer than the lease lasts."""
        self.wire.cut()
        time.sleep(1.5 * TTL)
        self.wire.mend()

    def held_up(self) -> None:
        """It swallows everything for that long."""
        self.wire.hold()
        time.sleep(1.5 * TTL)
        self.wire.mend()

    def restarted(self) -> None:
        """Etcd is started again."""
        self.etcd.stop()
        self.etcd.start()

    def frozen(self) -> None:
        """Etcd stands still for longer than the lease lasts."""
        self.etcd.freeze()
        time.sleep(1.5 * TTL)
        self.etcd.thaw()

    def wiped(self) -> None:
        """Etcd forgets everything."""
        self.etcd.wipe()

    def taken_over(self) -> None:
        """Register the key with another client."""
        self.another = self.etcd.grant(3600)
        self.etcd.put(KEY, wire.encode(TAKEN).decode(), self.another)

    def taken_over_while_cut_off(self) -> None:
        """So that it is found out later."""
        self.wire.cut()
        time.sleep(self.chance.choice([0.1, 1.5 * TTL]))
        self.taken_over()
        self.wire.mend()

    def is_ours(self) -> bool:
        """Say whether all is registered, on one lease, as the registration believes."""
        registration = self.registration
        endpoint = registration.endpoints[KEY]
        assert endpoint in {HERE, *self.chosen}
        return registration.registered and self._is_there(endpoint, registration.lease)

    def is_anothers(self) -> bool:
        """Say whether the other one has it, and the registration knows, and has a lease."""
        knows = "taken_over" in self.events.kinds and self.events.kinds[-1] != "lost"
        return knows and self._is_there(TAKEN, self.another)

    def leases(self) -> set[int]:
        """Return those that there should be."""
        return {self.registration.lease, self.another} - {0}

    def _is_there(self, endpoint: Endpoint, lease: int) -> bool:
        entries = self.etcd.entries("svc/")
        assert all(entry.lease for entry in entries) or endpoint != TAKEN
        return [(each.value, each.lease) for each in entries] == [(wire.encode(endpoint), lease)]


Trouble: TypeAlias = Callable[[World], None]

QUICK: list[Trouble] = [
    World.deleted,
    World.put_without_a_lease,
    World.changed,
    World.revoked,
    World.cut_off,
]
SLOW: list[Trouble] = [
    World.cut_off_for_longer,
    World.held_up,
    World.restarted,
    World.frozen,
    World.wiped,
]
TAKEOVERS: list[Trouble] = [World.taken_over, World.taken_over_while_cut_off]
# What leaves the other one's key as it is.
BESIDE_A_TAKEOVER: list[Trouble] = [World.cut_off, World.restarted]


@pytest.fixture
def chance() -> random.Random:
    """Return a random generator; its seed is printed, and ``REGISTRATION_SEED`` repeats a run."""
    seed = int(os.environ.get("REGISTRATION_SEED") or random.randrange(1 << 32))
    print(f"REGISTRATION_SEED={seed}")  # noqa: T201 - pytest shows it where it matters
    return random.Random(seed)


LONG = [pytest.mark.long, pytest.mark.timeout(600)]


@pytest.mark.parametrize(
    "rounds", [5, *(pytest.param(40, marks=LONG, id=f"{n}/5 of 200") for n in range(1, 6))]
)
def test_registration_follows_the_rules_after_random_faults(
    own_etcd: Callable[..., Etcd], chance: random.Random, rounds: int
) -> None:
    """One lease, its key on it, nothing stolen, nothing left; also when two faults overlap."""
    world = World(own_etcd(), chance)
    for number in range(rounds):
        troubles = choose(chance)
        print(number, [trouble.__name__ for trouble in troubles])  # noqa: T201
        happen(world, troubles)
        expected = world.is_anothers if world.another else world.is_ours
        wait_until(expected)
        wait_until(lambda: {*world.etcd.leases()} == world.leases())
        time.sleep(chance.uniform(0, 0.3))
        wait_until(expected)  # a busy machine may lose the lease for a moment
        if world.another:
            begin_again(world)
    world.end()
    assert world.etcd.entries("svc/") == []
    assert world.etcd.leases() == []


def choose(chance: random.Random) -> list[Trouble]:
    """Return one fault, or two that may overlap."""
    kind = chance.random()
    if kind < 0.15:
        return [chance.choice(TAKEOVERS), *chance.sample(BESIDE_A_TAKEOVER, chance.randrange(2))]
    if kind < 0.35:
        return [chance.choice(SLOW), *chance.sample(QUICK, chance.randrange(2))]
    return chance.sample(QUICK, chance.randint(1, 2))


def happen(world: World, troubles: list[Trouble]) -> None:
    """Cause the faults at the same time."""
    failures: list[BaseException] = []

    def run(trouble: Trouble) -> None:
        try:
            trouble(world)
        except EtcdctlError:  # etcd was away
            if trouble not in QUICK:
                raise
        except BaseException as exc:
            failures.append(exc)
            raise

    threads = [threading.Thread(target=run, args=(trouble,)) for trouble in troubles]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def begin_again(world: World) -> None:
    """Close the registration that was taken over, which touches nothing; then the other one."""
    assert world.registration.close()
    assert world.is_anothers()
    assert world.etcd.leases() == [world.another]
    world.etcd.revoke(world.another)
    world.begin()
