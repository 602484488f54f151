"""The settings that every command takes, with the names, types and defaults of etcdctl."""

from __future__ import annotations

from ..grammar.arguments import parse_bool
from ..grammar.durations import parse_duration, parse_timeout
from .setting import Setting

__all__ = ["CONNECTION", "CREDENTIALS", "DEBUG", "REFUSED", "SETTINGS", "WRITE_OUT"]


def _text(text: str) -> str:
    # Must not repeat *text* in an error: it may be a password.
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("not UTF-8") from None
    return text


def _token(text: str) -> str:
    # Must not repeat *text* in an error, either.
    if not (text.isascii() and text.isprintable()):
        raise ValueError("a character that can't be sent: only printable ASCII is allowed")
    return text


def _path(text: str) -> str:
    if not text:
        raise ValueError("an empty file name")
    return text


def _list(text: str) -> tuple[str, ...]:
    return tuple(_text(text).split(","))


def _size(text: str) -> int:
    if not text.isdecimal():
        raise ValueError(f"{text!r} is not a number of bytes")
    return int(text)


_ANSWER_SIZE = "answers of any size are taken, and long lists read in pages: leave it out"
_REQUEST_SIZE = "the server's own limit (etcd --max-request-bytes) decides: leave it out"
_DISCOVERY = "not supported yet: look the SRV record up, and name its hosts in --endpoints"
_HEX = r"not supported: bytes that are not UTF-8 are shown as \xNN, and by -w json in base64"
_VERIFY = (
    "gRPC for Python verifies every server: give --cacert the CA of this one, "
    "or its own certificate if it has signed that itself"
)

WRITE_OUT = Setting(
    "write-out",
    "FORMAT",
    _text,
    None,
    "fields, json, simple or table (on a terminal table, else simple).",
    short="-w",
)
DEBUG = Setting("debug", "", parse_bool, False, "Say what is in force, and where errors come from.")

CONNECTION: tuple[Setting, ...] = (
    Setting(
        "endpoints", "HOST:PORT,...", _list, ("127.0.0.1:2379",), "Where etcd is (127.0.0.1:2379)."
    ),
    Setting("cacert", "FILE", _path, None, "The CA of etcd's certificate; switches TLS on."),
    Setting("cert", "FILE", _path, None, "Our certificate; switches TLS on."),
    Setting("key", "FILE", _path, None, "The key of our certificate."),
    Setting("insecure-transport", "", parse_bool, True, "=false: TLS, with the machine's own CAs."),
    Setting("dial-timeout", "TIME", parse_timeout, 2.0, "To find an etcd that answers (2s)."),
    Setting("command-timeout", "TIME", parse_timeout, 5.0, "For its answer, after that (5s)."),
    Setting(
        "keepalive-time",
        "TIME",
        parse_duration,
        6.0,
        "Between pings (6s; less is taken as 6s, because etcd drops who pings more often).",
    ),
    Setting("keepalive-timeout", "TIME", parse_timeout, 6.0, "For the answer to a ping (6s)."),
)

CREDENTIALS: tuple[Setting, ...] = (
    Setting(
        "user", "NAME[:PASSWORD]", _text, None, "Who we are. Without a password, it is asked for."
    ),
    Setting("password", "TEXT", _text, None, "The password. Everyone sees it in ps."),
    Setting("password-file", "FILE", _path, None, "Where the password is; read for every login."),
    Setting("auth-jwt-token", "TEXT", _token, None, "A token, instead of a user."),
)

# Flags of etcdctl that can't be had. They are known, so that nobody thinks they had an effect.
REFUSED: tuple[Setting, ...] = (
    Setting("insecure-skip-tls-verify", "", parse_bool, False, refusal=_VERIFY),
    Setting("discovery-srv", "DOMAIN", _text, "", short="-d", refusal=_DISCOVERY),
    Setting("discovery-srv-name", "TEXT", _text, "", refusal=_DISCOVERY),
    Setting("insecure-discovery", "", parse_bool, True, refusal=_DISCOVERY),
    Setting("hex", "", parse_bool, False, refusal=_HEX),
    Setting("max-request-bytes", "N", _size, 0, refusal=_REQUEST_SIZE),
    Setting("max-recv-bytes", "N", _size, 0, refusal=_ANSWER_SIZE),
)

SETTINGS = (*CONNECTION, *CREDENTIALS, WRITE_OUT, DEBUG, *REFUSED)
