"""`etcdnaming watch` on a terminal: the live table."""

from __future__ import annotations

import re
import shlex
import signal
import termios
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeAlias

import pexpect
import pytest
from harness import AT_ONCE, Etcd, Terminal, wait_until
from harness.environment import Changes, pointing_at
from harness.picture import Picture
from harness.process import command
from harness.watcher import put, stored

Watch: TypeAlias = Callable[..., Picture]

BOLD, GREEN, YELLOW, RED = "1", "32", "33", "31"


@pytest.fixture
def watch(terminal: Terminal) -> Watch:
    """Return ``watch(*args, size=(lines, columns), env={})``, which starts it on a terminal."""

    def start(*args: str, size: tuple[int, int] = (24, 100), env: Changes | None = None) -> Picture:
        return Picture(terminal("watch", "svc", *args, size=size, env=env))

    return start


def row(picture: Picture, key: str) -> str:
    """Return the line with *key*, or an empty string."""
    return next((line for line in picture.lines if f" {key} " in f"{line} "), "")


def style(picture: Picture, key: str) -> str:
    """Return the style of the text in the line with *key*."""
    return picture.styles[row(picture, key).lstrip("+~-! ")]


def test_live_table_shows_the_existing_endpoints(watch: Watch, etcd: Etcd) -> None:
    """It has the leases with their remaining TTLs, and the etcd endpoint."""
    lease = etcd.grant(600)
    etcd.put("svc/e1", '{"Addr":"10.0.0.1:80","Metadata":{"zone":"a"}}', lease=lease)
    put(etcd, e2="10.0.0.2:80")
    picture = watch()
    picture.wait_until(lambda: re.search(r"\d\ds ", row(picture, "svc/e1")) is not None)
    picture.wait_for("connected to")

    header, first, second, blank, status = picture.lines
    assert header.split() == ["KEY", "ADDR", "LEASE", "TTL", "CHANGED", "METADATA"]
    assert re.fullmatch(rf'   svc/e1  10.0.0.1:80  {lease:016x}  5\d\ds +{{"zone":"a"}}', first)
    assert second.split() == ["svc/e2", "10.0.0.2:80", "-", "-"]
    assert blank == ""
    revision = etcd.revision()
    assert status == f"2 endpoints under svc, revision {revision}, connected to {etcd.endpoint}"
    assert picture.is_own
    assert not picture.has_cursor


def test_live_table_ignores_the_columns_variable(watch: Watch, etcd: Etcd) -> None:
    """An exported COLUMNS need not be the width of this terminal."""
    etcd.put("svc/e1", '{"Addr":"10.0.0.1:80","Metadata":{"zone":"a"}}')
    picture = watch(env={"COLUMNS": "40"})
    picture.wait_for("connected to")

    assert row(picture, "svc/e1").endswith('{"zone":"a"}')


def test_live_table_marks_changed_rows(watch: Watch, etcd: Etcd) -> None:
    """They are bold, with a coloured sign and the time; removed rows stay for a while."""
    put(etcd, e1="1:1", e2="2:2", e3="3:3", e4="4:4")
    picture = watch()
    picture.wait_for("4 endpoints")
    assert [style(picture, f"svc/e{n}") for n in (1, 2, 3, 4)] == [""] * 4
    put(etcd, e1="1:2", e3="3:3", e5="5:5")
    etcd.delete("svc/e2")
    # The last line of the table is drawn last.
    picture.wait_for(f"4 endpoints under svc, revision {etcd.revision()}")

    signs = {f"svc/e{n}": row(picture, f"svc/e{n}")[:3] for n in (1, 2, 3, 4, 5)}
    assert signs == {
        "svc/e1": "~  ",
        "svc/e2": "-  ",
        "svc/e3": "=  ",
        "svc/e4": "   ",
        "svc/e5": "+  ",
    }
    assert [style(picture, f"svc/e{n}") for n in (1, 2, 4, 5)] == [BOLD, BOLD, "", BOLD]
    assert picture.styles[row(picture, "svc/e3")] == ""
    colours = {sign: picture.styles[sign] for sign in "~-+"}
    assert colours == {"~": f"{BOLD};{YELLOW}", "-": f"{BOLD};{RED}", "+": f"{BOLD};{GREEN}"}
    assert re.fullmatch(r"~  svc/e1  1:2 +- +- +\d\d:\d\d:\d\d", row(picture, "svc/e1"))
    assert re.fullmatch(r"-  svc/e2  2:2 +- +- +\d\d:\d\d:\d\d", row(picture, "svc/e2"))


