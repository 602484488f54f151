"""The command ``etcdnaming sandbox``."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from ...sandbox import Sandbox
from .. import stderr
from ..app import App, pass_app
from ..child import environment, run
from ..click_extension.command import Command
from ..signals import unwinding

__all__ = ["command"]

END_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

PROMPT = "(sandbox) "

ZSH = f"""
ZDOTDIR=${{ETCDNAMING_ZDOTDIR:-$HOME}}
[ -e "$ZDOTDIR/.zshrc" ] && . "$ZDOTDIR/.zshrc"
PS1="{PROMPT}$PS1"
"""
BASH = f"""
[ -e ~/.bashrc ] && . ~/.bashrc
PS1="{PROMPT}$PS1"
"""
FISH = f"""
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
            return run(cmd, variables)
        stderr.say(f"etcd runs at {sandbox.endpoint}; exit the shell to remove it")
        with tempfile.TemporaryDirectory(prefix="etcdnaming-") as directory:
            return run(*_shell(Path(directory), variables))


def _shell(
    directory: Path, variables: Mapping[str, str]
) -> tuple[Sequence[str], Mapping[str, str]]:
    """
    Return the user's shell with a prompt that names the sandbox, and its variables.

    Shells set the prompt in their own files; so the one they are given runs those first.
    """
    shell = os.environ.get("SHELL") or "/bin/sh"
    name = Path(shell).name
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
