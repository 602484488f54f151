"""
Read command lines as etcdctl does: ``--debug``, ``--debug=false``, ``--debug=T``, ``-w=json``.

click has no flag that may carry a value and never takes the next word. So each flag has a hidden
opposite, ``--no-…``, and Go's spellings are rewritten to one or the other before click parses.
Only options are rewritten: not their values, not arguments, nothing after ``--``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click

from ..parsing import parse_bool

__all__ = ["find_repeated", "opposite", "options_used", "rewrite"]


def opposite(flag: str) -> str:
    """Return the name of the option that switches *flag* off."""
    return f"--no-{flag.removeprefix('--')}"


def rewrite(
    args: Sequence[str], params: Sequence[click.Parameter], *, interspersed: bool
) -> list[str]:
    """
    Return *args* as click takes them.

    ``--flag=VALUE`` becomes ``--flag`` or its opposite; ``-w=x`` and ``-wx`` become ``-w x``.

    Raises:
        ValueError: The value of a flag is neither true nor false.
    """
    flags, valued = _names(params, is_flag=True), _names(params, is_flag=False)
    rewritten: list[str] = []
    for words in _grouped(args, params, interspersed=interspersed):
        name, equals, value = words[0].partition("=")
        if equals and name in flags:
            rewritten.append(name if _parse_flag(name, value) else opposite(name))
        elif equals and name in valued and not name.startswith("--"):
            rewritten += [name, value]
        elif words[0][:2] in valued and not name.startswith("--"):
            rewritten += [words[0][:2], *filter(None, [words[0][2:]]), *words[1:]]
        else:
            rewritten += words
    return rewritten


def options_used(
    args: Sequence[str], params: Sequence[click.Parameter], *, interspersed: bool
) -> list[str]:
    """Return the name of each option in *args*, in their order; a repeated one each time."""
    names = _names(params, is_flag=True) | _names(params, is_flag=False)
    groups = _grouped(args, params, interspersed=interspersed)
    used = (words[0].partition("=")[0] for words in groups)
    return [name for name in used if name in names]


def find_repeated(
    args: Sequence[str], params: Sequence[click.Parameter], *, interspersed: bool
) -> str:
    """Return the first option in *args* that takes one value but is repeated; "" if none is."""
    single = [
        each
        for each in params
        if isinstance(each, click.Option) and not (each.is_flag or each.multiple)
    ]
    # The first option counts: a command's own ones are before the global ones.
    by_name = {name: each for each in reversed(single) for name in each.opts}
    seen: set[click.Option] = set()
    for name in options_used(args, params, interspersed=interspersed):
        option = by_name.get(name)
        if option in seen:
            return name
        if option is not None:
            seen.add(option)
    return ""


def _grouped(
    args: Sequence[str], params: Sequence[click.Parameter], *, interspersed: bool
) -> Iterator[Sequence[str]]:
    """Yield each option with its value (if that is the next word), each argument, and the rest."""
    valued = _names(params, is_flag=False)
    at = 0
    while at < len(args):
        is_argument = not args[at].startswith("-") or args[at] == "-"
        if args[at] == "--" or (is_argument and not interspersed):
            yield args[at:]
            return
        after = at + (2 if args[at] in valued else 1)
        yield args[at:after]
        at = after


def _names(params: Sequence[click.Parameter], *, is_flag: bool) -> frozenset[str]:
    options = (param for param in params if isinstance(param, click.Option))
    return frozenset(name for each in options if each.is_flag is is_flag for name in each.opts)


def _parse_flag(name: str, value: str) -> bool:
    try:
        return parse_bool(value)
    except ValueError as exc:
        raise ValueError(f"{name}: {exc}") from exc
