r"""
Spell what several formats print alike: escapes, quotes, lease IDs, counts, and facts.

`etcdnaming.printable` defines which characters need an escape; each format has its own escapes.
Facts are about changes, plans, endpoints and members of etcd.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from json.encoder import encode_basestring_ascii
from math import floor
from typing import TypeAlias

from ...model import Change, Difference, Endpoint, InvalidValue, LeaseTTL, Plan, StoredEndpoint
from ...printable import SHORT, is_byte, printable, replace_unprintable
from ...wire import dumps_again, encode
from .printers import EndpointHealth, EtcdStatus

__all__ = [
    "STATUS",
    "byte_size",
    "counted",
    "counts",
    "difference_effect",
    "effect",
    "endpoint_facts",
    "escape",
    "event_type",
    "health_cells",
    "invalid_facts",
    "lease_id",
    "matters_to_clients",
    "quote_go",
    "safe_json",
    "status_cells",
    "subject",
    "unreadable",
]

_SHORT_GO = SHORT | {"\a": r"\a", "\b": r"\b", "\f": r"\f", "\v": r"\v"}


Facts: TypeAlias = Sequence[tuple[str, str]]

STATUS = (
    *("ENDPOINT", "MEMBER", "VERSION", "ROLE", "REVISION", "RAFT TERM", "DB SIZE", "ALARMS"),
    *("LATENCY", "USER", "TLS", "EXPIRES", "REASON"),
)
"""The columns of ``status``. The last one is empty for an endpoint that answers."""


def escape(text: str) -> str:
    r"""
    Return *text* with ``\t \n \r \\``, and ``\xNN`` for each *byte* of what is not printable.

    ``printf %b`` reverses it:

    >>> print(escape("a\tb\\c\x1b[0m\x9b\u202e\udcff"))
    a\tb\\c\x1b[0m\xc2\x9b\xe2\x80\xae\xff
    """
    return printable(text.replace("\\", r"\\"))


def safe_json(text: str) -> str:
    r"""
    Return JSON that means the same as *text*, with the escapes of JSON for what is not printable.

    Bytes that are not UTF-8 become U+FFFD, because JSON has no bytes.

    >>> print(safe_json('"\x7f\u202e\udcff"'))
    "\u007f\u202e�"
    """
    if text.isascii() and "\x7f" not in text:  # JSON has no other control characters
        return text
    return replace_unprintable(text, _json_character)


def quote_go(text: str) -> str:
    r"""
    Return *text* as Go's ``%q`` does.

    >>> print(quote_go('a"\t\x7f\x9b\u202e\udcff'))
    "a\"\t\x7f\u009b\u202e\xff"
    """
    quoted = text.replace("\\", r"\\").replace('"', r"\"")
    return f'"{replace_unprintable(quoted, _go_character)}"'


def lease_id(lease: int) -> str:
    """Return *lease* as etcdctl writes it, and "0" for none."""
    return f"{lease:016x}" if lease else "0"


def byte_size(size: int) -> str:
    """
    Return *size* in bytes as etcdctl prints it, in powers of 1000.

    >>> byte_size(999), byte_size(20480), byte_size(9_960_000), byte_size(2_100_000_000)
    ('999 B', '20 kB', '10 MB', '2.1 GB')
    """
    number, unit = float(size), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if number < 1000:
            break
        number, unit = number / 1000, larger
    rounded = floor(number * 10 + 0.5) / 10
    digits = 1 if rounded < 10 and unit != "B" else 0
    return f"{rounded:.{digits}f} {unit}"


def counted(count: int, noun: str) -> str:
    """
    Return *count* with its noun.

    >>> counted(1, "endpoint"), counted(2, "endpoint")
    ('1 endpoint', '2 endpoints')
    """
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def unreadable(found: InvalidValue) -> str:
    """Return the key of a value that is not an endpoint, and the reason."""
    return f"{found.key}: {found.reason}"


def _json_character(character: str) -> str:
    if _is_surrogate(character):
        return "\N{REPLACEMENT CHARACTER}"
    return encode_basestring_ascii(character)[1:-1]


def _go_character(character: str) -> str:
    code = ord(character)
    if character in _SHORT_GO:
        return _SHORT_GO[character]
    if character.isascii() or is_byte(character):
        return f"\\x{code & 0xFF:02x}"
    if _is_surrogate(character):
        return r"\ufffd"
    return f"\\u{code:04x}" if character <= "\uffff" else f"\\U{code:08x}"


def _is_surrogate(character: str) -> bool:
    return "\ud800" <= character <= "\udfff"


def event_type(change: Change) -> str:
    """Return ``PUT`` or ``DELETE``, as etcdctl prints it."""
    return "DELETE" if change.endpoint is None else "PUT"


def effect(change: Change) -> str:
    """Return ``added``, ``changed``, ``removed`` or ``renewed`` (only lease or revision differ)."""
    if change.endpoint is None:
        return "removed"
    if change.previous is None:
        return "added"
    return "changed" if matters_to_clients(change) else "renewed"


def difference_effect(difference: Difference) -> str:
    """Return ``added``, ``changed`` or ``removed``."""
    if difference.update.endpoint is None:
        return "removed"
    return "changed" if difference.before else "added"


def counts(plan: Plan) -> Mapping[str, int]:
    """Return how many endpoints of *plan* are ``added changed removed unchanged``."""
    effects = [*map(difference_effect, plan.differences)]
    found = {each: effects.count(each) for each in ("added", "changed", "removed")}
    return {**found, "unchanged": len(plan.unchanged)}


def matters_to_clients(change: Change) -> bool:
    """Return whether the endpoint itself changed: the same endpoint put again does not matter."""
    if change.endpoint is None or change.previous is None:
        return True
    return encode(change.previous.endpoint) != encode(change.endpoint)


def subject(change: Change) -> tuple[Endpoint, int]:
    """Return the endpoint a change is about, and its lease; for a delete, the deleted endpoint."""
    if change.endpoint is None and change.previous is not None:
        return change.previous.endpoint, change.previous.lease
    return change.endpoint or Endpoint(""), change.lease


def endpoint_facts(stored: StoredEndpoint, ttl: LeaseTTL | None, fault: str) -> Facts:
    """Return names and values; the first is the key."""
    return [
        ("KEY", escape(stored.key)),
        ("ADDR", escape(stored.endpoint.addr)),
        ("METADATA", safe_json(dumps_again(stored.endpoint.metadata))),
        ("LEASE", lease_id(stored.lease) if stored.lease else "-"),
        ("TTL", _ttl(ttl)),
        ("CREATE REVISION", str(stored.create_revision)),
        ("MOD REVISION", str(stored.mod_revision)),
        ("VERSION", str(stored.version)),
        ("DIALABLE", f"no: {printable(fault)}" if fault else "yes"),
    ]


def invalid_facts(found: InvalidValue) -> Facts:
    """Return names and values of a key whose value can't be read."""
    return [
        ("KEY", escape(found.key)),
        ("NOT AN ENDPOINT", printable(found.reason)),
        ("VALUE", escape(found.value.decode("utf-8", "surrogateescape"))),
        ("LEASE", lease_id(found.lease) if found.lease else "-"),
        ("MOD REVISION", str(found.mod_revision)),
    ]


def health_cells(health: EndpointHealth) -> Sequence[str]:
    """Return key, address, status, latency and reason."""
    seconds = "-" if health.seconds is None else f"{1000 * health.seconds:.1f}ms"
    key, addr = escape(health.stored.key), escape(health.stored.endpoint.addr)
    return key, addr, health.status, seconds, printable(health.reason)


def status_cells(found: EtcdStatus) -> Sequence[str]:
    """Return the cells of `STATUS`; "-" is unknown or not there."""
    status = found.status
    if status is None:
        unknown = ["-"] * (len(STATUS) - 2)
        return [escape(found.endpoint), *unknown, printable(found.reason)]
    return [
        escape(found.endpoint),
        f"{status.header.member_id:x}",
        printable(status.version),
        status.role,
        str(status.header.revision),
        str(status.header.raft_term),
        byte_size(status.size),
        printable("; ".join(status.errors)) or "-",
        f"{1000 * status.seconds:.1f}ms",
        printable(status.user) or "-",
        status.tls or "-",
        status.expires or "-",
        "",
    ]


def _ttl(ttl: LeaseTTL | None) -> str:
    if ttl is None:
        return "-"
    return f"{ttl.remaining}s of {ttl.granted}s" if ttl.remaining >= 0 else "gone"
