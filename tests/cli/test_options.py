"""The settings: where they may stand, which one counts, and what is said of those that can't be."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import Etcd, Result, Run, Terminal, wait_until
from harness.auth import ROOT, WRITER
from harness.environment import Changes

NOWHERE = "127.0.0.1:1"
LINE = "svc/e1\t1:1\tnull\n"

UNREACHED = re.compile(r"Error: no etcd endpoint reached .*\n")


@pytest.fixture
def one(etcd: Etcd) -> Etcd:
    """An etcd with one endpoint of `svc`."""
    etcd.put("svc/e1", '{"Addr":"1:1"}')
    return etcd


@pytest.mark.parametrize(
    "args",
    [
        ["--endpoints", "HERE", "list", "svc"],
        ["list", "--endpoints", "HERE", "svc"],
        ["list", "svc", "--endpoints=HERE"],
        ["--endpoints", NOWHERE, "list", "svc", "--endpoints", "HERE"],
        ["--endpoints", f"{NOWHERE},HERE", "list", "svc"],
        ["--endpoints", NOWHERE, "--endpoints", "HERE", "list", "svc"],
    ],
)
def test_options_stand_before_or_after_the_command(run: Run, one: Etcd, args: list[str]) -> None:
    """As in etcdctl; the innermost counts, and a list may come in pieces."""
    args = [word.replace("HERE", one.endpoint) for word in args]

    assert run(*args, env={"ETCDNAMING_ENDPOINTS": NOWHERE}) == Result(0, LINE, "")


@pytest.mark.parametrize(
    ("env", "reached"),
    [
        ({"ETCDNAMING_ENDPOINTS": "HERE", "ETCDCTL_ENDPOINTS": NOWHERE}, True),
        ({"ETCDNAMING_ENDPOINTS": None, "ETCDCTL_ENDPOINTS": "HERE"}, True),
        ({"ETCDNAMING_ENDPOINTS": "", "ETCDCTL_ENDPOINTS": "HERE"}, True),
        ({"ETCDNAMING_ENDPOINTS": NOWHERE, "ETCDCTL_ENDPOINTS": "HERE"}, False),
    ],
)
def test_our_variables_win_over_etcdctls(
    run: Run, one: Etcd, env: dict[str, str | None], reached: bool
) -> None:
    """And an empty one says nothing."""
    env = {name: text and text.replace("HERE", one.endpoint) for name, text in env.items()}

    result = run("list", "svc", "--dial-timeout=300ms", env=env)

    assert (result == Result(0, LINE, "")) is reached
    assert bool(UNREACHED.fullmatch(result.err)) is not reached


def test_a_flag_beside_its_variable_is_no_error(run: Run, one: Etcd) -> None:
    """It is in etcdctl, with a stack trace."""
    env = {"ETCDCTL_ENDPOINTS": NOWHERE, "ETCDCTL_COMMAND_TIMEOUT": "bad", "ETCDCTL_API": "2"}

    result = run("list", "svc", "--endpoints", one.endpoint, "--command-timeout=5s", env=env)

    assert result == Result(0, LINE, "")


@pytest.mark.parametrize(
    ("variable", "text", "reason"),
    [
        (
            "ETCDCTL_COMMAND_TIMEOUT",
            "5x",
            "'5x' is not a duration such as 500ms, 5s or 1m30s",
        ),
        ("ETCDNAMING_DIAL_TIMEOUT", "0s", "a timeout must be more than 0"),
        ("ETCDNAMING_INSECURE_TRANSPORT", "no", "'no' is neither true nor false"),
        ("ETCDCTL_DEBUG", "yes", "'yes' is neither true nor false"),
        ("ETCDCTL_MAX_RECV_BYTES", "-1", "'-1' is not a number of bytes"),
        ("ETCDNAMING_ENDPOINTS", "abc", "etcd endpoint 'abc' is not HOST:PORT"),
        ("ETCDCTL_CACERT", "/nowhere", "/nowhere: No such file or directory"),
        ("ETCDCTL_CACERT", "/", "/: Is a directory"),
        ("ETCDCTL_CACERT", "/dev/null", "/dev/null: empty"),
        ("ETCDCTL_CERT", "/", "cert and key go together: key is missing"),
    ],
)
def test_error_names_the_invalid_variable(run: Run, variable: str, text: str, reason: str) -> None:
    """etcdctl passes over it in silence."""
    result = run("list", "svc", env={variable: text})

    assert result == Result(128, "", f"Error: {variable}: {reason}\n")


def test_names_the_variable_with_the_password_file_that_there_is_not(run: Run) -> None:
    """Only if that is the password that counts."""
    env = {"ETCDCTL_USER": "root", "ETCDNAMING_PASSWORD_FILE": "/nowhere"}

    message = "ETCDNAMING_PASSWORD_FILE: /nowhere: No such file or directory"
    assert run("list", "svc", env=env) == Result(128, "", f"Error: {message}\n")
    assert run("list", "svc", "--password=x", env=env).err != f"Error: {message}\n"


@pytest.mark.parametrize(
    "name", ["dial-timeout", "command-timeout", "keepalive-time", "keepalive-timeout"]
)
def test_a_time_may_be_for_ever(run: Run, one: Etcd, name: str) -> None:
    """gRPC can't count that far: it would fail, or never answer."""
    assert run("list", "svc", f"--{name}=2562047h") == Result(0, LINE, "")


