"""Shell completion: the program called as the shells call it, and the shells themselves."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from harness import AT_ONCE, READER, Etcd, Run, Spawn
from harness.auth import ROOT
from harness.environment import Changes, pointing_at
from harness.process import command
from harness.typed import Typed

KEYS = ["foo/svc/10.0.0.1:80", "foo/svc/10.0.0.2:80", "foo/web/e1", "foo/web/z/e1", "bar/e1"]


TRIES = 20


@pytest.fixture
def filled(etcd: Etcd) -> Etcd:
    """Return an etcd with keys of several targets."""
    etcd.put_all({key.encode(): b"" for key in KEYS})
    return etcd


@pytest.fixture
def tab(spawn: Spawn) -> Callable[..., list[str]]:
    """
    Return ``tab(line)``: the candidates that bash gets for the last word of *line*.

    While there are none, it asks again, up to `TRIES` times: on a busy machine the time for a
    completion may not be enough. Pass ``tries=1`` where no candidates are expected.
    """

    def offers(line: str, env: Changes | None = None, tries: int = TRIES) -> list[str]:
        return next(filter(None, (offers_once(line, env) for _ in range(tries))), [])

    def offers_once(line: str, env: Changes | None) -> list[str]:
        words = line.split(" ")
        asked = {
            "_ETCDNAMING_COMPLETE": "bash_complete",
            "COMP_WORDS": "\n".join(words),
            "COMP_CWORD": str(len(words) - 1),
        }
        result = spawn(env={**asked, **(env or {})}).finish()
        assert (result.status, result.err) == (0, "")
        return result.out.split("\n")[:-1] if result.out != "\n" else []

    return offers


Tab = Callable[..., list[str]]


def test_completion_offers_commands(tab: Tab) -> None:
    """Their names are matched by prefix."""
    assert tab("etcdnaming a") == ["plain,add", "plain,apply"]
    assert tab("etcdnaming txn") == ["plain,txn-update"]
    assert {"plain,add", "plain,del", "plain,list"} < set(tab("etcdnaming "))


def test_completion_offers_options(tab: Tab) -> None:
    """The options of the command and the global ones; the negated forms of flags are hidden."""
    assert tab("etcdnaming list --co") == [
        "plain,--count-only",
        "plain,--consistency",
        "plain,--command-timeout",
    ]
    assert tab("etcdnaming --deb") == ["plain,--debug"]
    assert tab("etcdnaming list --no-") == ["plain,--no-lease", "plain,--no-headers"]
    assert tab("etcdnaming list --hex", tries=1) == []


def test_completion_takes_no_value_for_a_flag(tab: Tab, filled: Etcd) -> None:
    """The word after a flag is an argument."""
    assert tab("etcdnaming --debug li") == ["plain,list"]
    assert tab("etcdnaming --debug=false list ba") == ["plain,bar"]


def test_completion_offers_formats_and_leaves_files_to_the_shell(tab: Tab) -> None:
    """The candidate for a file is the word itself, marked as a file."""
    assert tab("etcdnaming -w j") == ["plain,json"]
    assert tab("etcdnaming --cacert /etc/pa") == ["file,/etc/pa"]
    assert tab("etcdnaming add svc/e1 --metadata-file x") == ["file,x"]
    assert tab("etcdnaming txn-update x") == ["file,x"]


def test_completion_offers_each_target_once(tab: Tab, filled: Etcd) -> None:
    """After a slash only the targets below that prefix are offered."""
    assert tab("etcdnaming list ") == ["plain,bar", "plain,foo/svc", "plain,foo/web"]
    assert tab("etcdnaming list foo/s") == ["plain,foo/svc"]
    assert tab("etcdnaming list foo/web/") == ["plain,foo/web/z"]
    assert tab("etcdnaming del --all foo/s") == ["plain,foo/svc/"]
    assert tab("etcdnaming add x/y --target ba") == ["plain,bar"]
    assert tab("etcdnaming watch bar foo/s") == ["plain,foo/svc"]
    assert tab("etcdnaming list none", tries=1) == []


def test_completion_offers_keys(tab: Tab, filled: Etcd) -> None:
    """Commands that take several keys complete each of them."""
    assert tab("etcdnaming del foo/w") == ["plain,foo/web/e1", "plain,foo/web/z/e1"]
    assert tab("etcdnaming del bar/e1 b") == ["plain,bar/e1"]
    assert tab("etcdnaming drain bar/e1 b") == ["plain,bar/e1"]
    assert tab("etcdnaming get b") == ["plain,bar/e1"]
    assert tab("etcdnaming txn-update --del b") == ["plain,bar/e1"]
    assert tab("etcdnaming txn-update --add x/y=1 --if-exists b") == ["plain,bar/e1"]


def test_completion_offers_the_addresses_of_the_target(tab: Tab, etcd: Etcd) -> None:
    """Each once, before and after the options that are given already."""
    addrs = {b"a/1": "10.0.0.1:80", b"a/2": "10.0.0.1:80", b"a/3": "10.0.0.2:80", b"b/1": "1:1"}
    etcd.put_all({key: f'{{"Addr":"{addr}"}}'.encode() for key, addr in addrs.items()})
    etcd.put("a/bad", "nonsense")

    assert tab("etcdnaming wait a --gone 10") == ["plain,10.0.0.1:80", "plain,10.0.0.2:80"]
    assert tab("etcdnaming wait --min 1 a --addr 10.0.0.2:80 --addr 10.0.0.1") == [
        "plain,10.0.0.1:80"
    ]
    assert tab("etcdnaming wait --addr 10", tries=1) == []


def test_completion_handles_words_that_bash_splits(tab: Tab, filled: Etcd) -> None:
    """bash splits words at colons and equals signs, and keeps the part before them."""
    assert tab("etcdnaming del foo/svc/10.0.0.1 :") == ["plain,80"]
    assert tab("etcdnaming del foo/svc/10.0.0.1 : 8") == ["plain,80"]
    assert tab("etcdnaming del --all = foo/s") == ["plain,foo/svc/"]

    host, port = filled.endpoint.split(":")
    nowhere = {"ETCDNAMING_ENDPOINTS": "127.0.0.1:1"}
    assert tab(f"etcdnaming --endpoints = {host} : {port} del b", nowhere) == ["plain,bar/e1"]
    assert tab(f"etcdnaming --endpoints={filled.endpoint} del b", nowhere) == ["plain,bar/e1"]


def test_completion_omits_keys_that_a_shell_would_expand(tab: Tab, etcd: Etcd) -> None:
    """A user with write permission in etcd could store commands."""
    bad = ["$(id)", "a b", "`id`", "*", "a\nb", "a\x1b[31m", "a;b", "'", '"', "\\", "~", "a\xff"]
    etcd.put_all({f"svc/{name}".encode("latin-1"): b"" for name in bad})
    etcd.put("svc/é", "")

    assert tab("etcdnaming del svc/") == ["plain,svc/é"]


def test_completion_limits_the_number_of_candidates(tab: Tab, etcd: Etcd) -> None:
    """It reads only that many keys from etcd."""
    etcd.put_all({f"svc/{each:05}".encode(): b"" for each in range(10_000)})
    etcd.put_all({f"t{each:05}/e1".encode(): b"" for each in range(300)})

    assert len(tab("etcdnaming del svc/")) == 200
    assert tab("etcdnaming list s") == ["plain,svc"]
    assert len(tab("etcdnaming list t")) <= 200


@pytest.mark.parametrize(
    "option",
    [
        "--endpoints 192.0.2.1:2379",
        "--endpoints 127.0.0.1:1",
        "--endpoints nonsense",
        "--user root",
        "--cacert /nowhere",
        "--debug=maybe",
        "--frob",
    ],
)
def test_completion_prints_nothing_when_it_fails(spawn: Spawn, filled: Etcd, option: str) -> None:
    """An error message would appear in the line that is being typed."""
    words = f"etcdnaming {option} list fo".split(" ")
    start = time.monotonic()

    result = spawn(
        env={
            "_ETCDNAMING_COMPLETE": "bash_complete",
            "COMP_WORDS": "\n".join(words),
            "COMP_CWORD": str(len(words) - 1),
            "ETCDNAMING_DIAL_TIMEOUT": "60s",
        }
    ).finish()

    assert (result.out.strip(), result.err) == ("", "")
    assert time.monotonic() - start < AT_ONCE


def test_completion_prints_nothing_when_etcd_is_frozen(
    tab: Tab, own_etcd: Callable[..., Etcd]
) -> None:
    """The connection stays open, but there is no response."""
    etcd = own_etcd()
    etcd.freeze()

    assert tab("etcdnaming list fo", {"ETCDNAMING_ENDPOINTS": etcd.endpoint}, 1) == []


def test_completion_uses_the_options_of_the_command_line(
    tab: Tab, auth_etcd: Callable[..., Etcd]
) -> None:
    """They include user and password; without read permission there are no candidates."""
    etcd = auth_etcd()
    etcd.put("svc/e1", "")
    etcd.put("other/e1", "")
    there = {"ETCDNAMING_ENDPOINTS": etcd.endpoint}

    assert tab(f"etcdnaming --user {ROOT} del o", there) == ["plain,other/e1"]
    assert tab(f"etcdnaming --user {READER} del svc/", there) == ["plain,svc/e1"]
    assert tab(f"etcdnaming --user {READER} del o", there, 1) == []
    assert tab("etcdnaming del o", there, 1) == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_for_each_shell(run: Run, shell: str) -> None:
    """The script calls the program to get the candidates."""
    result = run("completion", shell)

    assert (result.status, result.err) == (0, "")
    assert f"_ETCDNAMING_COMPLETE={shell}_complete" in result.out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script_has_valid_syntax(run: Run, shell: str) -> None:
    """Each shell parses its own script."""
    if not shutil.which(shell) and "CI" not in os.environ:
        pytest.skip(f"no {shell} here")  # a developer may have none; .ci/run brings them
    script = run("completion", shell).out

    done = subprocess.run([shell, "-n"], input=script, text=True, capture_output=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")


def test_bash_completes_in_the_middle_of_an_address(filled: Etcd, tmp_path: Path) -> None:
    """The test runs a real bash."""
    stand_in = tmp_path / "etcdnaming"
    stand_in.write_text(f'#!/bin/sh\nexec {" ".join(command())} "$@"\n')
    stand_in.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    bash = Typed(("bash", "--norc", "--noprofile"), pointing_at(filled.endpoint, {"PATH": path}))
    with closing(bash):
        bash.do('eval "$(etcdnaming completion bash)"')

        bash.types("etcdnaming del foo/svc/10.0.0.1:\t", "etcdnaming del foo/svc/10.0.0.1:80 ")
        bash.types("etcdnaming del --al\tfoo/s\t", "etcdnaming del --all foo/svc/ ")
