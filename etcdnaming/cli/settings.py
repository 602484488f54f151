"""
The settings of all commands, with the names, types and defaults of etcdctl, and their values.

A flag wins over ``ETCDNAMING_X``, that over ``ETCDCTL_X``, that over the default. User and password
may come from different places: a password next to the name wins over one from a later place.
The flags are options of click, the same before and after the name of the command.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple, TypeAlias

import click
from click.core import ParameterSource

from ..errors import InvalidSettingError
from .output import FORMATS
from .parsing import (
    Candidate,
    Parsed,
    complete_file,
    opposite,
    parse_bool,
    parse_duration,
    parse_timeout,
)

__all__ = [
    "CONNECTION",
    "CREDENTIALS",
    "DEBUG",
    "GLOBAL_OPTIONS",
    "NO_HEADERS",
    "PREFIXES",
    "QUIET",
    "REFUSED",
    "SETTINGS",
    "WRITE_OUT",
    "Setting",
    "Value",
    "find",
    "find_credentials",
    "settings_given",
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
    Setting("password", "TEXT", _text, None, "Password (`ps` shows it; use --password-file)."),
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
        found = _from_environment(setting, environ, prefix)
        if found is not None:
            return found
    return setting.default, ""


def _from_environment(setting: Setting, environ: Mapping[str, str], prefix: str) -> Value | None:
    """Return the value of the setting's variable with this prefix, if it is set and not empty."""
    variable = setting.variable(prefix)
    text = environ.get(variable)
    if not text:
        return None
    try:
        value = setting.parse(text)
    except ValueError as exc:
        raise InvalidSettingError(f"{variable}: {exc}") from exc
    _check_supported(setting, value, variable)
    return value, variable


def _check_supported(setting: Setting, value: Any, source: str) -> None:
    """
    Check that *value* is supported.

    Raises:
        InvalidSettingError: It is not.
    """
    if setting.refusal and value != setting.default:
        raise InvalidSettingError(f"{source}: {setting.refusal}")


_Layer: TypeAlias = Mapping[str, Any]

_IDENTITIES = frozenset({"user", "auth_jwt_token"})
_PASSWORDS = frozenset({"password", "password_file"})


def find_credentials(
    given: Mapping[str, Any], environ: Mapping[str, str], ask: Callable[[str], str]
) -> dict[str, Any]:
    """
    Return the credentials as arguments for `Client`; *ask* prompts for a missing password.

    Raises:
        InvalidSettingError: Something is missing, or there are two passwords.
    """
    layers = list(_layers(given, environ))
    first: _Layer = next((each for each in layers if each.keys() & _IDENTITIES), {})
    if first.get("auth_jwt_token"):
        return {"auth_jwt_token": first["auth_jwt_token"]}
    if not first.get("user"):
        _refuse_password_alone(given)
        return {}
    at = layers.index(first)
    login = _with_password(first["user"], nearer=layers[: at + 1], farther=layers[at + 1 :])
    return login or {"user": first["user"], "password": ask(first["user"])}


def _layers(given: Mapping[str, Any], environ: Mapping[str, str]) -> Iterator[_Layer]:
    """Yield the credentials of each place, the one that wins first."""
    yield {each.key: given[each.key] for each in CREDENTIALS if each.key in given}
    for prefix in PREFIXES:
        found = {each.key: _from_environment(each, environ, prefix) for each in CREDENTIALS}
        yield {name: value[0] for name, value in found.items() if value is not None}


def _with_password(
    user: str, *, nearer: Sequence[_Layer], farther: Sequence[_Layer]
) -> dict[str, Any]:
    """Split *user* at the colon only if there is no separate password, as etcdctl does."""
    name, colon, password = user.partition(":")
    inline = {"user": name, "password": password} if colon else {}
    return _login(user, nearer) or inline or _login(user, farther)


def _login(user: str, layers: Sequence[_Layer]) -> dict[str, Any]:
    for layer in layers:
        if layer.keys() >= _PASSWORDS:
            raise InvalidSettingError("use either --password or --password-file")
        if layer.keys() & _PASSWORDS:
            return {"user": user, **{name: layer[name] for name in _PASSWORDS if name in layer}}
    return {}


def _refuse_password_alone(given: Mapping[str, Any]) -> None:
    for name in sorted(_PASSWORDS & given.keys()):
        raise InvalidSettingError(f"--{name.replace('_', '-')} needs a --user")


_GIVEN = "etcdnaming.given"


def settings_given(ctx: click.Context) -> Mapping[str, Any]:
    """Return the settings on the command line, parsed; the command's win over the group's."""
    found: dict[str, Any] = ctx.meta.setdefault(_GIVEN, {})
    return found


def _remember(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    # All contexts share `meta`; the command's options are parsed after the group's.
    if ctx.get_parameter_source(param.name or "") is ParameterSource.COMMANDLINE:
        setting = _BY_NAME[param.name]
        value = tuple(chain.from_iterable(value)) if param.multiple else value
        _check_supported(setting, value, setting.flag)
        ctx.meta.setdefault(_GIVEN, {})[setting.key] = value


def _complete_format(_: click.Context, beginning: str) -> Sequence[Candidate]:
    return [(name, "plain") for name in FORMATS if name.startswith(beginning)]


_COMPLETE = {"FILE": complete_file, "FORMAT": _complete_format}


def _options(setting: Setting) -> Iterator[click.Option]:
    names = [setting.flag, *setting.short, _name(setting)]
    if setting.metavar:
        yield click.Option(
            names,
            type=Parsed(setting.key, setting.parse, _COMPLETE.get(setting.metavar)),
            multiple=isinstance(setting.default, tuple),  # a repeated option extends the list
            metavar=setting.metavar,
            help=setting.help,
            hidden=bool(setting.refusal),
            expose_value=False,
            callback=_remember,
        )
        return
    for name, value in ((setting.flag, True), (opposite(setting.flag), False)):
        yield click.Option(
            [name, *(setting.short if value else ()), _name(setting)],
            is_flag=True,
            flag_value=value,
            help=setting.help,
            hidden=not value or bool(setting.refusal),
            expose_value=False,
            callback=_remember,
        )


def _name(setting: Setting) -> str:
    return f"setting_{setting.key}"  # --key FILE is not the argument KEY


_BY_NAME: dict[str | None, Setting] = {_name(setting): setting for setting in SETTINGS}

GLOBAL_OPTIONS: tuple[click.Option, ...] = tuple(
    chain.from_iterable(_options(setting) for setting in SETTINGS)
)
