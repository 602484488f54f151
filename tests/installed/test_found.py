"""man and the shells find the installed files under share/."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from harness import AT_ONCE, Etcd
from harness.environment import Changes
from harness.installed import Installed
from harness.typed import Typed

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]  # the first one installs the wheel

KEYS = ["foo/svc/10.0.0.1:80", "foo/svc/10.0.0.2:80", "foo/web/e1", "bar/e1"]
FOR_LONG = {"ETCDNAMING_DIAL_TIMEOUT": "60s"}
DEAD = {"ETCDNAMING_ENDPOINTS": "127.0.0.1:1", **FOR_LONG}
UNREACHABLE = {"ETCDNAMING_ENDPOINTS": "192.0.2.1:2379", **FOR_LONG}

Typing = Callable[..., Typed]


@pytest.fixture
def filled(etcd: Etcd) -> Etcd:
    """Return an etcd with some targets."""
    etcd.put_all({key.encode(): b"" for key in KEYS})
    return etcd


@pytest.fixture
def typing(installed: Installed) -> Iterator[Typing]:
    """``typing("zsh", "-f")``: a shell in which the program is installed."""
    with ExitStack() as stack:

        def start(*command: str, env: Changes | None = None) -> Typed:
            return stack.enter_context(closing(Typed(command, installed.environment(env))))

        yield start


@pytest.mark.parametrize("page", ["etcdnaming", "etcdnaming-add", "etcdnaming-format"])
def test_man_finds_the_installed_pages(installed: Installed, page: str) -> None:
    """Beside the bin/ that is on PATH."""
    found = installed("man", "-w", page, env={"MANPATH": None}).out

    assert found.startswith(f"{installed.prefix}/share/man/man")


def test_bash_completes_commands_and_keys(typing: Typing, filled: Etcd) -> None:
    """With bash-completion, which reads the file at the first TAB."""
    bash = typing("bash", "--norc", "--noprofile")
    bash.do("source /usr/share/bash-completion/bash_completion")

    assert_completes(bash)


def test_zsh_completes_commands_and_keys(typing: Typing, filled: Etcd, prefix: Path) -> None:
    """From its function path."""
    zsh = typing("zsh", "-f")
    zsh.do(f"fpath=({prefix}/share/zsh/site-functions $fpath)")
    zsh.do("autoload -Uz compinit; compinit -u -D")

    assert_completes(zsh)
    zsh.types("etcdnaming list --consistency=l\t", "etcdnaming list --consistency=l ")


def assert_completes(shell: Typed) -> None:
    """Commands, options, values of options, targets, keys, and in the middle of an address."""
    shell.types("etcdnaming txn\t", "etcdnaming txn-update ")
    shell.types("etcdnaming list --addrs\t", "etcdnaming list --addrs-only ")
    shell.types("etcdnaming -w js\t", "etcdnaming -w json ")
    shell.types("etcdnaming list b\t", "etcdnaming list bar ")
    shell.types("etcdnaming del foo/w\t", "etcdnaming del foo/web/e1 ")
    shell.types("etcdnaming del foo/svc/10.0.0.1:\t", "etcdnaming del foo/svc/10.0.0.1:80 ")
    shell.types("etcdnaming del --all=foo/s\t", "etcdnaming del --all=foo/svc/ ")


def test_fish_completes_commands_and_keys(installed: Installed, filled: Etcd) -> None:
    """From the vendor directory for completions."""

    def offered(line: str) -> list[str]:
        done = installed("fish", "--private", "-c", f"complete --do-complete {line!r}")
        assert done.err == ""
        return [each.partition("\t")[0] for each in done.out.splitlines()]

    def offers(line: str, only: str) -> bool:
        # On a busy machine the time for a completion may not be enough.
        return [only] in (offered(line) for _ in range(20))

    assert offers("etcdnaming txn", "txn-update")
    assert offers("etcdnaming list --addrs", "--addrs-only")
    assert offers("etcdnaming -w js", "json")
    assert offers("etcdnaming list b", "bar")
    assert offers("etcdnaming del foo/svc/10.0.0.1:", "foo/svc/10.0.0.1:80")
    assert offers("etcdnaming del --all=foo/s", "--all=foo/svc/")


@pytest.mark.parametrize("etcd_is", [DEAD, UNREACHABLE], ids=["dead", "unreachable"])
@pytest.mark.parametrize("shell", [("bash", "--norc", "--noprofile"), ("zsh", "-f")])
def test_completion_prints_nothing_without_an_etcd(
    typing: Typing, prefix: Path, shell: tuple[str, ...], etcd_is: dict[str, str]
) -> None:
    """Within a second, and the command line is unchanged."""
    typed = typing(*shell, env=etcd_is)
    if shell[0] == "bash":
        typed.do(f"source {prefix}/share/bash-completion/completions/etcdnaming")
    else:
        typed.do(f"fpath=({prefix}/share/zsh/site-functions $fpath)")
        typed.do("autoload -Uz compinit; compinit -u -D")
    typed.types("etcdnaming wai\t", "etcdnaming wait ")  # what is read once, has been read

    start = time.monotonic()
    typed.types("etcdnaming list fo\t|end", "etcdnaming list fo|end")
    assert time.monotonic() - start < AT_ONCE
