"""
The endpoints of etcd in the DNS: SRV records (RFC 2782), as etcdctl looks them up.

Members with TLS are at ``_etcd-client-ssl._tcp.DOMAIN``, others at ``_etcd-client._tcp.DOMAIN``.
The library dnspython of the extra ``etcdnaming[srv]`` asks; it is imported only where it is needed.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from ..errors import ConnectionFailedError, InvalidSettingError
from ..extras import missing
from ..log import logger
from .deadline import Deadline
from .security import Address
from .threads import start_thread

if TYPE_CHECKING:
    import dns.name
    import dns.rdtypes.IN.SRV

__all__ = ["Discovery"]

TRIES = 4
"""How often one of several DNS servers may be silent before the time is over."""

_SCHEMES = {"https": "_etcd-client-ssl", "http": "_etcd-client"}

# As Go's resolver has it: other names, and those of digits only, are no host names.
_LABEL = re.compile(rb"[0-9A-Za-z_-]+")

_log = logger(__name__)


class Discovery:
    """
    Finds the endpoints of *domain*; each call asks the DNS again.

    Args:
        domain: The name below which the records are.

        service: What follows ``_etcd-client`` or ``_etcd-client-ssl`` and a hyphen, if anything.

        insecure: Whether members without TLS are taken. If not, the certificate of each member has
            to be for *domain*.

        others: The endpoints to use if only members without TLS are found, and are not taken.

    Raises:
        InvalidSettingError: There can be no such name, or dnspython is not installed.
    """

    def __init__(
        self, domain: str, service: str | None, *, insecure: bool, others: Sequence[Address]
    ) -> None:
        try:
            import dns.exception
            import dns.name
        except ImportError:
            reason = f"SRV records can't be read: {missing('srv')}"
            raise InvalidSettingError(reason, setting="discovery_srv") from None
        suffix = f"-{service}" if service else ""
        names = [f"{name}{suffix}._tcp.{domain}" for name in _SCHEMES.values()]
        try:
            self._server_name = dns.name.from_text(domain).to_text(omit_final_dot=True)
            self._names = [dns.name.from_text(name, None) for name in names]
        except (dns.exception.DNSException, UnicodeError) as exc:
            raise InvalidSettingError(
                f"no SRV record can be at {names[1]!r}: it is not a domain name",
                setting="discovery_srv",
            ) from exc
        self._insecure = insecure
        self._others = others

    def __str__(self) -> str:
        return f"the SRV records {self._names[0]} and {self._names[1]}"

    def find(
        self, deadline: Deadline, woken: threading.Condition, *, known: bool
    ) -> Sequence[Address]:
        """
        Return the endpoints: those with TLS first, by priority and weight.

        Half of the time is left over if some are *known* or found. The code that cuts the
        *deadline* notifies *woken*.

        Raises:
            ConnectionFailedError: There are none, or the DNS does not answer.
        """
        lookups = [
            _Lookup(name, scheme, deadline.left(), woken)
            for name, scheme in zip(self._names, _SCHEMES, strict=True)
        ]
        for lookup in lookups:
            start_thread(lookup.run, "etcdnaming-discovery")
        half = deadline.left() / 2
        with woken:
            while not all(lookup.done for lookup in lookups):
                kept = half if known or any(lookup.found for lookup in lookups) else 0.0
                if deadline.left() <= kept:
                    break
                woken.wait(deadline.left() - kept)
        return self._choose(*lookups)

    def _choose(self, secure: _Lookup, plain: _Lookup) -> Sequence[Address]:
        if self._insecure and (secure.found or plain.found):
            return [*secure.found, *plain.found]
        if self._insecure or not (secure.found or plain.found):
            raise ConnectionFailedError(
                f"no etcd endpoint found in the DNS: {secure.name}: {secure.reason}; "
                f"{plain.name}: {plain.reason}"
            )
        unused = f"the endpoints without TLS at {plain.name} are not used"
        if not (secure.found or self._others):
            raise ConnectionFailedError(
                f"no etcd endpoint found in the DNS: {secure.name}: {secure.reason}; {unused}"
            )
        if plain.found:
            _log.warning("%s", unused)
        return [
            each._replace(server_name=self._server_name, tls=each.tls is not False)
            for each in secure.found or self._others
        ]


class _Lookup:
    """The SRV records at one name, looked up in a thread; *woken* guards the outcome."""

    def __init__(
        self, name: dns.name.Name, scheme: str, seconds: float, woken: threading.Condition
    ) -> None:
        self.name = name.to_text()  # ASCII, with the rest escaped
        self.found: Sequence[Address] = ()
        self.reason = "no answer"
        self.done = False
        self._name, self._scheme, self._seconds, self._woken = name, scheme, seconds, woken

    def run(self) -> None:
        found: Sequence[Address] = ()
        reason = ""
        try:
            found, reason = self._look_up()
        except Exception as exc:  # noqa: BLE001 - whatever it is, it is why there are no records
            reason = _explain(exc)
        with self._woken:
            self.found, self.reason, self.done = found, reason, True
            self._woken.notify_all()

    def _look_up(self) -> tuple[Sequence[Address], str]:
        import dns.resolver

        resolver = dns.resolver.Resolver()  # reads the system's settings
        resolver.timeout = self._seconds / TRIES
        answer = resolver.resolve(self._name, "SRV", lifetime=self._seconds, search=True)
        records: Sequence[Any] = answer.rrset.processing_order() if answer.rrset else ()
        usable = [each for each in records if _is_usable(each)]
        if len(usable) < len(records):
            bad = next(each for each in records if not _is_usable(each))
            _log.warning(
                "%d of %d SRV records at %s are not used, as they name no host and port: %s",
                len(records) - len(usable),
                len(records),
                self.name,
                bad,
            )
        found = dict.fromkeys(partial(_address, self._scheme)(each) for each in usable)
        return [*found], "" if found else "its records name no host and port"


def _is_usable(record: dns.rdtypes.IN.SRV.SRV) -> bool:
    *labels, _ = record.target.labels
    return (
        record.port > 0
        and all(map(_LABEL.fullmatch, labels))
        and not b"".join(labels).isdigit()
        and labels != []
    )


def _address(scheme: str, record: dns.rdtypes.IN.SRV.SRV) -> Address:
    # The dot at the end keeps the system's search list away from a name that is complete.
    name = record.target.to_text(omit_final_dot=True)
    text = f"{scheme}://{name}:{record.port}"
    return Address(text, f"dns:///{name}.:{record.port}", scheme == "https", name)


def _explain(exc: Exception) -> str:
    import dns.exception
    import dns.resolver

    if isinstance(exc, (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer)):
        return "no SRV record"
    if isinstance(exc, dns.exception.Timeout):
        return "no answer"
    if isinstance(exc, dns.resolver.NoResolverConfiguration):
        return "this system has no settings for the DNS (/etc/resolv.conf)"
    if isinstance(exc, dns.resolver.NoNameservers):
        # Each error: the server, whether by TCP, the port, what went wrong, and the answer, if any.
        return f"the DNS server failed: {exc.kwargs['errors'][-1][3]}"
    return str(exc) or type(exc).__name__
