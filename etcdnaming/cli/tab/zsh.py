"""zsh: the script it reads, also from its function path, and how an answer is spelled for it."""

from __future__ import annotations

from typing import Any

from click.shell_completion import CompletionItem, ZshComplete

__all__ = ["Zsh"]

# What stands before the = of --option=VALUE is set aside, or it would be replaced by the value.
_SCRIPT = """\
#compdef %(prog_name)s

_%(prog_name)s() {
    local -a plain described
    local kind value help file
    while IFS=$'\\t' read -r kind value help; do
        case $kind in
            plain) [[ -n $help ]] && described+=("${value//:/\\\\:}:$help") || plain+=("$value") ;;
            file) file=yes ;;
        esac
    done < <(COMP_WORDS="${words[*]}" COMP_CWORD=$((CURRENT - 1)) \\
        %(complete_var)s=zsh_complete $words[1] 2>/dev/null)
    [[ $words[CURRENT] == -*=* ]] && compset -P 1 '*='
    [[ -n $file ]] && _files
    (( $#described )) && _describe -V %(prog_name)s described
    (( $#plain )) && compadd -V %(prog_name)s -a plain
}

if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _%(prog_name)s "$@"
else
    compdef _%(prog_name)s %(prog_name)s
fi
"""


class Zsh(ZshComplete):
    """click's way to talk with zsh, one answer a line."""

    source_template = _SCRIPT

    def format_completion(self, item: CompletionItem[Any]) -> str:
        """Return the line for the script."""
        return f"{item.type}\t{item.value}\t{item.help or ''}"
