"""How our commands differ from click's: in options, in help, and in being loaded late."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeAlias

import click

from ..settings.global_options import GLOBAL_OPTIONS
from .arguments import repeated, spell_out
from .help_page import Context, show_help, with_examples, write_options

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

__all__ = ["Command", "Entry", "Group"]

HABITS = {
    **dict.fromkeys(("get", "ls", "describe"), "list"),
    **dict.fromkeys(("put", "set", "create"), "add"),
    **dict.fromkeys(("delete", "remove", "rm"), "del"),
    **dict.fromkeys(("txn", "apply"), "txn-update"),
    **dict.fromkeys(("lease", "register"), "lease-register"),
}
"""What etcdctl and kubectl call it, and what it is called here."""

LEAST = 3
"""Characters of the beginning of a name that say which one is meant."""

ALIKE = 0.75
"""As `difflib` counts it; from 0.6 on, ``prefix`` and ``rev`` would be alike."""

Entry: TypeAlias = tuple[str, str]
"""The module of a command, and the first sentence of its help."""


class Command(click.Command):
    """
    A command that takes the global options too, and Go's ``--flag=false``.

    *exclusive* are the names of options of which only one may be used. Help does not point to the
    global options if it does not *use_etcd*.
    """

    context_class = Context

    def __init__(
        self,
        *args: Any,
        exclusive: Sequence[Sequence[str]] = (),
        use_etcd: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.help = with_examples(self.help)
        self._exclusive, self._use_etcd = exclusive, use_etcd

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the global options too."""
        return [*super().get_params(ctx), *GLOBAL_OPTIONS]

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        """Return the one that shows our page."""
        return _with_our_page(super().get_help_option(ctx))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse what Go would understand, and refuse options that contradict each other."""
        with _suggesting_what_help_shows(self.get_params(ctx)):
            rest = super().parse_args(ctx, _spelled(self, ctx, args))
        if not ctx.resilient_parsing:
            self._check_exclusive(ctx)
        return rest

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Show only what is this command's own."""
        write_options(super().get_params(ctx), ctx, formatter)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Say where the others are. A command without any of its own asks etcd nothing."""
        if not self._use_etcd or not any(isinstance(each, click.Option) for each in self.params):
            return
        formatter.write_paragraph()
        formatter.write_text("For --endpoints, --user, -w and more: etcdnaming --help")

    def _check_exclusive(self, ctx: click.Context) -> None:
        for names in self._exclusive:
            used = [each for each in names if ctx.params[each] not in (None, False, ())]
            if len(used) > 1:
                first, second, *_ = _spelled_names(self.params, used)
                raise click.UsageError(f"{first} and {second} can't be combined", ctx)


class Group(click.Group):
    """A group that loads a command only when that is used: *entries* are all `--help` needs."""

    context_class = Context

    def __init__(self, *args: Any, entries: Mapping[str, Entry], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.help = with_examples(self.help)
        self._entries = entries

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the global options too."""
        return [*super().get_params(ctx), *GLOBAL_OPTIONS]

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        """Return the one that shows our page."""
        return _with_our_page(super().get_help_option(ctx))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse what Go would understand."""
        with _suggesting_what_help_shows(self.get_params(ctx)):
            return super().parse_args(ctx, _spelled(self, ctx, args))

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order people need them."""
        return [*self._entries]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load a command."""
        if cmd_name not in self._entries:
            return None
        command: click.Command = import_module(self._entries[cmd_name][0]).command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Say which command may have been meant, if it is not one."""
        if args[0] not in self._entries and not ctx.resilient_parsing:
            habit = [each for each in [HABITS.get(args[0])] if each in self._entries]
            meant = habit or _near_misses(args[0], self._entries)
            hint = f", did you mean {meant[0]!r}?" if meant else ""
            raise click.UsageError(f"no such command {args[0]!r}{hint}", ctx)
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Offer the names of commands, or of options, without loading a command."""
        from click.shell_completion import CompletionItem  # only for TAB

        found = [
            CompletionItem(name, help=summary)
            for name, (_, summary) in self._entries.items()
            if name.startswith(incomplete)
        ]
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Show the commands first: they are what one looks for."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in self._entries.items()])
        write_options([*GLOBAL_OPTIONS, *super().get_params(ctx)], ctx, formatter)


@contextmanager
def _suggesting_what_help_shows(params: Sequence[click.Parameter]) -> Iterator[None]:
    """Not the hidden opposite of a flag, nor what would only be refused."""
    try:
        yield
    except click.NoSuchOption as exc:
        options = (param for param in params if isinstance(param, click.Option))
        shown = {name for option in options if not option.hidden for name in option.opts}
        words = [name.removeprefix("--") for name in shown if name.startswith("--")]
        meant = _near_misses(exc.option_name.removeprefix("--"), words)
        possibilities = [f"--{word}" for word in meant]
        raise click.NoSuchOption(exc.option_name, None, possibilities, exc.ctx) from None


def _near_misses(word: str, words: Iterable[str]) -> Sequence[str]:
    """Return those of *words* that begin with *word*, or else differ by a slip of the finger."""
    from difflib import get_close_matches  # only on the way to an error message

    longer = sorted(each for each in words if each.startswith(word) and len(word) >= LEAST)
    return longer or get_close_matches(word, words, cutoff=ALIKE)


def _with_our_page(option: click.Option | None) -> click.Option | None:
    if option is not None:
        option.callback = show_help
    return option


def _spelled(command: click.Command, ctx: click.Context, args: list[str]) -> list[str]:
    params = command.get_params(ctx)
    interspersed = ctx.allow_interspersed_args
    try:
        spelled = spell_out(args, params, interspersed=interspersed)
    except ValueError as exc:
        raise click.UsageError(str(exc), ctx) from exc
    name = "" if ctx.resilient_parsing else repeated(spelled, params, interspersed=interspersed)
    if name:
        raise click.UsageError(f"{name} takes one value, and is given more than once", ctx)
    return spelled


def _spelled_names(params: Sequence[click.Parameter], names: Sequence[str]) -> list[str]:
    """Return what users write for the parameters of these *names*."""
    return [
        param.opts[0] if isinstance(param, click.Option) else param.human_readable_name
        for param in params
        if param.name in names and not getattr(param, "hidden", False)
    ]