UNSENDABLE = "only printable ASCII is allowed"


@pytest.mark.parametrize("text", ["hush\nhush", "hush\x7f", "hush \xe4", "hush\udcff"])
def test_token_that_cant_be_sent_is_refused_by_name(run: Run, text: str) -> None:
    """At once, and without showing it; gRPC fails every call with "Invalid metadata"."""
    result = run("list", "svc", f"--auth-jwt-token={text}")
    message = f"Invalid value for '--auth-jwt-token': {UNSENDABLE} (see etcdnaming list --help)"
    assert result == Result(128, "", f"Error: {message}\n")

    result = run("list", "svc", env={"ETCDCTL_AUTH_JWT_TOKEN": text})
    assert result == Result(128, "", f"Error: ETCDCTL_AUTH_JWT_TOKEN: {UNSENDABLE}\n")


@pytest.mark.parametrize("name", ["USER", "PASSWORD"])
def test_error_does_not_quote_an_invalid_secret(run: Run, name: str) -> None:
    """Logs are read by many."""
    result = run("list", "svc", env={f"ETCDCTL_{name}": "hush\udcff"})

    assert result == Result(128, "", f"Error: ETCDCTL_{name}: not UTF-8\n")


@pytest.mark.parametrize("name", ["cert", "key", "cacert", "password-file"])
def test_an_empty_file_name_is_refused(run: Run, name: str) -> None:
    """A shell has made it from a variable that is not set."""
    result = run("list", "svc", f"--{name}=")

    message = f"Invalid value for '--{name}': the file name is empty (see etcdnaming list --help)"
    assert result == Result(128, "", f"Error: {message}\n")


DISCOVERY = "not supported: look up the SRV record, and use --endpoints with its hosts"
VERIFY = (
    "not supported: gRPC for Python verifies every server; use --cacert with the server's CA, "
    "or with its certificate if that is self-signed"
)
HEX = r"not supported: bytes that are not UTF-8 are shown as \xNN, and by -w json in base64"
REFUSED = [
    ("insecure-skip-tls-verify", "true", VERIFY),
    ("discovery-srv", "example.com", DISCOVERY),
    ("discovery-srv-name", "x", DISCOVERY),
    ("insecure-discovery", "false", DISCOVERY),
    ("hex", "true", HEX),
    (
        "max-request-bytes",
        "1024",
        "not supported: the server's limit counts (etcd --max-request-bytes); remove it",
    ),
    (
        "max-recv-bytes",
        "1024",
        "not supported, not needed: responses have no size limit; remove it",
    ),
]


