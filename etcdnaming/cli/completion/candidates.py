"""
Completion candidates from etcd: within a second in all, or silently none.

A password is never asked for. Candidates that the shell would expand again are left out.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, NoReturn

from ...errors import EtcdnamingError, InvalidSettingError
from ..app import App
from ..grammar.parsed import Offer
from ..settings.global_options import given

if TYPE_CHECKING:
    import click

__all__ = ["complete_keys", "complete_prefixes", "complete_targets"]

QUERY_TIMEOUT = 0.7
"""Seconds for etcd; starting Python and gRPC takes the rest of the second."""

MAX_CANDIDATES = 200

_SAFE = re.compile(r"[\w./:@%+,=\[\]-]+")


def complete_keys(ctx: click.Context, beginning: str) -> Sequence[Offer]:
    """Return keys that begin with *beginning*."""
    return _query(ctx, lambda app: app.keys_with_prefix(beginning))


def complete_targets(ctx: click.Context, beginning: str) -> Sequence[Offer]:
    """Return targets that begin with *beginning*."""
    return _query(ctx, lambda app: app.targets_with_prefix(beginning))


def complete_prefixes(ctx: click.Context, beginning: str) -> Sequence[Offer]:
    """Return targets that begin with *beginning*, with a trailing "/"."""
    return [(f"{target}/", kind) for target, kind in complete_targets(ctx, beginning)]


def _query(ctx: click.Context, ask: Callable[[App], Iterator[str]]) -> Sequence[Offer]:
    times = {"dial_timeout": QUERY_TIMEOUT, "command_timeout": QUERY_TIMEOUT}
    alarm = threading.Timer(QUERY_TIMEOUT, os._exit, [0])
    alarm.daemon = True
    alarm.start()
    try:
        with App({**given(ctx), **times, "debug": False}, os.environ, _refuse_to_ask) as app:
            return [
                (text, "plain")
                for text in islice(filter(_SAFE.fullmatch, ask(app)), MAX_CANDIDATES)
            ]
    except (EtcdnamingError, OSError, ValueError):
        return ()
    finally:
        alarm.cancel()


def _refuse_to_ask(_: str) -> NoReturn:
    raise InvalidSettingError("completion asks for no password")