@pytest.mark.long
def test_live_table_removes_marks_after_a_while(watch: Watch, etcd: Etcd) -> None:
    """The time of the change stays, removed rows disappear, and no input is needed."""
    put(etcd, e1="1:1", e2="2:2")
    picture = watch()
    picture.wait_for("2 endpoints")
    put(etcd, e1="1:2")
    etcd.delete("svc/e2")
    picture.wait_until(lambda: row(picture, "svc/e2").startswith("-"))
    picture.wait_until(lambda: not row(picture, "svc/e2"))

    assert re.fullmatch(r"   svc/e1  1:2 +- +- +\d\d:\d\d:\d\d", row(picture, "svc/e1"))
    assert style(picture, "svc/e1") == ""


def test_live_table_shows_an_invalid_value_in_a_row(watch: Watch, etcd: Etcd) -> None:
    """A message on stderr would be drawn into the table."""
    put(etcd, e1="1:1")
    etcd.put("svc/e2", "nonsense")
    picture = watch()
    picture.wait_for("1 endpoint under svc", "connected")

    assert row(picture, "svc/e2").startswith("!  svc/e2  not an endpoint")
    assert "not JSON" in row(picture, "svc/e2")
    assert (picture.styles["!"], style(picture, "svc/e2")) == (f"{BOLD};{RED}", BOLD)
    assert len(picture.lines) == 5

    etcd.delete("svc/e2")
    picture.wait_until(lambda: not row(picture, "svc/e2"))
    etcd.put("svc/e1", "nonsense")
    picture.wait_until(lambda: row(picture, "svc/e1").startswith("!"))
    put(etcd, e1="1:1")
    picture.wait_until(lambda: row(picture, "svc/e1").startswith("+"))


def test_live_table_has_no_header_line_with_no_headers(watch: Watch, etcd: Etcd) -> None:
    """There is a row more in its place."""
    put(etcd, e1="1:1", e2="2:2", e3="3:3")
    picture = watch("--no-headers", size=(5, 100))
    picture.wait_for("3 endpoints", "connected to")

    keys = [line.split()[0] for line in picture.lines[:3]]
    assert keys == ["svc/e1", "svc/e2", "svc/e3"]


def test_live_table_has_natural_order(watch: Watch, etcd: Etcd) -> None:
    """Numbers in keys are sorted by value, also those of keys that are added later."""
    put(etcd, e1="1:1", e10="1:10")
    picture = watch()
    picture.wait_for("2 endpoints", "connected to")
    put(etcd, e2="1:2")
    picture.wait_for("3 endpoints")

    keys = re.findall(r"svc/e\d+", "\n".join(picture.lines))
    assert keys == ["svc/e1", "svc/e2", "svc/e10"]


def test_live_table_keeps_the_address_longest_on_a_narrow_terminal(
    watch: Watch, etcd: Etcd
) -> None:
    """CHANGED and TTL are left out first, then LEASE and METADATA; the key is cut before ADDR."""
    lease = etcd.grant(600)
    value = '{"Addr":"10.0.0.1:50051","Metadata":{"zone":"a"}}'
    etcd.put("svc/a-long-name-1", value, lease=lease)
    picture = watch(size=(24, 76))
    picture.wait_for("1 endpoint under svc", "10.0.0.1:50051")
    assert picture.lines[0].split() == ["KEY", "ADDR", "LEASE", "TTL", "METADATA"]
    for columns, header in (
        (70, ["KEY", "ADDR", "LEASE", "METADATA"]),
        (50, ["KEY", "ADDR", "METADATA"]),
        (40, ["KEY", "ADDR"]),
        (24, ["KEY", "ADDR"]),
    ):
        picture.terminal.setwinsize(24, columns)
        picture.wait_until(lambda: picture.lines[0].split() == header)  # noqa: B023 - called here
        picture.wait_until(lambda: "10.0.0.1:50051" in picture.lines[1])


