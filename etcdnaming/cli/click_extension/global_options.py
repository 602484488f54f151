"""Offer the settings as options of click, the same before and after the name of the command."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import click
from click.core import ParameterSource

from ..output import FORMATS
from ..parsing import Candidate, Parsed, complete_file
from ..settings import SETTINGS, Setting, check_supported
from .arguments import opposite

__all__ = ["GLOBAL_OPTIONS", "settings_given"]

_GIVEN = "etcdnaming.given"


def settings_given(ctx: click.Context) -> Mapping[str, Any]:
    """Return the settings on the command line, parsed; the command's win over the group's."""
    found: dict[str, Any] = ctx.meta.setdefault(_GIVEN, {})
    return found


def _remember(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    # All contexts share `meta`; the command's options are parsed after the group's.
    if ctx.get_parameter_source(param.name or "") is ParameterSource.COMMANDLINE:
        setting = _BY_NAME[param.name]
        value = tuple(chain.from_iterable(value)) if param.multiple else value
        check_supported(setting, value, setting.flag)
        ctx.meta.setdefault(_GIVEN, {})[setting.key] = value


def _complete_format(_: click.Context, beginning: str) -> Sequence[Candidate]:
    return [(name, "plain") for name in FORMATS if name.startswith(beginning)]


_COMPLETE = {"FILE": complete_file, "FORMAT": _complete_format}


def _options(setting: Setting) -> Iterator[click.Option]:
    names = [setting.flag, *setting.short, _name(setting)]
    if setting.metavar:
        yield click.Option(
            names,
            type=Parsed(setting.key, setting.parse, _COMPLETE.get(setting.metavar)),
            multiple=isinstance(setting.default, tuple),  # a repeated option extends the list
            metavar=setting.metavar,
            help=setting.help,
            hidden=bool(setting.refusal),
            expose_value=False,
            callback=_remember,
        )
        return
    for name, value in ((setting.flag, True), (opposite(setting.flag), False)):
        yield click.Option(
            [name, *(setting.short if value else ()), _name(setting)],
            is_flag=True,
            flag_value=value,
            help=setting.help,
            hidden=not value or bool(setting.refusal),
            expose_value=False,
            callback=_remember,
        )


def _name(setting: Setting) -> str:
    return f"setting_{setting.key}"  # --key FILE is not the argument KEY


_BY_NAME: dict[str | None, Setting] = {_name(setting): setting for setting in SETTINGS}

GLOBAL_OPTIONS: tuple[click.Option, ...] = tuple(
    chain.from_iterable(_options(setting) for setting in SETTINGS)
)