@pytest.mark.parametrize(("name", "value", "reason"), REFUSED)
def test_unsupported_flag_of_etcdctl_is_refused_with_a_reason(
    run: Run, name: str, value: str, reason: str
) -> None:
    """And the way out; in every command, even where it would not matter."""
    expected = Result(128, "", f"Error: --{name}: {reason}\n")

    assert run(f"--{name}={value}", "list", "svc") == expected
    assert run("version", f"--{name}={value}") == expected


@pytest.mark.parametrize(("name", "value", "reason"), REFUSED)
def test_unsupported_variable_of_etcdctl_is_refused_with_a_reason(
    run: Run, name: str, value: str, reason: str
) -> None:
    """Before anything is sent."""
    variable = f"ETCDCTL_{name.replace('-', '_').upper()}"

    assert run("list", "svc", env={variable: value}) == Result(
        128, "", f"Error: {variable}: {reason}\n"
    )


@pytest.mark.parametrize(
    "flag",
    [
        "--insecure-skip-tls-verify=false",
        "--insecure-discovery",
        "--hex=false",
        "--max-recv-bytes=0",
        "--discovery-srv=",
    ],
)
def test_what_is_the_default_anyway_is_no_error(run: Run, one: Etcd, flag: str) -> None:
    """Scripts may spell it out."""
    assert run(flag, "list", "svc") == Result(0, LINE, "")


@pytest.mark.parametrize(
    ("args", "debug"),
    [
        (["--debug", "list", "svc"], True),
        (["--debug=true", "list", "svc"], True),
        (["list", "--debug=T", "svc"], True),
        (["list", "--debug=1", "svc"], True),
        (["list", "--debug", "svc"], True),
        (["--debug=false", "list", "svc"], False),
        (["--debug", "list", "svc", "--debug=0"], False),
        (["--debug=F", "list", "svc", "--debug"], True),
        (["list", "svc", "--debug", "--debug=FALSE"], False),
        (["list", "svc", "--debug=False", "--debug=True"], True),
    ],
)
def test_a_flag_may_have_a_value_and_never_takes_the_next_word(
    run: Run, one: Etcd, args: list[str], debug: bool
) -> None:
    """As Go's flags; the last one counts."""
    result = run(*args)

    assert (result.status, result.out) == (0, LINE)
    assert result.err.startswith("Debug: ") is debug


def test_a_flag_can_switch_off_what_the_environment_switches_on(run: Run, one: Etcd) -> None:
    """It is nearer to the user."""
    env = {"ETCDCTL_DEBUG": "true"}

    assert run("list", "svc", env=env).err.startswith("Debug: ")
    assert run("list", "svc", "--debug=false", env=env) == Result(0, LINE, "")


def test_flags_of_commands_may_have_a_value(run: Run, one: Etcd) -> None:
    """All flags are alike."""
    assert run("list", "svc", "--keys-only=true") == Result(0, "svc/e1\n", "")
    assert run("list", "svc", "--keys-only=false") == Result(0, LINE, "")


@pytest.mark.parametrize("args", [["-wjson"], ["-w", "json"], ["-w=json"], ["--write-out=json"]])
@pytest.mark.parametrize("after", [False, True])
def test_a_short_option_may_have_an_equals_sign(
    run: Run, one: Etcd, args: list[str], after: bool
) -> None:
    """As etcdctl's users write it."""
    command = ["list", "svc"]

    result = run(*command, *args) if after else run(*args, *command)

    assert [each["key"] for each in result.json()["endpoints"]] == ["svc/e1"]


def test_a_flag_has_no_other_value(run: Run) -> None:
    """Than Go's."""
    result = run("--debug=yes", "list", "svc")

    message = "Error: --debug: 'yes' is neither true nor false (see etcdnaming --help)\n"
    assert result == Result(128, "", message)