def test_live_table_shows_whether_it_is_connected(
    watch: Watch, own_etcd: Callable[..., Etcd]
) -> None:
    """The rows stay during an outage, and are updated after it."""
    etcd = own_etcd()
    put(etcd, e1="1:1")
    picture = watch(f"--endpoints={etcd.endpoint}")
    picture.wait_for("connected to")
    etcd.kill()
    picture.wait_for("disconnected since ", "svc/e1")
    assert picture.styles[picture.lines[-1]] == RED
    etcd.start()
    put(etcd, e2="2:2")
    picture.wait_for("svc/e2", "connected to")

    assert "disconnected" not in "\n".join(picture.lines)


def test_live_table_shows_a_resync(watch: Watch, own_etcd: Callable[..., Etcd]) -> None:
    """The time shown is that of the resync, as the time of the deletion is unknown."""
    etcd = own_etcd()
    put(etcd, e1="1:1")
    picture = watch(f"--endpoints={etcd.endpoint}")
    picture.wait_for("connected to")
    etcd.wipe()
    picture.wait_until(lambda: row(picture, "svc/e1").startswith("-"))
    picture.wait_for("0 endpoints under svc, revision 1, resynced at ", "connected to")


def test_live_table_shows_the_connection_error_when_etcd_is_unreachable(watch: Watch) -> None:
    """There has been no connection so far."""
    picture = watch("--endpoints=127.0.0.1:1", "--dial-timeout=300ms")
    picture.wait_for("waiting for etcd", "not connected since", "connection refused")


def test_live_table_shows_that_the_target_is_empty(watch: Watch, etcd: Etcd) -> None:
    """It differs from the table without a connection."""
    picture = watch()
    picture.wait_for("connected to")

    revision = etcd.revision()
    assert picture.lines == [
        f"0 endpoints under svc, revision {revision}, connected to {etcd.endpoint}"
    ]


def test_live_table_shows_changed_rows_when_not_all_fit(watch: Watch, etcd: Etcd) -> None:
    """It has the number of rows that are not shown."""
    etcd.put_all({f"svc/e{n:05}".encode(): stored(f"{n}").encode() for n in range(10_000)})
    picture = watch(size=(12, 100))
    picture.wait_for("10000 endpoints", "connected to")
    assert len(picture.lines) == 12
    assert picture.lines[9] == "   and 9992 more"
    etcd.put("svc/e07777", stored("new"))
    etcd.delete("svc/e08888")
    picture.wait_for("9999 endpoints")

    shown = [line.split()[1] for line in picture.lines[1:9] if line[0] != " "]
    assert shown == ["svc/e07777", "svc/e08888"]
    assert [line.split()[0] for line in picture.lines[1:7]] == [f"svc/e{n:05}" for n in range(6)]


def test_live_table_scrolls(watch: Watch, etcd: Etcd) -> None:
    """By rows and pages, to both ends, and not beyond them."""
    etcd.put_all({f"svc/e{n}".encode(): stored(f"{n}").encode() for n in range(100)})
    picture = watch(size=(12, 100))
    picture.wait_for("100 endpoints", "connected to", "and 92 more")
    for typed, first in (
        ("\x1b[B", 1),
        ("\x1b[6~", 9),
        ("\x1bOA", 8),
        ("\x1b[5~", 0),
        ("\x1b[F\x1b[B", 92),
        ("\x1b[A", 91),
        ("\x1b[H\x1b[A", 0),
    ):
        picture.terminal.send(typed)
        others = f"{first} above, {92 - first} below" if first else "and 92 more"
        picture.wait_for(f" svc/e{first} ", f" svc/e{first + 7} ", others)
        assert len(picture.lines) == 12


