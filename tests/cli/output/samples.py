"""Sample results for the printers, and functions that capture what is printed."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from etcdnaming.cli.output import printer
from etcdnaming.cli.output.printers import (
    CheckedEndpoints,
    EndpointDetails,
    EndpointHealth,
    EtcdStatus,
    FoundEndpoints,
    GotEndpoints,
    Printer,
)
from etcdnaming.cli.output.streams import write_whole
from etcdnaming.errors import ConditionFailedError
from etcdnaming.model import (
    JSON,
    Condition,
    Deletion,
    Difference,
    Endpoint,
    Header,
    InvalidValue,
    Keys,
    LeaseTTL,
    Listing,
    MemberStatus,
    Plan,
    Services,
    StoredEndpoint,
    StoredKey,
    Update,
    UpdateResult,
)

TESTS = Path(__file__).parents[2]
LEASE = 0x7FFAA20539177E6E
HEADER = Header(cluster_id=0xCDF8, member_id=0x8E9E, revision=74, raft_term=2)


def stored(key: str, addr: str, metadata: JSON = None, lease: int = 0) -> StoredEndpoint:
    """Return a stored endpoint that was changed once after its creation."""
    return StoredEndpoint(key, Endpoint(addr, metadata), 70, 72, 2, lease)


E1 = stored("foo/svc/e1", "10.0.0.1:80", {"zone": "a", "weight": 1.0}, LEASE)
E2 = stored("foo/svc/e2", "10.0.0.2:80")
BAD = InvalidValue("foo/svc/e3", "it is not JSON", b"\xff{", 73, LEASE)

LISTING = Listing(HEADER, "foo/svc", [E1, E2], [BAD], count=3, more=False)
KEYS = Keys(HEADER, "foo/svc", [StoredKey("foo/svc/e1", 70, 72, 2, LEASE)], count=3, more=True)
COUNT = Keys(HEADER, "foo/svc", [], count=3, more=False)
SERVICES = Services(HEADER, "foo", {"foo/svc": 3, "foo/web": 1})

CONDITIONS = [Condition("foo/svc/e1", 0), Condition("foo/e2", None), Condition("foo/e3", 7)]
FAILED = ConditionFailedError(CONDITIONS[:1], HEADER)
UPDATES = (
    Update.add("foo/svc/e1", Endpoint("10.0.0.9:80", {"zone": "b"})),
    Update.add("foo/svc/e2", Endpoint("10.0.0.2:80"), lease=LEASE),
    Update.delete("foo/svc/e3"),
    Update.add("foo/svc/e4", Endpoint("10.0.0.4:80", "new"), lease=0),
)
ADDED = UpdateResult(HEADER, UPDATES[:1], {E1.key: E1})
RESULT = UpdateResult(HEADER, UPDATES, {E1.key: E1, E2.key: E2, BAD.key: BAD})
PLAN = Plan(
    HEADER,
    "foo/svc",
    [
        Difference(Update.add(E1.key, Endpoint("10.0.0.9:80", {"zone": "b"})), E1),
        Difference(Update.delete(E2.key), E2),
        Difference(Update.add("foo/svc/e4", Endpoint("10.0.0.4:80", "new")), None),
        Difference(Update.delete(BAD.key), BAD),
    ],
    unchanged=[Difference(Update.delete("foo/svc/e5"), None)],
    kept=[E1, BAD],
)
DELETION = Deletion(HEADER, 2, [E1, BAD])
GOT = GotEndpoints(
    HEADER,
    [
        EndpointDetails(E1, LeaseTTL(10, 9), ""),
        EndpointDetails(E2, None, "the address '10.0.0.2' has no port"),
    ],
    [BAD],
    ["foo/svc/e9"],
)
FOUND = FoundEndpoints("foo/svc", 74, [E1, E2])
CHECKED = CheckedEndpoints(
    HEADER,
    "foo/svc",
    [
        EndpointHealth(E1, "SERVING", 0.0123, ""),
        EndpointHealth(E2, "UNREACHABLE", None, "connection refused"),
    ],
    [BAD],
)
MEMBER = MemberStatus(HEADER, "3.5.1", "leader", 20480, [], 0.0012, "root", "TLSv1.3", "2027-01-01")
STATUS = [
    EtcdStatus("127.0.0.1:2379", MEMBER, ""),
    EtcdStatus("127.0.0.1:2380", None, "connection refused"),
]

Printing = Callable[[Printer], None]

EVERYTHING: dict[str, Printing] = {
    "added": lambda to: to.added(ADDED, prev_kv=True),
    "changed": lambda to: to.changed(RESULT, prev_kv=True),
    "deleted": lambda to: to.deleted(DELETION, prev_kv=True),
    "listing": lambda to: to.listing(LISTING, {LEASE: 9}),
    "addrs": lambda to: to.addrs(LISTING),
    "keys": lambda to: to.keys(KEYS),
    "count": lambda to: to.count(COUNT),
    "services": lambda to: to.services(SERVICES),
    "got": lambda to: to.got(GOT),
    "found": lambda to: to.found(FOUND, {LEASE: 9}),
    "checked": lambda to: to.checked(CHECKED),
    "status": lambda to: to.status(STATUS),
    "transaction": lambda to: to.transaction([RESULT]),
    "failure": lambda to: to.failure(FAILED, UPDATES),
    "plan": lambda to: to.plan(UPDATES, CONDITIONS),
    "differences": lambda to: to.differences(PLAN, done=False),
    "export": lambda to: write_whole(to.export_lines([LISTING, LISTING])),
    "version": lambda to: to.version({"etcdnaming": "1.0", "Python": "3.11.7"}),
}
"""Something to print for each thing that a printer prints, by its name."""


def containing(
    endpoints: Sequence[StoredEndpoint], invalid: Sequence[InvalidValue], text: str, number: int
) -> dict[str, Printing]:
    """Return what of `EVERYTHING` can have these endpoints, values, text and number in it."""
    both: list[StoredEndpoint | InvalidValue] = [*endpoints, *invalid]
    ttls = {each.lease: number for each in endpoints}
    updates = (
        *(Update.add(each.key, each.endpoint, lease=each.lease) for each in endpoints),
        *(Update.delete(each.key) for each in invalid),
    )
    conditions = [Condition(each.key, number) for each in endpoints]
    result = UpdateResult(HEADER, updates, {each.key: each for each in both})
    listing = Listing(HEADER, text, endpoints, invalid, number, more=bool(number))
    keys = [StoredKey(each.key, number, number, number, each.lease) for each in endpoints]
    differences = [Difference(*each) for each in zip(updates, both, strict=True)]
    differences += [Difference(each, None) for each in updates]
    details = [EndpointDetails(each, LeaseTTL(number, number), text) for each in endpoints]
    health = [EndpointHealth(each, "UNREACHABLE", None, text) for each in endpoints]
    plan = Plan(HEADER, text, differences, [], both)
    return {
        "changed": lambda to: to.changed(result, prev_kv=True),
        "deleted": lambda to: to.deleted(Deletion(HEADER, number, both), prev_kv=True),
        "listing": lambda to: to.listing(listing, ttls),
        "addrs": lambda to: to.addrs(listing),
        "keys": lambda to: to.keys(Keys(HEADER, text, keys, number, more=bool(number))),
        "services": lambda to: to.services(Services(HEADER, text, {text: number})),
        "got": lambda to: to.got(GotEndpoints(HEADER, details, invalid, [text])),
        "found": lambda to: to.found(FoundEndpoints(text, number, endpoints), ttls),
        "checked": lambda to: to.checked(CheckedEndpoints(HEADER, text, health, invalid)),
        "transaction": lambda to: to.transaction([result]),
        "failure": lambda to: to.failure(ConditionFailedError(conditions, HEADER), updates),
        "plan": lambda to: to.plan(updates, conditions),
        "differences": lambda to: to.differences(plan, done=bool(number)),
        "export": lambda to: write_whole(to.export_lines([listing])),
    }


class _Stream(io.TextIOWrapper):
    def __init__(self, *, terminal: bool) -> None:
        self.bytes = io.BytesIO()
        self._terminal = terminal
        super().__init__(self.bytes)

    def isatty(self) -> bool:
        return self._terminal


def printed(name: str, what: Printing, columns: int | None = None, **environment: str) -> str:
    """Return what the printer *name* writes; to a terminal if *columns* gives its width."""
    stream = _Stream(terminal=columns is not None)
    with pytest.MonkeyPatch.context() as patch:
        for variable in ("NO_COLOR", "FORCE_COLOR", "TERM"):
            patch.delenv(variable, raising=False)
        for variable, value in {"COLUMNS": str(columns or 0), **environment}.items():
            patch.setenv(variable, value)
        patch.setattr(sys, "stdout", stream)
        what(printer(name))
    return stream.bytes.getvalue().decode()


def on_terminal(program: str, *, lines: int = 24, columns: int = 80, term: str = "xterm") -> bytes:
    """Return what the Python *program* writes to a terminal, on stdout and stderr."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("4H", lines, columns, 0, 0))
    environment = {"PATH": os.environ["PATH"], "TERM": term, "PYTHONPATH": str(TESTS)}
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=slave, stderr=slave, env=environment
    ):
        os.close(slave)
        return _everything_from(master)


def _everything_from(master: int) -> bytes:
    seen = b""
    with open(master, "rb", buffering=0) as terminal:
        try:
            while chunk := terminal.read(65536):
                seen += chunk
        except OSError:  # Linux reports an error when the other end is closed
            pass
    return seen.replace(b"\r\n", b"\n")
