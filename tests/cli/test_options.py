"""Settings: where they may be given, which one takes precedence, and the errors."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import Etcd, Result, Run, Terminal, wait_until
from harness.auth import ROOT, WRITER
from harness.environment import Changes
from harness.late_signals import late_signals

NOWHERE = "127.0.0.1:1"
LINE = "svc/e1\t1:1\tnull\n"

UNREACHED = re.compile(r"Error: no etcd endpoint reached .*\n")


@pytest.fixture
def one(etcd: Etcd) -> Etcd:
    """Return an etcd with one endpoint of `svc`."""
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
def test_global_option_is_accepted_before_and_after_the_command(
    run: Run, one: Etcd, args: list[str]
) -> None:
    """As in etcdctl, the last value counts; a list may be given in parts."""
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
def test_etcdnaming_variable_overrides_the_variable_of_etcdctl(
    run: Run, one: Etcd, env: dict[str, str | None], reached: bool
) -> None:
    """An empty variable counts as not set."""
    env = {name: text and text.replace("HERE", one.endpoint) for name, text in env.items()}

    result = run("list", "svc", "--dial-timeout=300ms", env=env)

    assert (result == Result(0, LINE, "")) is reached
    assert bool(UNREACHED.fullmatch(result.err)) is not reached


def test_option_overrides_its_variable(run: Run, one: Etcd) -> None:
    """etcdctl fails with a stack trace if both are set."""
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
    """etcdctl ignores an invalid variable silently."""
    result = run("list", "svc", env={variable: text})

    assert result == Result(128, "", f"Error: {variable}: {reason}\n")


def test_error_names_the_variable_when_its_password_file_does_not_exist(run: Run) -> None:
    """There is no error if another password takes precedence."""
    env = {"ETCDCTL_USER": "root", "ETCDNAMING_PASSWORD_FILE": "/nowhere"}

    message = "ETCDNAMING_PASSWORD_FILE: /nowhere: No such file or directory"
    assert run("list", "svc", env=env) == Result(128, "", f"Error: {message}\n")
    assert run("list", "svc", "--password=x", env=env).err != f"Error: {message}\n"


@pytest.mark.parametrize(
    "name", ["dial-timeout", "command-timeout", "keepalive-time", "keepalive-timeout"]
)
def test_timeout_accepts_the_maximum_duration(run: Run, one: Etcd, name: str) -> None:
    """gRPC can not represent so long a time: it would fail, or never return."""
    assert run("list", "svc", f"--{name}=2562047h") == Result(0, LINE, "")


UNSENDABLE = "only printable ASCII is allowed"


@pytest.mark.parametrize("text", ["hush\nhush", "hush\x7f", "hush \xe4", "hush\udcff"])
def test_invalid_token_is_refused_without_printing_it(run: Run, text: str) -> None:
    """gRPC would fail every call with "Invalid metadata"."""
    result = run("list", "svc", f"--auth-jwt-token={text}")
    message = f"Invalid value for '--auth-jwt-token': {UNSENDABLE} (see etcdnaming list --help)"
    assert result == Result(128, "", f"Error: {message}\n")

    result = run("list", "svc", env={"ETCDCTL_AUTH_JWT_TOKEN": text})
    assert result == Result(128, "", f"Error: ETCDCTL_AUTH_JWT_TOKEN: {UNSENDABLE}\n")


@pytest.mark.parametrize("name", ["USER", "PASSWORD"])
def test_error_does_not_quote_an_invalid_secret(run: Run, name: str) -> None:
    """Many people can read logs."""
    result = run("list", "svc", env={f"ETCDCTL_{name}": "hush\udcff"})

    assert result == Result(128, "", f"Error: ETCDCTL_{name}: not UTF-8\n")


@pytest.mark.parametrize("name", ["cert", "key", "cacert", "password-file"])
def test_empty_file_name_is_refused(run: Run, name: str) -> None:
    """In a shell script it comes from a variable that is not set."""
    result = run("list", "svc", f"--{name}=")

    message = f"Invalid value for '--{name}': the file name is empty (see etcdnaming list --help)"
    assert result == Result(128, "", f"Error: {message}\n")


VERIFY = (
    "not supported: gRPC for Python verifies every server; use --cacert with the server's CA, "
    "or with its certificate if that is self-signed"
)
HEX = r"not supported: bytes that are not UTF-8 are shown as \xNN, and by -w json in base64"
REFUSED = [
    ("insecure-skip-tls-verify", "true", VERIFY),
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
    """The error gives an alternative, in every command, even where the option has no effect."""
    expected = Result(128, "", f"Error: --{name}: {reason}\n")

    assert run(f"--{name}={value}", "list", "svc") == expected
    assert run("version", f"--{name}={value}") == expected


@pytest.mark.parametrize(("name", "value", "reason"), REFUSED)
def test_unsupported_variable_of_etcdctl_is_refused_with_a_reason(
    run: Run, name: str, value: str, reason: str
) -> None:
    """Nothing is sent."""
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
def test_unsupported_flag_of_etcdctl_is_accepted_when_it_has_the_default_value(
    run: Run, one: Etcd, flag: str
) -> None:
    """Scripts may set the default explicitly."""
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
def test_flag_takes_its_value_only_after_an_equals_sign(
    run: Run, one: Etcd, args: list[str], debug: bool
) -> None:
    """Flags in Go behave the same; the last one counts."""
    result = run(*args)

    assert (result.status, result.out) == (0, LINE)
    assert result.err.startswith("Debug: ") is debug


def test_flag_set_to_false_overrides_its_variable(run: Run, one: Etcd) -> None:
    """The command line takes precedence over the environment."""
    env = {"ETCDCTL_DEBUG": "true"}

    assert run("list", "svc", env=env).err.startswith("Debug: ")
    assert run("list", "svc", "--debug=false", env=env) == Result(0, LINE, "")


def test_flag_of_a_command_accepts_a_value(run: Run, one: Etcd) -> None:
    """Global flags and those of commands behave alike."""
    assert run("list", "svc", "--keys-only=true") == Result(0, "svc/e1\n", "")
    assert run("list", "svc", "--keys-only=false") == Result(0, LINE, "")


@pytest.mark.parametrize(
    "args",
    [["-wjson"], ["-w", "json"], ["-w=json"], ["--write-out=json"], ["-o", "json"], ["-ojson"]],
)
@pytest.mark.parametrize("after", [False, True])
def test_short_option_accepts_an_equals_sign(
    run: Run, one: Etcd, args: list[str], after: bool
) -> None:
    """Users of etcdctl write it in this way; -o is kubectl's -w."""
    command = ["list", "svc"]

    result = run(*command, *args) if after else run(*args, *command)

    assert [each["key"] for each in result.json()["endpoints"]] == ["svc/e1"]


