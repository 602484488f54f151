"""
The settings of all commands, with the names, types and defaults of etcdctl, and their values.

A flag wins over ``ETCDNAMING_X``, that over ``ETCDCTL_X``, that over the default.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from ..errors import InvalidSettingError
from .parsing import parse_bool, parse_duration, parse_timeout

__all__ = [
    "CONNECTION",
    "CREDENTIALS",
    "DEBUG",
    "NO_HEADERS",
    "PREFIXES",
    "QUIET",
    "REFUSED",
    "SETTINGS",
    "WRITE_OUT",
    "Setting",
    "Value",
    "check_supported",
    "find",
    "from_environment",
]

PREFIXES = ("ETCDNAMING_", "ETCDCTL_")


class Setting(NamedTuple):
    """
    The definition of a setting. *metavar* is empty for a flag.

    *refusal* says why only the default is supported, and what to do instead.
    """

    name: str
    metavar: str
    parse: Callable[[str], Any]
    default: Any
    help: str = ""
    short: Sequence[str] = ()
    refusal: str = ""

    @property
    def flag(self) -> str:
        """The name on the command line."""
        return f"--{self.name}"

    @property
    def key(self) -> str:
        """The name in Python, which is also the name of `Client`'s argument."""
        return self.name.replace("-", "_")

    def variable(self, prefix: str) -> str:
        """The name in the environment."""
        return prefix + self.key.upper()


def _text(text: str) -> str:
    # The error must not quote *text*: it may be a password.
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("not UTF-8") from None
    return text


def _token(text: str) -> str:
    # The error must not quote *text* here, either.
    if not (text.isascii() and text.isprintable()):
        raise ValueError("only printable ASCII is allowed")
    return text


def _path(text: str) -> str:
    if not text:
        raise ValueError("the file name is empty")
    return text


def _list(text: str) -> tuple[str, ...]:
    return tuple(_text(text).split(","))


def _size(text: str) -> int:
    if not text.isdecimal():
        raise ValueError(f"{text!r} is not a number of bytes")
    return int(text)


_ANSWER_SIZE = "not supported, not needed: responses have no size limit; remove it"
_REQUEST_SIZE = "not supported: the server's limit counts (etcd --max-request-bytes); remove it"
_HEX = r"not supported: bytes that are not UTF-8 are shown as \xNN, and by -w json in base64"
_VERIFY = (
    "not supported: gRPC for Python verifies every server; use --cacert with the server's CA, "
    "or with its certificate if that is self-signed"
)

WRITE_OUT = Setting(
    "write-out",
    "FORMAT",
    _text,
    None,
    "Output format: fields, json, simple, table, yaml (default: table on a terminal, else simple).",
    short=("-w", "-o"),
)
QUIET = Setting(
    "quiet",
    "",
    parse_bool,
    False,
    "Print no warnings, notes and progress, only results and errors.",
    short=("-q",),
)
NO_HEADERS = Setting("no-headers", "", parse_bool, False, "Print tables without the header line.")
DEBUG = Setting("debug", "", parse_bool, False, "Print effective settings and tracebacks.")

CONNECTION: tuple[Setting, ...] = (
    Setting(
        "endpoints",
        "HOST:PORT,...",
        _list,
        ("127.0.0.1:2379",),
        "Endpoints of the etcd members (default 127.0.0.1:2379).",
    ),
    Setting(
        "discovery-srv",
        "DOMAIN",
        _text,
        None,
        "Use the endpoints in the DNS SRV records of DOMAIN, not --endpoints.",
        short=("-d",),
    ),
    Setting(
        "discovery-srv-name",
        "NAME",
        _text,
        None,
        "Look for the SRV records etcd-client-NAME and etcd-client-ssl-NAME.",
    ),
    Setting(
        "insecure-discovery",
        "",
        parse_bool,
        True,
        "Use SRV records without TLS, too (default). =false: only TLS, certificates for DOMAIN.",
    ),
    Setting("cacert", "FILE", _path, None, "CA of etcd's certificates. Enables TLS."),
    Setting("cert", "FILE", _path, None, "Client certificate. Enables TLS."),
    Setting("key", "FILE", _path, None, "Private key of the client certificate."),
    Setting(
        "insecure-transport",
        "",
        parse_bool,
        True,
        "Use plain text (default). =false enables TLS with the system's CAs.",
    ),
    Setting("dial-timeout", "TIME", parse_timeout, 2.0, "Connection timeout (default 2s)."),
    Setting(
        "command-timeout",
        "TIME",
        parse_timeout,
        5.0,
        "Request timeout once connected (default 5s).",
    ),
    Setting(
        "keepalive-time",
        "TIME",
        parse_duration,
        6.0,
        "Keepalive interval (default and minimum: 6s).",
    ),
    Setting(
        "keepalive-timeout", "TIME", parse_timeout, 6.0, "Keepalive response timeout (default 6s)."
    ),
)

CREDENTIALS: tuple[Setting, ...] = (
    Setting(
        "user",
        "NAME[:PASSWORD]",
        _text,
        None,
        "User name. Prompts for the password if none is given.",
    ),
    Setting(
        "password",
        "TEXT",
        _text,
        None,
        "Password (`ps` shows it; use --password-file).",
    ),
    Setting(
        "password-file", "FILE", _path, None, "File with the password; read again for each login."
    ),
    Setting("auth-jwt-token", "TEXT", _token, None, "JWT token, instead of a user."),
)

# Flags of etcdctl that are not supported. They are known, so that they fail with a reason.
REFUSED: tuple[Setting, ...] = (
    Setting("insecure-skip-tls-verify", "", parse_bool, False, refusal=_VERIFY),
    Setting("hex", "", parse_bool, False, refusal=_HEX),
    Setting("max-request-bytes", "N", _size, 0, refusal=_REQUEST_SIZE),
    Setting("max-recv-bytes", "N", _size, 0, refusal=_ANSWER_SIZE),
)

SETTINGS = (*CONNECTION, *CREDENTIALS, WRITE_OUT, NO_HEADERS, QUIET, DEBUG, *REFUSED)

Value: TypeAlias = tuple[Any, str]
"""The value of a setting, and the flag or variable it comes from ("" for the default)."""


def find(setting: Setting, given: Mapping[str, Any], environ: Mapping[str, str]) -> Value:
    """
    Return the value of *setting*; *given* are the flags, parsed.

    Raises:
        InvalidSettingError: The value of the variable is invalid or not supported.
    """
    if setting.key in given:
        return given[setting.key], setting.flag
    for prefix in PREFIXES:
        found = from_environment(setting, environ, prefix)
        if found is not None:
            return found
    return setting.default, ""


def from_environment(setting: Setting, environ: Mapping[str, str], prefix: str) -> Value | None:
    """Return the value of the setting's variable with this prefix, if it is set and not empty."""
    variable = setting.variable(prefix)
    text = environ.get(variable)
    if not text:
        return None
    try:
        value = setting.parse(text)
    except ValueError as exc:
        raise InvalidSettingError(f"{variable}: {exc}") from exc
    check_supported(setting, value, variable)
    return value, variable


def check_supported(setting: Setting, value: Any, source: str) -> None:
    """
    Check that *value* is supported.

    Raises:
        InvalidSettingError: It is not.
    """
    if setting.refusal and value != setting.default:
        raise InvalidSettingError(f"{source}: {setting.refusal}")
