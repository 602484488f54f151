"""An interactive shell, controlled by keystrokes."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping

import pexpect

from .waiting import TIMEOUT

__all__ = ["Typed"]

_PROMPT = "ready> "
_PLAIN = {"TERM": "dumb", "PS1": _PROMPT, "PROMPT": _PROMPT, "HISTFILE": "/dev/null"}
# Ctrl-G prints the edited line as the shell stores it, however it is displayed.
_SHOW = {
    "bash": """bind -x '"\\C-g": printf "<%s>" "$READLINE_LINE"'""",
    "zsh": """show() { print -rn "<$BUFFER>" }; zle -N show; bindkey "^g" show""",
}


class Typed:
    """
    The interactive shell *command*, on a terminal.

    Args:
        env: Its whole environment.
    """

    def __init__(self, command: tuple[str, ...], env: Mapping[str, str]) -> None:
        program, *args = command
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # as in `Terminal`
            self._shell = pexpect.spawn(
                program,
                [*args, "-i"],
                env={**env, **_PLAIN},
                encoding="utf-8",
                timeout=TIMEOUT,
                dimensions=(24, 200),
            )
        self._shell.delaybeforesend = None  # as in `Terminal`
        self._shell.expect_exact(_PROMPT)
        self.do(_SHOW[program])

    def do(self, line: str) -> None:
        """Run *line*, which prints nothing, to its end."""
        self._shell.sendline(f"{line}; echo do''ne")
        self._shell.expect_exact("done\r\n")
        self._shell.expect_exact(_PROMPT)

    def types(self, keys: str, expected: str) -> None:
        """
        Press *keys*, and check that the line is *expected*; then clear it.

        Tries several times: on a busy machine the time for a completion may not be enough.
        """
        lines = (self._line_after(keys) for _ in range(20))
        assert expected in lines, f"the line was never {expected!r}"

    def _line_after(self, keys: str) -> str:
        self._shell.send(keys)
        self._shell.sendcontrol("g")
        self._shell.expect(r"<([^<>]*)>")
        self._shell.sendcontrol("u")
        assert isinstance(self._shell.match, re.Match)
        return str(self._shell.match[1])

    def close(self) -> None:
        """Hang up the terminal."""
        self._shell.close(force=True)