def test_live_table_leaves_room_for_the_prompt_at_the_end(watch: Watch, etcd: Etcd) -> None:
    """So the header stays on the screen."""
    etcd.put_all({f"svc/e{n}".encode(): stored(f"{n}").encode() for n in range(100)})
    picture = watch(size=(12, 100))
    picture.wait_for("100 endpoints", "connected to", "and 92 more")
    picture.terminal.send("q")
    picture.wait_until(lambda: not picture.is_own and "and 94 more" in "\n".join(picture.lines))

    assert picture.lines[0].split()[:2] == ["KEY", "ADDR"]
    assert [*filter(None, picture.lines)][-1].startswith("100 endpoints")
    assert len(picture.lines) - 1 <= 10  # the cursor is on a new line


def test_live_table_uses_little_cpu_when_nothing_changes(watch: Watch, etcd: Etcd) -> None:
    """Drawing it ten times a second would take a tenth of a core."""
    put(etcd, e1="1:1")
    picture = watch()
    picture.wait_for("connected to")
    pid = picture.terminal.pid
    before = _cpu_ticks(pid)
    end = time.monotonic() + 2
    wait_until(lambda: time.monotonic() > end)

    assert _cpu_ticks(pid) - before <= 20


def _cpu_ticks(pid: int | None) -> int:
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
        return sum(map(int, file.read().rpartition(")")[2].split()[11:13]))


@pytest.mark.parametrize("size", [(24, 200), (24, 80), (10, 60), (6, 40), (6, 12), (3, 20), (1, 8)])
def test_live_table_fits_the_terminal(watch: Watch, etcd: Etcd, size: tuple[int, int]) -> None:
    """Each row is one line; columns that do not fit are omitted, and keys keep their end."""
    for n in range(5):
        etcd.put(f"svc/endpoint{n}", '{"Addr":"10.0.0.1:50051","Metadata":"' + 100 * "m" + '"}')
    picture = watch(size=size)
    lines, columns = size
    picture.wait_until(lambda: len(picture.lines) >= min(8, lines))

    assert all(len(line) < columns for line in picture.lines)


@pytest.mark.parametrize("size", [(0, 0), (24, 0), (0, 80)])
def test_live_table_takes_80_by_24_when_the_terminal_size_is_unknown(
    watch: Watch, etcd: Etcd, size: tuple[int, int]
) -> None:
    """The terminals of docker, expect and serial lines report 0."""
    put(etcd, e1="10.0.0.1:80", e2="10.0.0.2:80")
    picture = watch(size=size)
    picture.wait_for("svc/e1", "svc/e2", "2 endpoints under svc", "connected to")
    picture.terminal.sendintr()
    picture.finish()

    assert "svc/e1" in "\n".join(picture.lines)


def test_live_table_is_drawn_again_when_the_terminal_is_resized(watch: Watch, etcd: Etcd) -> None:
    """Nothing of the previous table remains."""
    put(etcd, e1="10.0.0.1:80", e2="10.0.0.2:80", e3="10.0.0.3:80")
    picture = watch(size=(24, 100))
    picture.wait_for("connected to")
    picture.terminal.setwinsize(5, 60)
    picture.wait_until(lambda: len(picture.lines) == 5 and "and 2 more" in picture.lines[2])
    picture.terminal.setwinsize(24, 100)
    picture.wait_for("svc/e3", "connected to")
    picture.wait_until(lambda: len(picture.lines) == 6)


def test_live_table_of_many_rows_fits_when_the_terminal_is_resized(
    watch: Watch, etcd: Etcd
) -> None:
    """It fills the terminal exactly, while endpoints change."""
    etcd.put_all({f"svc/e{n:05}".encode(): stored(f"{n}").encode() for n in range(10_000)})
    picture = watch(size=(24, 80))
    picture.wait_for("10000 endpoints", "connected to")
    for number, (lines, columns) in enumerate([(10, 40), (50, 200), (2, 20), (24, 80)]):
        picture.terminal.setwinsize(lines, columns)
        put(etcd, e05000=f"new{number}")
        picture.wait_until(lambda: len(picture.lines) == lines)  # noqa: B023 - called only here
        picture.wait_until(lambda: f"new{number}" in row(picture, "svc/e05000") or lines < 5)  # noqa: B023
        assert all(len(line) < columns for line in picture.lines)
    shown = sum(" svc/e" in line for line in picture.lines)
    assert picture.lines[shown + 1] == f"   and {10_000 - shown} more"