def test_flag_is_refused_when_its_value_is_invalid(run: Run) -> None:
    """Only Go's spellings of true and false are valid."""
    result = run("--debug=yes", "list", "svc")

    message = "Error: --debug: 'yes' is neither true nor false (see etcdnaming --help)\n"
    assert result == Result(128, "", message)


def test_repeated_option_has_its_last_value(run: Run, one: Etcd) -> None:
    """So a command line can override an alias, and a value may look like the option itself."""
    result = run("-w", "table", "list", "svc", "-w", "simple")
    assert result == Result(0, LINE, "")

    assert run("add", "svc/e2", "--addr", "1:1", "--metadata", "--metadata").status == 0
    assert run("list", "svc", "--debug=false", "--debug=false") == Result(
        0, f'{LINE}svc/e2\t1:1\t"--metadata"\n', ""
    )


def test_value_may_look_like_a_flag(run: Run, etcd: Etcd) -> None:
    """The word after an option is its value, and after -- there are no options."""
    run("add", "svc/e1", "--addr", "--debug=true", "--metadata", "--prev-kv=false", "--force")
    run("add", "--addr=1:1", "--", "svc/--debug=x")

    assert etcd.get("") == {
        b"svc/--debug=x": b'{"Op":0,"Addr":"1:1","Metadata":null}',
        b"svc/e1": b'{"Op":0,"Addr":"--debug=true","Metadata":"--prev-kv=false"}',
    }


def test_debug_prints_the_effective_settings(run: Run, one: Etcd) -> None:
    """Each has its source: the option, the variable or the default."""
    env = {"ETCDCTL_COMMAND_TIMEOUT": "1m30s", "ETCDNAMING_CACERT": None}

    lines = run("--debug", "list", "svc", "--dial-timeout", "1s", env=env).err.splitlines()

    assert lines[1:-1] == [
        f"Debug: --endpoints {one.endpoint} (ETCDNAMING_ENDPOINTS)",
        "Debug: --insecure-discovery True (default)",
        "Debug: --insecure-transport True (default)",
        "Debug: --dial-timeout 1s (--dial-timeout)",
        "Debug: --command-timeout 90s (ETCDCTL_COMMAND_TIMEOUT)",
        "Debug: --keepalive-time 6s (default)",
        "Debug: --keepalive-timeout 6s (default)",
    ]
    assert re.fullmatch(r"Debug: etcdnaming \S+, Python 3\.\S+", lines[0])
    assert re.fullmatch(r"Debug: \d+\.\d{3} s", lines[-1])


def test_debug_prints_a_traceback_before_the_error(run: Run) -> None:
    """The lines of the traceback are marked, and the error is the last line as usual."""
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
def test_debug_hides_secrets_in_settings_and_errors(run: Run, args: list[str]) -> None:
    """They are replaced by "(hidden)"."""
    result = run("--debug", *args, "list", "svc", "--endpoints", NOWHERE, "--dial-timeout=300ms")

    assert result.status == 2
    assert "(hidden)" in result.err
    assert "hush" not in result.err