def test_option_with_one_value_may_stand_before_and_after_the_command(run: Run, one: Etcd) -> None:
    """An alias has one, which a command line overrules; a value may look like the option again."""
    result = run("-w", "table", "list", "svc", "-w", "simple")
    assert result == Result(0, LINE, "")

    assert run("add", "svc/e2", "--addr", "1:1", "--metadata", "--metadata").status == 0
    assert run("list", "svc", "--debug=false", "--debug=false") == Result(
        0, f'{LINE}svc/e2\t1:1\t"--metadata"\n', ""
    )


def test_what_looks_like_a_flag_may_be_a_value(run: Run, etcd: Etcd) -> None:
    """The word after an option is its own, and after -- there are no options."""
    run("add", "svc/e1", "--addr", "--debug=true", "--metadata", "--prev-kv=false", "--force")
    run("add", "--addr=1:1", "--", "svc/--debug=x")

    assert etcd.get("") == {
        b"svc/--debug=x": b'{"Op":0,"Addr":"1:1","Metadata":null}',
        b"svc/e1": b'{"Op":0,"Addr":"--debug=true","Metadata":"--prev-kv=false"}',
    }


def test_debug_prints_the_effective_settings(run: Run, one: Etcd) -> None:
    """And who says so; it is what one asks at three in the morning."""
    env = {"ETCDCTL_COMMAND_TIMEOUT": "1m30s", "ETCDNAMING_CACERT": None}

    lines = run("--debug", "list", "svc", "--dial-timeout", "1s", env=env).err.splitlines()

    assert lines[1:-1] == [
        f"Debug: --endpoints {one.endpoint} (ETCDNAMING_ENDPOINTS)",
        "Debug: --insecure-transport True (default)",
        "Debug: --dial-timeout 1s (--dial-timeout)",
        "Debug: --command-timeout 90s (ETCDCTL_COMMAND_TIMEOUT)",
        "Debug: --keepalive-time 6s (default)",
        "Debug: --keepalive-timeout 6s (default)",
    ]
    assert re.fullmatch(r"Debug: etcdnaming \S+, Python 3\.\S+", lines[0])
    assert re.fullmatch(r"Debug: \d+\.\d{3} s", lines[-1])


def test_debug_shows_where_an_error_comes_from(run: Run) -> None:
    """Each line marked, and the error itself last, as ever."""
    result = run("--debug", "list", "svc", "--endpoints", NOWHERE, "--dial-timeout", "300ms")

    lines = result.err.splitlines()
    assert result.status == 2
    assert all(line.startswith("Debug: ") for line in lines[:-1])
    assert "Debug: Traceback (most recent call last):" in lines
    assert UNREACHED.fullmatch(lines[-1] + "\n")


@pytest.mark.parametrize(
    "args",
    [
        ["--user", "root:hush-hush"],
        ["--user", "root", "--password", "hush-hush"],
        ["--auth-jwt-token", "hush-hush"],
    ],
)
def test_no_secret_is_ever_shown(run: Run, args: list[str]) -> None:
    """Not by --debug, not by an error."""
    result = run("--debug", *args, "list", "svc", "--endpoints", NOWHERE, "--dial-timeout=300ms")

    assert result.status == 2
    assert "(hidden)" in result.err
    assert "hush" not in result.err


@pytest.fixture(scope="module")
def password_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with root's password."""
    file = tmp_path_factory.mktemp("secrets") / "password"
    file.write_text(ROOT.partition(":")[2] + "\n")
    return file