def test_live_table_escapes_control_characters_from_etcd(watch: Watch, etcd: Etcd) -> None:
    """`Picture` fails on escape codes that the table does not use."""
    etcd.put("svc/\x1b[5m\n", '{"Addr":"\\u001b]0;x\\u0007","Metadata":"\\u009b5m\\u202e"}')
    etcd.put("svc/e2\x1b[5m", "\x1b[5m")
    picture = watch()
    picture.wait_for("connected to")

    assert row(picture, r"svc/\x1b[5m\n").split()[1] == r"\x1b]0;x\x07"
    assert r"svc/e2\x1b[5m" in picture.lines[2]


@pytest.mark.parametrize("variable", [{"NO_COLOR": "1"}, {}], ids=["NO_COLOR", "colour"])
def test_live_table_has_no_colour_with_no_color(
    watch: Watch, etcd: Etcd, variable: Changes
) -> None:
    """The signs still show which rows have changed."""
    picture = watch(env=variable)
    picture.wait_for("connected to")
    put(etcd, e1="1:1")
    picture.wait_for("+  svc/e1")

    assert (set(picture.styles.values()) == {""}) is bool(variable)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_live_table_restores_the_terminal_when_it_is_signalled(
    watch: Watch, etcd: Etcd, number: int
) -> None:
    """The last table stays on the screen."""
    put(etcd, e1="1:1")
    picture = watch()
    picture.wait_for("connected to")
    assert not picture.terminal.getecho()
    start = time.monotonic()
    picture.terminal.kill(number)
    picture.finish()

    assert time.monotonic() - start < AT_ONCE
    assert picture.terminal.signalstatus == number
    assert not picture.is_own
    assert picture.has_cursor
    assert row(picture, "svc/e1").split() == ["svc/e1", "1:1", "-", "-"]
    assert f"1 endpoint under svc, revision {etcd.revision()}" in picture.lines


@pytest.mark.parametrize("args", [[], ["--endpoints=127.0.0.1:1"]], ids=["connected", "not"])
def test_live_table_ends_with_q(watch: Watch, etcd: Etcd, args: list[str]) -> None:
    """Without Enter; the last table stays, and the modes are restored, also after a SIGCONT."""
    put(etcd, e1="1:1")
    picture = watch(*args)
    picture.wait_for("not connected" if args else "connected to")
    picture.terminal.kill(signal.SIGCONT)  # takes the terminal over again
    picture.terminal.send("xq")
    picture.finish()
    modes = termios.tcgetattr(picture.terminal.child_fd)[3]

    assert picture.terminal.exitstatus == 0
    assert modes & termios.ECHO
    assert modes & termios.ICANON
    assert not picture.is_own
    assert picture.has_cursor
    assert bool(row(picture, "svc/e1")) is not bool(args)


def test_live_table_leaves_the_shell_with_its_modes_when_q_is_pressed(job: Picture) -> None:
    """Also after the job was stopped and continued."""
    job.wait_for("connected to")
    job.terminal.sendcontrol("z")
    job.wait_until(partial(_is_stopped, job, 1))
    job.terminal.sendline("fg")
    job.wait_for("connected to")
    job.terminal.send("q")
    job.wait_until(partial(_has_prompt, job))
    job.terminal.sendline(
        "echo status $?; stty -a | grep -o ' echo '; stty -a | grep -o ' icanon '"
    )
    job.wait_for("status 0", "\n echo", "\n icanon")


@pytest.mark.long
def test_live_table_restores_the_terminal_at_any_moment(watch: Watch, etcd: Etcd) -> None:
    """The signal may arrive while the terminal is being set up."""
    for n in range(40):
        picture = watch()
        picture.wait_until(partial(_is_past, time.monotonic() + 0.1 + n * 0.02))
        picture.terminal.kill(signal.SIGTERM)
        picture.finish()
        assert picture.terminal.signalstatus == signal.SIGTERM
        assert not picture.is_own
        assert picture.has_cursor


def _is_past(end: float) -> bool:
    return time.monotonic() > end