@pytest.fixture(scope="module")
def password_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file with the password of root."""
    file = tmp_path_factory.mktemp("secrets") / "password"
    file.write_text(ROOT.partition(":")[2] + "\n")
    return file


def test_user_and_password_may_have_different_sources(
    auth_etcd: Callable[..., Etcd], password_file: Path
) -> None:
    """Each has its own precedence; a password that is given with the user overrides the others."""
    etcd = auth_etcd()
    etcd.put("other/e1", '{"Addr":"1:1"}')  # only root may read it
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
def test_invalid_settings_are_refused_before_a_client_is_created(
    run: Run, args: list[str], env: dict[str, str], message: str
) -> None:
    """Nothing is sent."""
    assert run("list", "svc", *args, env=env) == Result(128, "", f"Error: {message}\n")


def test_password_is_prompted_for_on_a_terminal(
    auth_etcd: Callable[..., Etcd], terminal: Terminal
) -> None:
    """The echo is off meanwhile."""
    etcd = auth_etcd()
    etcd.put("other/e1", '{"Addr":"1:1"}')
    name, _, password = ROOT.partition(":")
    screen = terminal("-w", "simple", "list", "other", "--user", name, "--endpoints", etcd.endpoint)

    screen.expect_exact(f"etcd password for {name}: ")
    screen.waitnoecho()
    screen.sendline(password)
    screen.expect_exact("other/e1\t1:1\tnull\r\n")

    assert password not in str(screen.before)


def test_password_prompt_restores_the_echo_when_ctrl_c_is_pressed(terminal: Terminal) -> None:
    """Otherwise the shell would show nothing of what is typed."""
    screen = terminal("list", "svc", "--user", "root")

    screen.expect_exact("etcd password for root: ")
    screen.waitnoecho()
    screen.sendintr()
    wait_until(screen.getecho)
    screen.wait()

    assert screen.signalstatus == signal.SIGINT


def test_password_prompt_ends_when_ctrl_c_is_pressed_just_before_it_reads(
    terminal: Terminal, tmp_path: Path
) -> None:
    """The signal does not interrupt the read, which would wait for a line."""
    screen = terminal("list", "svc", "--user", "root", env=late_signals(tmp_path))

    screen.expect_exact("etcd password for root: ")
    screen.sendintr()
    wait_until(screen.getecho)
    screen.wait()

    assert screen.signalstatus == signal.SIGINT


@pytest.mark.parametrize("variables", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_output_has_no_colour_when_the_environment_disables_it(
    terminal: Terminal, one: Etcd, variables: Changes
) -> None:
    """Neither results nor errors are coloured."""
    screen = terminal("list", "svc", env=variables)
    screen.expect_exact("1 endpoint under svc")
    assert "\x1b[3" not in str(screen.before)

    screen = terminal("list", env=variables)
    screen.expect_exact("Error: ")
    assert screen.before == ""


def test_ls_is_another_name_of_list(run: Run, one: Etcd) -> None:
    """Options before and after it count as for list; help shows both names."""
    assert run("ls", "svc") == Result(0, LINE, "")
    assert run("-w", "json", "ls", "svc", "--keys-only").json()["keys"]
    assert re.search(r"^  list, ls +List", run("--help").out, re.MULTILINE)
    assert "No such command 'lst'. Did you mean 'list'?" in run("lst").err


@pytest.mark.parametrize("option", ["-q", "--quiet"])
def test_quiet_prints_no_warnings_but_results_and_errors(run: Run, one: Etcd, option: str) -> None:
    """The exit code and stdout are the same as without it."""
    one.put("svc/bad", "nonsense")
    assert "Warning" in run("list", "svc").err

    assert run("list", "svc", option) == Result(0, LINE, "")
    assert run(option, "list", "svc", "--strict").err.startswith("Error: svc/bad: not JSON")
    assert run("list", "svc", env={"ETCDNAMING_QUIET": "1"}).err == ""
    assert "Warning" in run("list", "svc", option, "--quiet=false").err


@pytest.mark.parametrize(
    "command", [["list", "svc"], ["list", "svc", "--keys-only"], ["watch", "svc", "--timeout=1s"]]
)
def test_no_headers_removes_only_the_header_line(run: Run, one: Etcd, command: list[str]) -> None:
    """As in kubectl."""
    header, *rest = run(*command, "-w", "table").out.splitlines()

    assert header.startswith("KEY")
    shown = run(*command, "-w", "table", "--no-headers").out.splitlines()
    assert [line.split() for line in shown] == [line.split() for line in rest]


@pytest.mark.parametrize("command", [["xds-bootstrap", "a:1"], ["sandbox", "--", "true"]])
def test_quiet_is_accepted_by_commands_that_do_not_connect_to_etcd(command: list[str]) -> None:
    """They have warnings and notes, too."""
    assert Run("127.0.0.1:1")("-q", *command).status == 0
