"""The endpoints that are to be registered: as they are said, and when our address is known."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import click

from ... import keys
from ...model import Endpoint, Update
from ..failures import InputError
from ..files import display_name, read_bytes
from ..updates.endpoint import Notifier, complete
from ..updates.file import parse

__all__ = ["read_file", "settled"]


def read_file(file: str, check: Callable[[Update], None]) -> Sequence[Update]:
    """
    Return the endpoints in *file*: at least one, all under different keys, each of them checked.

    Raises:
        InputError: Its content is wrong.
        click.UsageError: It can't be read.
    """
    found: set[str] = set()

    def check_add(update: Update) -> None:
        if update.endpoint is None:
            raise ValueError("only what is added can be kept registered")
        check(update)
        key = keys.complete_key(update.key, update.endpoint.addr)
        if key in found:
            raise ValueError(f"{key} is named twice")
        found.add(key)

    updates = parse(read_bytes(file), display_name(file), check_add)
    if not updates:
        raise InputError(f"{display_name(file)}: there is no endpoint in it")
    return updates


def settled(
    updates: Iterable[Update], local_address: Callable[[], str], tells: Notifier
) -> dict[str, Endpoint]:
    """
    Return *updates* as endpoints by their keys, both in full.

    Raises:
        click.UsageError: An address needs a host, and ours is not one that others can use; or two
            turn out to be one, as :80 and that host with that port may.
    """
    endpoints: dict[str, Endpoint] = {}
    for update in updates:
        full = complete(update, local_address, tells)
        if full.key in endpoints:
            raise click.UsageError(f"{full.key} is named twice")
        if full.endpoint is not None:
            endpoints[full.key] = full.endpoint
    return endpoints
