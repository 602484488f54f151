"""The command ``etcdnaming sandbox``."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import click

from ...sandbox import Sandbox
from .. import stderr
from ..app import App, pass_app
from ..child import environment, start
from ..click_extension import Command
from ..signals import pulsing, unwinding

__all__ = ["command"]

END_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

TERMINAL_SIGNALS = (signal.SIGINT, signal.SIGQUIT)
"""Not forwarded: the terminal sends them to the command too, which decides what they mean."""

FORWARDED_SIGNALS = (signal.SIGTERM, signal.SIGHUP)

PROMPT = "(sandbox) "

# The user's own files often put directories before PATH, ahead of an active virtual environment.
ZSH = f"""
ZDOTDIR=${{ETCDNAMING_ZDOTDIR:-$HOME}}
[ -e "$ZDOTDIR/.zshrc" ] && . "$ZDOTDIR/.zshrc"
PATH=$ETCDNAMING_SHELL_PATH:$PATH
unset ETCDNAMING_SHELL_PATH
PS1="{PROMPT}$PS1"
"""
BASH = f"""
[ -e ~/.bashrc ] && . ~/.bashrc
PATH=$ETCDNAMING_SHELL_PATH:$PATH
unset ETCDNAMING_SHELL_PATH
PS1="{PROMPT}$PS1"
"""
FISH = f"""
set --export PATH $ETCDNAMING_SHELL_PATH $PATH
set --erase ETCDNAMING_SHELL_PATH
functions --copy fish_prompt _etcdnaming_prompt
function fish_prompt; printf "%s" "{PROMPT}"; _etcdnaming_prompt; end
"""


HELP = """
Run a command or a shell with a temporary etcd.

$ etcdnaming sandbox -- sh -c 'etcdctl put foo bar && etcdctl get foo'
OK
foo
bar

Environment variables in CMD point etcdctl and etcdnaming to this etcd only. When CMD exits, etcd
and its data are removed.
"""


@click.command(cls=Command, context_settings={"allow_interspersed_args": False}, help=HELP)
@click.argument("cmd", nargs=-1, type=click.UNPROCESSED, metavar="[-- CMD ARGS...]")
@pass_app
def command(app: App, cmd: Sequence[str]) -> int:
    """Run ``etcdnaming sandbox``."""
    app.refuse_flags("the sandbox starts its own etcd and prints only CMD's output")
    with unwinding(*END_SIGNALS), Sandbox() as sandbox:
        variables = sandbox.environment(environment())
        if cmd:
            return _run(cmd, variables)
        stderr.say(f"etcd runs at {sandbox.endpoint}; exit the shell to remove it")
        with tempfile.TemporaryDirectory(prefix="etcdnaming-") as directory:
            return _run(*_shell(Path(directory), variables))


def _shell(
    directory: Path, variables: Mapping[str, str]
) -> tuple[Sequence[str], Mapping[str, str]]:
    """
    Return the user's shell with a prompt that names the sandbox, and its variables.

    Shells set prompt and PATH in their own files; so the file that they get here runs those first.
    """
    shell = os.environ.get("SHELL") or "/bin/sh"
    name = Path(shell).name
    if name in {"bash", "zsh", "fish"}:
        variables = {**variables, "ETCDNAMING_SHELL_PATH": variables.get("PATH", os.defpath)}
    if name == "bash":
        (directory / "bashrc").write_text(BASH)
        return [shell, "--rcfile", str(directory / "bashrc"), "-i"], variables
    if name == "zsh":
        (directory / ".zshrc").write_text(ZSH)
        own = variables.get("ZDOTDIR", "")
        places = {"ZDOTDIR": str(directory), "ETCDNAMING_ZDOTDIR": own}
        return [shell, "-i"], {**variables, **places}
    if name == "fish":
        return [shell, "--interactive", "--init-command", FISH], variables
    return [shell], {**variables, "PS1": f"{PROMPT}$ "}


def _run(cmd: Sequence[str], variables: Mapping[str, str]) -> int:
    """
    Run *cmd* and return its exit code, 128 + n for signal n.

    Raises:
        CommandNotFoundError, CommandNotRunError: It could not be started.
    """
    forwarder = _SignalForwarder()
    with forwarder:
        process = start(cmd, variables)
        forwarder.set_process(process)
        with pulsing():
            status = process.wait()
    return 128 - status if status < 0 else status


class _SignalForwarder:
    """Forward signals to a process; those that arrive before it has started are kept for it."""

    def __init__(self) -> None:
        self._early: list[int] = []
        self._send: Callable[[int], None] = self._early.append
        self._before: dict[int, Any] = {}

    def set_process(self, process: subprocess.Popen[bytes]) -> None:
        """Forward to *process*, first the signals that have arrived already."""
        self._send = partial(_send, process)
        for signum in self._early:
            self._send(signum)

    def __enter__(self) -> None:
        # Terminal signals get a handler too: if they were ignored here, the process would inherit
        # that. Signals ignored from the start (nohup) stay ignored.
        for each in (*TERMINAL_SIGNALS, *FORWARDED_SIGNALS):
            if signal.getsignal(each) is not signal.SIG_IGN:
                self._before[each] = signal.signal(each, self._handle)

    def __exit__(self, *_: object) -> None:
        for each, handler in self._before.items():
            signal.signal(each, handler)

    def _handle(self, signum: int, _: FrameType | None) -> None:
        if signum in FORWARDED_SIGNALS:
            self._send(signum)


def _send(process: subprocess.Popen[bytes], signum: int) -> None:
    try:
        process.send_signal(signum)
    except PermissionError:
        name = signal.Signals(signum).name
        stderr.warn(f"{name} can't be sent: the command runs as another user")
