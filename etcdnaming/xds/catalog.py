"""
The endpoints below some prefixes, by service, and as ClusterLoadAssignments.

There is one watch for each prefix, not for each service: unknown services cost etcd
nothing, clients can't make us watch, and the services can be listed.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from .. import keys
from ..errors import InvalidEndpointError
from ..etcd import Client
from ..fork import inherited
from ..model import JSON, ChangeBatch, Endpoint
from .assignment import Member, View, Zones, assignment
from .attributes import AttributeKeys, Attributes, read_attributes
from .follower import Follower
from .host_names import IP, HostNames
from .names import Kind
from .notice import Notice, Notify
from .places import HostName, Place, read_place
from .resources import packed

__all__ = ["Catalog", "EndpointState", "covering"]

FIRST_LOOKUP = 5.0
"""
Seconds for which a set waits for the DNS after the first reading. Without that, a restarted server
would for a moment take every endpoint with a host name from clients that have it.
"""

MAX_VARIANTS = 100
"""Encoded sets kept of one service. Clients choose their zones and how they write a name."""


class _Entry(NamedTuple):
    """What one key means. *problem*: why it can't be dialled; empty if it can."""

    endpoint: Endpoint
    place: Place | HostName | None
    attributes: Attributes
    problem: str


class EndpointState(NamedTuple):
    """One endpoint of a service, for people. *left_out* says why it is not served."""

    key: str
    addr: str
    metadata: JSON
    left_out: str
    held: bool


class _Encoded:
    """An encoded set, packed, and whether it is that of now."""

    __slots__ = ("body", "current")

    def __init__(self, body: bytes) -> None:
        self.body, self.current = body, True


def covering(prefixes: Sequence[str]) -> list[str]:
    """
    Return *prefixes* without those that lie below another one.

    >>> covering(["foo/bar", "foo", "foo", "food"])
    ['foo', 'food']
    """
    found: list[str] = []
    for prefix in sorted(set(prefixes)):
        if not any(prefix.startswith(f"{each}/") for each in found):
            found.append(prefix)
    return found