def test_error_is_printed_below_the_last_table(watch: Watch, etcd: Etcd) -> None:
    """Both are on the normal screen."""
    put(etcd, e1="1:1")
    picture = watch("--timeout=3s")
    picture.finish()

    assert picture.terminal.exitstatus == 124
    assert [line for line in picture.lines if line][-2:] == [
        f"1 endpoint under svc, revision {etcd.revision()}",
        "Error: timed out after 3s",
    ]


def test_live_table_can_be_stopped_by_ctrl_z(job: Picture, etcd: Etcd) -> None:
    """The terminal is restored meanwhile, and fg draws the table again."""
    job.wait_for("connected to")
    for n in (1, 2):  # Ctrl-Z works more than once
        job.terminal.sendcontrol("z")
        job.wait_until(partial(_is_stopped, job, n))
        assert not job.is_own
        assert job.has_cursor
        job.terminal.sendline("fg")
        job.wait_for("connected to")
        put(etcd, **{f"e{n}": "1:1"})
        job.wait_for(f"svc/e{n}")
        assert not job.has_cursor


def test_live_table_leaves_the_shell_with_echo_when_ctrl_c_is_pressed(job: Picture) -> None:
    """The next prompt is on a line of its own."""
    job.wait_for("connected to")
    job.terminal.sendintr()
    job.wait_until(partial(_has_prompt, job))
    job.terminal.sendline("stty -a | grep -o ' echo '")
    job.wait_for("\n echo")


def _has_prompt(job: Picture) -> bool:
    """Return whether the shell prompts after the last picture of the table."""
    return "\n".join(job.lines).rpartition("0 endpoints")[2].rstrip().endswith("\n$")


def _is_stopped(job: Picture, times: int) -> bool:
    return "\n".join(job.lines).count("Stopped") == times


@pytest.fixture
def job(etcd: Etcd, tmp_path: Path) -> Iterator[Picture]:
    """Yield a watch that was started by an interactive shell."""
    environment = {"PS1": "$ ", "TERM": "xterm", "HISTFILE": str(tmp_path / "history")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # as in `Terminal`
        terminal = pexpect.spawn(
            "bash",
            ["--norc", "--noediting", "-i"],
            env=pointing_at(etcd.endpoint, environment),
            encoding="utf-8",
        )
    terminal.delaybeforesend = None  # as in `Terminal`
    picture = Picture(terminal)
    picture.wait_for("$")
    terminal.sendline(shlex.join(command("watch", "svc")))
    yield picture
    terminal.close(force=True)


def test_live_table_continues_after_ctrl_z_without_job_control(watch: Watch, etcd: Etcd) -> None:
    """The kernel does not stop the process, so the table is drawn again."""
    picture = watch()
    picture.wait_for("connected to")
    picture.terminal.sendcontrol("z")
    put(etcd, e1="1:1")
    picture.wait_for("svc/e1", "connected to")

    assert picture.is_own


def test_watch_prints_lines_on_a_dumb_terminal(watch: Watch, etcd: Etcd) -> None:
    """The output is that of a pipe."""
    put(etcd, e1="1:1")
    picture = watch(env={"TERM": "dumb"})
    picture.wait_for("1 endpoint under svc")
    put(etcd, e2="2:2")
    picture.wait_for("added   svc/e2", "1 change under svc")

    assert not picture.is_own


def test_watch_draws_no_live_table_with_a_handler(watch: Watch, etcd: Etcd) -> None:
    """The output of the handler would be overwritten."""
    put(etcd, e1="1:1")
    picture = watch("--", "echo", "it runs")
    picture.wait_for("1 endpoint under svc", "it runs")

    assert not picture.is_own


def test_live_table_shows_only_changed_rows_with_rev(watch: Watch, etcd: Etcd) -> None:
    """The summary counts all endpoints of the target."""
    put(etcd, e1="1:1", e2="2:2")
    picture = watch(f"--rev={etcd.revision() + 1}")
    picture.wait_for("connected to")
    put(etcd, e2="2:3")
    picture.wait_for("2 endpoints")

    assert row(picture, "svc/e2").startswith("~")
    assert not row(picture, "svc/e1")
