"""
What TAB offers, from etcd: within a second for everything, or nothing at all, in silence.

Nobody is asked for a password, and what a shell's script would expand again is left out.
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

PATIENCE = 0.7
"""Seconds for asking; Python and gRPC had their share of the second before."""

MOST = 200
"""More is not read by anybody."""

_SAFE = re.compile(r"[\w./:@%+,=\[\]-]+")


def complete_keys(ctx: click.Context, beginning: str) -> Sequence[Offer]:
    """Return keys that begin like this."""
    return _asked(ctx, lambda app: app.keys_beginning(beginning))


def complete_targets(ctx: click.Context, beginning: str) -> Sequence[Offer]:
    """Return targets that begin like this."""
    return _asked(ctx, lambda app: app.targets_beginning(beginning))


def complete_prefixes(ctx: click.Context, beginning: str) -> Sequence[Offer]:
    """Return targets that begin like this, as what all in them begins with."""
    return [(f"{target}/", kind) for target, kind in complete_targets(ctx, beginning)]


def _asked(ctx: click.Context, ask: Callable[[App], Iterator[str]]) -> Sequence[Offer]:
    times = {"dial_timeout": PATIENCE, "command_timeout": PATIENCE}
    alarm = threading.Timer(PATIENCE, os._exit, [0])
    alarm.daemon = True
    alarm.start()
    try:
        with App({**given(ctx), **times, "debug": False}, os.environ, _nobody) as app:
            return [(text, "plain") for text in islice(filter(_SAFE.fullmatch, ask(app)), MOST)]
    except (EtcdnamingError, OSError, ValueError):
        return ()
    finally:
        alarm.cancel()


def _nobody(_: str) -> NoReturn:
    raise InvalidSettingError("nobody is asked for a password here")