class Catalog:
    """
    All endpoints below *prefixes*. `_lock` guards everything.

    Args:
        on_change: Called by threads of this, under no lock, with the targets whose endpoints have
            changed; with none when `ready` or what the followers say has changed.

        hold: Seconds for which an endpoint is kept that is merely missing after a re-read.
    """

    def __init__(
        self,
        client: Client,
        prefixes: Sequence[str],
        on_change: Callable[[AbstractSet[str]], None],
        notify: Notify,
        *,
        attribute_keys: AttributeKeys = AttributeKeys(),  # noqa: B008 - frozen
        zones: Zones = "off",
        hold: float = 30.0,
    ) -> None:
        self.encodings = 0
        self._keys, self._zones = attribute_keys, zones
        self._on_change, self._notify = on_change, notify
        self._lock = threading.RLock()
        self._entries: dict[str, _Entry] = {}
        self._targets: dict[str, set[str]] = {}  # the keys at any depth below each
        self._services: Counter[str] = Counter()  # the number of keys right below each
        self._left_out: Counter[str] = Counter()
        self._invalid: dict[str, str] = {}
        self._warned: dict[str, str] = {}
        self._encoded: dict[str, dict[tuple[str, View], _Encoded]] = {}
        self._hosts = HostNames(self._note_hosts)
        self._by_host: dict[str, set[str]] = {}
        self._answers: dict[str, frozenset[IP] | None] = {}
        self._resolved: dict[str, tuple[Place, ...]] = {}
        self._looked_up_first: set[str] = set()
        self._first_end = 0.0
        self.followers = [
            Follower(client, prefix, hold, self._take, lambda: on_change(frozenset()), notify)
            for prefix in covering(prefixes)
        ]

    def start(self) -> None:
        """Begin to read and to follow."""
        for follower in self.followers:
            follower.start()

    def close(self) -> None:
        """End, at once."""
        for follower in self.followers:
            follower.stop()
        self._hosts.want(set())

    def after_fork(self) -> None:
        """Keep what is known, in a child: see `fork`. No thread of this is there any more."""
        inherited.append((self._lock, self._hosts))
        self._lock, self._hosts = threading.RLock(), HostNames(self._note_hosts)
        for follower in self.followers:
            follower.after_fork()

    @property
    def ready(self) -> bool:
        """Whether every prefix has been read."""
        return all(follower.was_read for follower in self.followers)

    @property
    def revision(self) -> int:
        """etcd's revision that the endpoints are of."""
        return max(follower.revision for follower in self.followers)

    def age(self) -> float | None:
        """Return for how many seconds etcd has not been there; ``None`` if it never was."""
        ages = [follower.age() for follower in self.followers]
        return max((each for each in ages if each is not None), default=None)

    def assignment(self, name: str, target: str, view: View) -> bytes | None:
        """
        Return the ClusterLoadAssignment *name* of *target*, packed; empty if there is no such.

        While nothing changes it is the same object. ``None``: the DNS has not answered yet.
        """
        with self._lock:
            if target not in self._targets:
                return packed(Kind.ASSIGNMENT, assignment(name, (), view, self._zones))
            if self._looked_up_first and self._waits_for_dns(target):
                return None
            variants = self._encoded.setdefault(target, {})
            known = variants.get((name, view))
            if known is not None and known.current:
                return known.body
            body = packed(
                Kind.ASSIGNMENT, assignment(name, self._members(target), view, self._zones)
            )
            self.encodings += 1
            if known is None:
                if len(variants) >= MAX_VARIANTS:
                    variants.clear()
                variants[name, view] = known = _Encoded(body)
            elif known.body != body:
                known.body = body
            known.current = True
            return known.body

    def forget(self, target: str) -> None:
        """Keep no encoded sets of *target*: there is no client of it any more."""
        with self._lock:
            self._encoded.pop(target, None)

    def services(self) -> dict[str, int]:
        """Return the targets that have endpoints right below them, and how many."""
        with self._lock:
            return dict(sorted(self._services.items()))

    def count(self) -> tuple[int, int]:
        """Return the number of services, and of endpoints."""
        with self._lock:
            return len(self._services), len(self._entries)

    def left_out(self) -> dict[str, int]:
        """Return how many endpoints are not served, by reason."""
        with self._lock:
            unknown = sum(
                len(self._by_host[host])
                for host, ips in self._answers.items()
                if ips is not None and not ips
            )
            return {
                "value": len(self._invalid),
                "address": self._left_out["address"],
                "draining": self._left_out["draining"],
                "host": unknown,
            }

    def endpoints(self, target: str) -> list[EndpointState]:
        """Return every endpoint of *target*, in the order of the keys; those left out, too."""
        with self._lock:
            found = [self._state(key) for key in self._targets.get(target, ())]
            found += [
                EndpointState(key, "", None, reason, held=False)
                for key, reason in self._invalid.items()
                if key.startswith(f"{target}/")
            ]
        return sorted(found)

    def served(self, target: str) -> tuple[Endpoint, ...]:
        """Return the endpoints of *target* that clients get, in the order of the keys."""
        found = self.endpoints(target)
        return tuple(Endpoint(each.addr, each.metadata) for each in found if not each.left_out)

    # -- what the followers' threads do

    def _take(
        self, follower: Follower, batch: ChangeBatch | None, changed: AbstractSet[str]
    ) -> float | None:
        first = batch is not None and not follower.was_read
        with self._lock:
            if batch is not None:
                self._note_invalid(follower, batch)
            dirty = self._update(follower, changed)
            if first:
                self._begin_lookups()
            dirty |= self._end_lookups()
            again = self._first_end if self._looked_up_first else None
        if dirty:
            self._on_change(dirty)
        return again

    def _note_invalid(self, follower: Follower, batch: ChangeBatch) -> None:
        valid = [*batch.no_longer_invalid]
        if batch.first:  # a new watch does not know which values could not be read before
            valid += [key for key in self._invalid if key.startswith(f"{follower.prefix}/")]
        found = {value.key for value in batch.invalid}
        for key in valid:
            if key in found:
                continue
            self._invalid.pop(key, None)
            self._warned.pop(key, None)
        for value in batch.invalid:
            self._invalid[value.key] = value.reason
            self._warn(value.key, f"its value can't be read: {value.reason}")

    def _update(self, follower: Follower, changed: AbstractSet[str]) -> set[str]:
        """Read the endpoints at the keys that have *changed*; return the targets they belong to."""
        dirty: set[str] = set()
        hosts = set(self._by_host)
        for key in changed:
            targets = [*_targets_of(key, follower.prefix)]
            self._remove(key, targets)
            endpoint = follower.endpoint(key)
            if endpoint is not None:
                self._add(key, endpoint, targets)
            elif key not in self._invalid:
                self._warned.pop(key, None)
            dirty.update(targets)
        if self._by_host.keys() != hosts:
            self._answers = {host: self._answers.get(host) for host in self._by_host}
            self._hosts.want(set(self._by_host))
        self._spoil(dirty)
        return dirty

    def _add(self, key: str, endpoint: Endpoint, targets: Collection[str]) -> None:
        attributes, oddity = read_attributes(endpoint.metadata, self._keys)
        place: Place | HostName | None = None
        problem = ""
        try:
            place = read_place(endpoint.addr)
        except InvalidEndpointError as exc:
            problem = str(exc)
        entry = self._entries[key] = _Entry(endpoint, place, attributes, problem)
        if reason := _reason(entry):
            self._left_out[reason] += 1
        for target in targets:
            self._targets.setdefault(target, set()).add(key)
        self._services[keys.target_of(key)] += 1
        if isinstance(place, HostName):
            self._by_host.setdefault(place.host, set()).add(key)
            self._resolve(key, place)
        if problem or oddity:
            self._warn(key, problem or f"part of its metadata is ignored: {oddity}")
        else:
            self._warned.pop(key, None)

    def _remove(self, key: str, targets: Collection[str]) -> None:
        entry = self._entries.pop(key, None)
        if entry is None:
            return
        if reason := _reason(entry):
            self._left_out[reason] -= 1
        for target in targets:
            below = self._targets[target]
            below.discard(key)
            if not below:
                del self._targets[target]
        service = keys.target_of(key)
        self._services[service] -= 1
        if not self._services[service]:
            del self._services[service]
        self._resolved.pop(key, None)
        if isinstance(entry.place, HostName):
            named = self._by_host[entry.place.host]
            named.discard(key)
            if not named:
                del self._by_host[entry.place.host]
                self._looked_up_first.discard(entry.place.host)

    def _spoil(self, targets: AbstractSet[str]) -> None:
        for target in targets:
            if target not in self._targets:
                self._encoded.pop(target, None)
            for encoded in self._encoded.get(target, {}).values():
                encoded.current = False

    def _warn(self, key: str, problem: str) -> None:
        """Report it once, for as long as it is the same."""
        if self._warned.get(key) == problem:
            return
        self._warned[key] = problem
        entry = self._entries.get(key)
        served = entry is not None and not entry.problem
        event = "metadata" if served else "left-out"
        text = f"{key}: {problem}" if served else f"{key} is left out: {problem}"
        self._notify(Notice(event, text, {"key": key, "reason": problem}))

    # -- host names

    def _begin_lookups(self) -> None:
        self._looked_up_first |= {host for host, ips in self._answers.items() if ips is None}
        self._first_end = time.monotonic() + FIRST_LOOKUP

    def _end_lookups(self) -> set[str]:
        """Wait no longer if the time is over; return the targets that waited."""
        if not self._looked_up_first or time.monotonic() < self._first_end:
            return set()
        hosts, self._looked_up_first = self._looked_up_first, set()
        return self._targets_on(hosts)

    def _note_hosts(self) -> None:
        """Take in what the DNS has answered, in a thread of `HostNames`."""
        with self._lock:
            news = {
                host: ips
                for host in self._by_host
                if (ips := self._hosts.answer(host)) is not None and ips != self._answers.get(host)
            }
            self._answers.update(news)
            self._looked_up_first -= news.keys()
            for host in news:
                for key in self._by_host[host]:
                    place = self._entries[key].place
                    if isinstance(place, HostName):
                        self._resolve(key, place)
            dirty = self._targets_on(news)
            self._spoil(dirty)
        if dirty:
            self._on_change(dirty)

    def _resolve(self, key: str, name: HostName) -> None:
        ips = sorted(self._answers.get(name.host) or (), key=lambda ip: (ip.version, ip.packed))
        places = [name.at(ip) for ip in ips]
        self._resolved[key] = tuple(place for place in places if place)

    def _targets_on(self, hosts: Collection[str]) -> set[str]:
        named = {key for host in hosts for key in self._by_host.get(host, ())}
        prefixes = [follower.prefix for follower in self.followers]
        return {
            target
            for key in named
            for prefix in prefixes
            if key.startswith(f"{prefix}/")
            for target in _targets_of(key, prefix)
        }

    def _waits_for_dns(self, target: str) -> bool:
        below = self._targets[target]
        return any(not below.isdisjoint(self._by_host[host]) for host in self._looked_up_first)

    # -- reading

    def _members(self, target: str) -> Iterator[Member]:
        entries, resolved = self._entries, self._resolved
        for key in sorted(self._targets[target]):
            _, place, (weight, zone, draining), _ = entries[key]
            if draining or place is None:
                continue
            if isinstance(place, Place):
                yield Member(place, weight, zone)
            else:
                for each in resolved[key]:
                    yield Member(each, weight, zone)

    def _state(self, key: str) -> EndpointState:
        endpoint, place, attributes, problem = self._entries[key]
        held = any(follower.is_held(key) for follower in self.followers)
        if not problem and attributes.draining:
            problem = "it is draining"
        elif isinstance(place, HostName) and not self._resolved[key]:
            unknown = self._answers.get(place.host) is None
            problem = f"{place.host!r}: " + ("not looked up yet" if unknown else "unknown host")
        return EndpointState(key, endpoint.addr, endpoint.metadata, problem, held)


def _targets_of(key: str, prefix: str) -> Iterator[str]:
    """
    Yield the targets at and below *prefix* that *key* belongs to.

    >>> [*_targets_of("foo/bar/svc/e1", "foo")]
    ['foo', 'foo/bar', 'foo/bar/svc']
    """
    at = len(prefix)
    while at >= 0:
        yield key[:at]
        at = key.find("/", at + 1)


def _reason(entry: _Entry) -> str:
    if entry.place is None:
        return "address"
    return "draining" if entry.attributes.draining else ""
