"""Run the command line, and turn errors into messages and exit codes."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence

import click
from click.exceptions import Exit

from .. import __version__, errors
from . import failures, stderr
from .click_extension import Group
from .commands import ALIASES, COMMANDS, SYNONYMS
from .output.streams import flush, write

__all__ = ["cli", "main"]

# The first row that matches counts.
STATUS: tuple[tuple[type[Exception], int], ...] = (
    (click.ClickException, 128),
    (errors.InvalidTargetError, 128),
    (errors.InvalidKeyError, 128),
    (errors.InvalidEndpointError, 128),
    (errors.InvalidSettingError, 128),
    (errors.TooManyOperationsError, 128),
    (errors.ConnectionFailedError, 2),
    (errors.AuthenticationError, 2),
    (errors.NotNowError, 2),
    (errors.InvalidValueError, 3),
    (failures.InputError, 3),
    (failures.UnsupportedFormatError, 4),
    (failures.WatchCanceledError, 5),
    (failures.LeaseLostError, 5),
    (failures.NotServingError, 1),
    (failures.NotFoundError, 7),
    (errors.EndpointNotFoundError, 7),
    (errors.ConditionFailedError, 8),
    (errors.ConflictError, 8),
    (failures.TimedOutError, 124),
    (failures.CommandNotRunError, 126),
    (failures.CommandNotFoundError, 127),
    (errors.EtcdnamingError, 1),
    (failures.OutputError, 6),
    (OSError, 1),
)


def _show_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        write([f"etcdnaming {__version__}\n"])
        ctx.exit()


HELP = """
Register and find gRPC services in etcd, as Go's client/v3/naming does.

$ etcdnaming add foo/bar/svc/e1 --addr 1.2.3.4:80
OK
$ etcdnaming list foo/bar/svc
foo/bar/svc/e1  1.2.3.4:80  null

Options may be given before or after the command, or in the environment: --endpoints is also
ETCDNAMING_ENDPOINTS and, as for etcdctl, ETCDCTL_ENDPOINTS. =false switches a flag off.
"""


@click.group(
    help=HELP,
    cls=Group,
    listed=COMMANDS,
    aliases=ALIASES,
    synonyms=SYNONYMS,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Print the version.",
)
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Print the help page if there is no command."""
    if ctx.invoked_subcommand is None:
        write([ctx.get_help(), "\n"])
        ctx.exit()


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run the command line *argv* (default: this process's) and return the exit code.

    Raises:
        BrokenPipeError: The reader of stdout or stderr is gone.
    """
    try:
        try:
            return _run(sys.argv[1:] if argv is None else [*argv])
        finally:
            flush()  # before an error is printed; a full disk is an error here
    except BrokenPipeError:
        raise
    except Exception as exc:  # noqa: BLE001 - every error has an exit code
        return _fail(exc)


def _run(args: list[str]) -> int:
    # cli.main(standalone_mode=False) is not used: it turns a closed pipe into exit code 1.
    if instruction := os.environ.get("_ETCDNAMING_COMPLETE"):
        from .commands.completion import answer  # only for the TAB key

        return answer(cli, instruction)
    try:
        with cli.make_context("etcdnaming", args) as ctx:
            return cli.invoke(ctx) or 0
    except Exit as exc:
        return exc.exit_code


def _fail(exc: Exception) -> int:
    if isinstance(exc, failures.DiffFailedError) and isinstance(exc.__cause__, Exception):
        return max(_fail(exc.__cause__), 2)
    if isinstance(exc, RuntimeError) and "start new thread" in str(exc):
        exc = BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))  # as fork() fails
    for kind, status in STATUS:
        if isinstance(exc, kind):
            stderr.error(_message(exc))
            return status
    import traceback  # only for a bug

    for line in traceback.format_exc().splitlines():  # a message may quote etcd
        stderr.say(line)
    stderr.error("this is a bug in etcdnaming, please report it")
    return 1


def _message(exc: Exception) -> str:
    if isinstance(exc, OSError):
        return failures.describe(exc)
    if isinstance(exc, errors.TooManyOperationsError):
        return f"{exc}; set --max-txn-ops to the server's limit, or split with --batch-size N"
    if not isinstance(exc, click.ClickException):
        return failures.with_flags(str(exc))
    text = " ".join(exc.format_message().split()).rstrip(".")
    context = getattr(exc, "ctx", None)
    return f"{text} (see {context.command_path} --help)" if context else text
