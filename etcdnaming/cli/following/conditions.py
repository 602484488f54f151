"""What ``wait`` waits for, and what of it is missing."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from ...model import StoredEndpoint
from ..output.spelling import counted

__all__ = ["Conditions"]


class Conditions(NamedTuple):
    """
    How many endpoints there are to be, and which addresses are to be *there* or *gone*.

    >>> Conditions(2, None, ("10.0.0.1:80",), ()).missing(())
    '0 of at least 2 endpoints; 10.0.0.1:80 is missing'
    """

    at_least: int
    at_most: int | None
    there: Sequence[str]
    gone: Sequence[str]

    def missing(self, endpoints: Collection[StoredEndpoint]) -> str:
        """Return what is not as it is to be; nothing if all is."""
        return "; ".join(self._missing(len(endpoints), {each.endpoint.addr for each in endpoints}))

    def _missing(self, count: int, addrs: Collection[str]) -> Iterator[str]:
        if count < self.at_least:
            yield f"{count} of at least {self.at_least} endpoints"
        if self.at_most is not None and count > self.at_most:
            yield f"{counted(count, 'endpoint')}, more than {self.at_most}"
        for addr in self.there:
            if addr not in addrs:
                yield f"{addr} is missing"
        for addr in self.gone:
            if addr in addrs:
                yield f"{addr} is still there"
