"""`etcdnaming del`, verified with etcdctl."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from harness import Etcd, Result, Run, Terminal
from harness.auth import READER, READER_NEEDS, WRITER

ONE = '{"Op":0,"Addr":"1:1","Metadata":null}'


def put(etcd: Etcd, *keys: str) -> None:
    """Store an endpoint under each of *keys*."""
    etcd.put_all({key.encode(): ONE.encode() for key in keys})


def test_del_deletes_only_the_given_key(run: Run, etcd: Etcd) -> None:
    """Keys that only begin with the same name stay."""
    put(etcd, "svc/e1", "svc/e10", "svc/e1/deeper", "svc")

    assert run("del", "svc/e1") == Result(0, "1\n", "")
    assert set(etcd.get("")) == {b"svc", b"svc/e1/deeper", b"svc/e10"}


def test_del_succeeds_when_the_key_does_not_exist(run: Run) -> None:
    """etcdctl does the same."""
    assert run("del", "svc/e1") == Result(0, "0\n", "")


def test_del_deletes_several_keys_in_one_transaction(run: Run, etcd: Etcd) -> None:
    """The deletions have one revision."""
    put(etcd, "svc/e1", "svc/e2", "svc/e3")
    before = etcd.revision()

    assert run("del", "svc/e1", "svc/e2", "svc/e1", "svc/e4") == Result(0, "2\n", "")
    assert list(etcd.get("")) == [b"svc/e3"]
    assert etcd.revision() == before + 1


def test_del_with_must_exist_deletes_nothing_when_a_key_is_missing(run: Run, etcd: Etcd) -> None:
    """The error names the missing keys."""
    put(etcd, "svc/e1")

    result = run("del", "svc/e1", "svc/e2", "svc/e3", "--must-exist")

    assert result == Result(7, "", "Error: not found: svc/e2, svc/e3: nothing was deleted\n")
    assert list(etcd.get("")) == [b"svc/e1"]


def test_del_with_must_exist_deletes_the_keys_when_all_exist(run: Run, etcd: Etcd) -> None:
    """It prints their number."""
    put(etcd, "svc/e1", "svc/e2")

    assert run("del", "svc/e1", "svc/e2", "--must-exist") == Result(0, "2\n", "")
    assert etcd.get("") == {}


def test_del_fails_with_if_mod_rev_when_the_key_has_changed(run: Run, etcd: Etcd) -> None:
    """No concurrent change is lost."""
    put(etcd, "svc/e1")
    seen = etcd.entry("svc/e1").mod_revision

    wrong = run("del", "svc/e1", "--if-mod-rev", str(seen + 1))
    right = run("del", "svc/e1", "--if-mod-rev", str(seen))

    message = f"Error: condition not met: if svc/e1 has mod_revision {seen + 1}\n"
    assert wrong == Result(8, "", message)
    assert right == Result(0, "1\n", "")


def test_del_prints_the_deleted_endpoint_with_prev_kv(run: Run, etcd: Etcd) -> None:
    """It follows the number of deleted keys."""
    put(etcd, "svc/e1")

    assert run("del", "svc/e1", "--prev-kv") == Result(0, "1\nsvc/e1\t1:1\tnull\n", "")


def test_del_warns_when_the_key_was_attached_to_a_lease(run: Run, etcd: Etcd) -> None:
    """The process that owns the lease may register the key again."""
    lease = etcd.grant(60)
    etcd.put("svc/e1", ONE, lease)
    put(etcd, "svc/e2")

    result = run("del", "svc/e1", "svc/e2")

    assert result == Result(
        0,
        "2\n",
        f"Warning: svc/e1 was attached to lease {lease:016x}; its owner may register it again\n",
    )


@pytest.mark.parametrize("options", [[], ["--must-exist"]])
def test_del_of_a_target_names_the_option_that_deletes_its_keys(
    run: Run, etcd: Etcd, options: list[str]
) -> None:
    """A key that does not exist and is no target is no news."""
    put(etcd, "foo/svc/e1", "foo/svc/e2")

    result = run("del", "foo/svc", "foo/none", *options)

    hint = "foo/svc is a target: use etcdnaming del --all foo/svc/\n"
    assert result.err.startswith(hint)
    assert (result.status, result.out) == ((7, "") if options else (0, "0\n"))
    assert len(etcd.get("")) == 2


def test_del_warns_when_a_missing_key_ends_in_a_slash(run: Run, etcd: Etcd) -> None:
    """The warning names the option that deletes all keys of a target."""
    put(etcd, "svc/e1")

    result = run("del", "svc/")

    warning = "Warning: svc/ is a single key, and not found; use --all svc/ for all under it\n"
    assert result == Result(0, "0\n", warning)
    assert list(etcd.get("")) == [b"svc/e1"]


def test_del_deletes_nothing_in_a_dry_run(run: Run, etcd: Etcd) -> None:
    """It prints an update file instead."""
    put(etcd, "svc/e1")

    result = run("del", "svc/e1", "svc/e2", "--must-exist", "--dry-run")

    plan = "# if svc/e1 exists\n# if svc/e2 exists\ndel svc/e1\ndel svc/e2\n"
    assert result == Result(0, plan, "")
    assert list(etcd.get("")) == [b"svc/e1"]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "Missing argument 'KEY...', or --all TARGET/"),
        (["svc/a", "svc/b", "--if-mod-rev", "1"], "--if-mod-rev takes a single KEY"),
        (["svc/a", "--if-mod-rev", "0"], "Invalid value for '--if-mod-rev': must be at least 1"),
        (["svc/a", "--all", "svc/"], "KEY... and --all can't be combined"),
        (["--must-exist", "--all", "svc/"], "--all and --must-exist can't be combined"),
        (
            ["--all", "svc"],
            "Invalid value for '--all': 'svc' is not a target that ends in \"/\", e.g. svc/",
        ),
        (["--all", ""], "Invalid value for '--all': invalid target '': it names no service"),
        (["--all", "/"], "Invalid value for '--all': invalid target '/': it names no service"),
        (["--all", "//"], "Invalid value for '--all': invalid target '//': it names no service"),
        (["--all", "svc/"], "--all asks first, but stdin is not a terminal: use --yes"),
    ],
)
def test_del_refuses_wrong_usage(run: Run, etcd: Etcd, args: list[str], message: str) -> None:
    """Nothing is deleted."""
    put(etcd, "svc/a", "svc/b")

    assert run("del", *args) == Result(128, "", f"Error: {message} (see etcdnaming del --help)\n")
    assert set(etcd.get("")) == {b"svc/a", b"svc/b"}


def test_del_refuses_more_keys_than_etcd_accepts_in_a_transaction(run: Run, etcd: Etcd) -> None:
    """The error names the command that can split them."""
    keys = [f"svc/e{each}" for each in range(129)]
    put(etcd, *keys)

    assert run("del", *keys) == Result(
        128,
        "",
        "Error: 129 KEYs are more than the 128 that etcd takes in one transaction: "
        "nothing was deleted; use txn-update --batch-size N "
        "(see etcdnaming del --help)\n",
    )
    assert len(etcd.get("")) == 129


def test_del_all_deletes_the_keys_of_a_target(run: Run, etcd: Etcd) -> None:
    """Deeper targets are included, and keys beside the target stay."""
    put(etcd, "svc/e1", "svc/deeper/e1", "svc", "svc_other/e1")

    assert run("del", "--all", "svc/", "--yes") == Result(0, "2\n", "")
    assert set(etcd.get("")) == {b"svc", b"svc_other/e1"}


@pytest.mark.server
def test_del_all_warns_once_when_several_keys_have_leases(run: Run, etcd: Etcd) -> None:
    """The warning has the number of those keys."""
    put(etcd, "svc/e1")
    for key in ("svc/e2", "svc/e3"):
        etcd.put(key, ONE, etcd.grant(60))

    result = run("del", "--all", "svc/", "--yes")

    warning = "Warning: 2 keys attached to leases; their owners may register them again\n"
    assert result == Result(0, "3\n", warning)


def test_del_all_deletes_nothing_in_a_dry_run(run: Run, etcd: Etcd) -> None:
    """It does not ask for a confirmation either."""
    put(etcd, "svc/e1", "svc/deeper/e1")

    result = run("del", "--all", "svc/", "--dry-run")

    assert result == Result(0, "del svc/deeper/e1\ndel svc/e1\n", "")
    assert len(etcd.get("")) == 2


@pytest.mark.parametrize(
    ("keys", "question"),
    [
        (["svc/e1"], "Delete 1 key under svc/?"),
        (["svc/a/e1", "svc/e1"], "Delete 2 keys under svc/, 1 of them under svc/a?"),
        (
            ["svc/a/e1", "svc/b/e1", "svc/e1"],
            "Delete 3 keys under svc/, 2 of them under 2 deeper targets?",
        ),
    ],
)
def test_del_all_asks_for_a_confirmation_on_a_terminal(
    terminal: Terminal, etcd: Etcd, keys: list[str], question: str
) -> None:
    """The question has the number of keys."""
    put(etcd, *keys)
    screen = terminal("-w", "simple", "del", "--all", "svc/")

    screen.expect_exact(f"{question} [y/N] ")
    assert len(etcd.get("")) == len(keys)
    screen.sendline("y")
    screen.expect_exact(f"{len(keys)}\r\n")
    screen.expect_exact("")
    assert etcd.get("") == {}


def test_del_all_timeouts_exclude_the_wait_for_the_confirmation(
    terminal: Terminal, etcd: Etcd
) -> None:
    """The timeouts are for etcd, not for the user."""
    put(etcd, "svc/e1")
    limits = ("--dial-timeout", "1s", "--command-timeout", "1s")
    screen = terminal("-w", "simple", *limits, "del", "--all", "svc/")

    screen.expect_exact("[y/N] ")
    time.sleep(2.5)
    screen.sendline("y")
    screen.expect_exact("1\r\n")
    assert etcd.get("") == {}


@pytest.mark.parametrize("answer", ["", "n", "yeah"])
def test_del_all_deletes_nothing_unless_it_is_confirmed(
    terminal: Terminal, etcd: Etcd, answer: str
) -> None:
    """An empty answer is a no."""
    put(etcd, "svc/e1")
    screen = terminal("del", "--all", "svc/")

    screen.expect_exact("[y/N] ")
    screen.sendline(answer)
    screen.expect_exact("nothing was deleted\r\n")
    screen.wait()

    assert screen.exitstatus == 1
    assert list(etcd.get("")) == [b"svc/e1"]


def test_del_all_deletes_nothing_when_ctrl_d_is_pressed(terminal: Terminal, etcd: Etcd) -> None:
    """The message begins on a new line."""
    put(etcd, "svc/e1")
    screen = terminal("del", "--all", "svc/")

    screen.expect_exact("[y/N] ")
    screen.sendeof()
    screen.expect(r"^[^n]*\r\nnothing was deleted\r\n")
    assert list(etcd.get("")) == [b"svc/e1"]


@pytest.mark.server
def test_del_fails_when_the_user_may_only_read(auth_etcd: Callable[..., Etcd]) -> None:
    """A single key and --all are refused alike."""
    etcd = auth_etcd()
    etcd.put("svc/e1", ONE)
    run = Run(etcd.endpoint)

    one = run("--user", READER, "del", "svc/e1")
    all_of_it = run("--user", READER, "del", "--all", "svc/", "--yes")

    needs = f"{READER_NEEDS} readwrite permission on"
    assert one == Result(1, "", f"{needs} svc/e1\n")
    assert all_of_it == Result(1, "", f"{needs} the prefix svc/\n")
    assert list(etcd.get("")) == [b"svc/e1"]


@pytest.mark.server
def test_del_needs_permission_only_for_the_prefix(auth_etcd: Callable[..., Etcd]) -> None:
    """It accesses no key outside of the prefix."""
    etcd = auth_etcd()
    etcd.put("svc/e1", ONE)
    etcd.put("svc/e2", ONE)
    run = Run(etcd.endpoint)

    assert run("--user", WRITER, "del", "svc/e1") == Result(0, "1\n", "")
    assert run("--user", WRITER, "del", "--all", "svc/", "--yes") == Result(0, "1\n", "")