def test_name_and_password_may_come_from_different_places(
    auth_etcd: Callable[..., Etcd], password_file: Path
) -> None:
    """The nearest counts, and a password goes with the name beside it."""
    etcd = auth_etcd()
    etcd.put("other/e1", '{"Addr":"1:1"}')  # which only root may read
    run = Run(etcd.endpoint)
    name, _, password = ROOT.partition(":")
    good: list[tuple[list[str], Changes]] = [
        (["--user", ROOT], {}),
        (["--user", ROOT], {"ETCDCTL_PASSWORD": "wrong"}),
        (["--user", ROOT], {"ETCDCTL_USER": WRITER, "ETCDNAMING_AUTH_JWT_TOKEN": "wrong"}),
        (["--user", name, "--password", password], {}),
        (["--user", name, "--password-file", str(password_file)], {}),
        (["--user", name], {"ETCDCTL_PASSWORD": password}),
        (["--user", name], {"ETCDNAMING_PASSWORD": password, "ETCDCTL_PASSWORD": "wrong"}),
        (["--user", name], {"ETCDNAMING_PASSWORD_FILE": str(password_file)}),
        (["--password", password], {"ETCDCTL_USER": name}),
        (["--password", password], {"ETCDCTL_USER": name, "ETCDNAMING_PASSWORD": "wrong"}),
        ([], {"ETCDCTL_USER": ROOT}),
        ([], {"ETCDNAMING_USER": ROOT, "ETCDCTL_USER": WRITER, "ETCDCTL_PASSWORD": "wrong"}),
    ]

    for args, env in good:
        result = run("list", "other", *args, env=env)
        assert result == Result(0, "other/e1\t1:1\tnull\n", ""), (args, env)


@pytest.mark.parametrize(
    ("args", "env", "message"),
    [
        (
            ["--user", "root"],
            {},
            (
                "the user 'root' needs a password: use --password-file or ETCDNAMING_PASSWORD; "
                "stdin is not a terminal"
            ),
        ),
        (["--password", "x"], {}, "--password needs a --user"),
        (["--password-file", "x"], {}, "--password-file needs a --user"),
        (
            ["--user", "root", "--password", "x", "--password-file", "y"],
            {},
            "use either --password or --password-file",
        ),
        (
            ["--user", "root", "--password-file", "/nowhere"],
            {},
            "/nowhere: No such file or directory",
        ),
        (["--cacert", "/nowhere"], {}, "/nowhere: No such file or directory"),
        (["--cert", "/dev/null"], {}, "cert and key go together: key is missing"),
        (["--endpoints", "nowhere"], {}, "etcd endpoint 'nowhere' is not HOST:PORT"),
        (
            [],
            {"ETCDCTL_USER": "root", "ETCDCTL_PASSWORD": "x", "ETCDCTL_PASSWORD_FILE": "y"},
            "use either --password or --password-file",
        ),
    ],
)
def test_settings_that_make_no_client_are_refused(
    run: Run, args: list[str], env: dict[str, str], message: str
) -> None:
    """Before anything is sent."""
    assert run("list", "svc", *args, env=env) == Result(128, "", f"Error: {message}\n")


def test_asks_for_a_password_on_a_terminal(
    auth_etcd: Callable[..., Etcd], terminal: Terminal
) -> None:
    """Unseen."""
    etcd = auth_etcd()
    etcd.put("other/e1", '{"Addr":"1:1"}')
    name, _, password = ROOT.partition(":")
    screen = terminal("-w", "simple", "list", "other", "--user", name, "--endpoints", etcd.endpoint)

    screen.expect_exact(f"etcd password for {name}: ")
    screen.waitnoecho()
    screen.sendline(password)
    screen.expect_exact("other/e1\t1:1\tnull\r\n")

    assert password not in str(screen.before)


def test_a_ctrl_c_at_the_password_gives_the_echo_back(terminal: Terminal) -> None:
    """Or the shell after us would be blind."""
    screen = terminal("list", "svc", "--user", "root")

    screen.expect_exact("etcd password for root: ")
    screen.waitnoecho()
    screen.sendintr()
    wait_until(screen.getecho)
    screen.wait()

    assert screen.signalstatus == signal.SIGINT


@pytest.mark.parametrize("variables", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_no_colour_is_no_colour(terminal: Terminal, one: Etcd, variables: Changes) -> None:
    """Neither in results nor in errors."""
    screen = terminal("list", "svc", env=variables)
    screen.expect_exact("1 endpoint under svc")
    assert "\x1b[3" not in str(screen.before)

    screen = terminal("list", env=variables)
    screen.expect_exact("Error: ")
    assert screen.before == ""
