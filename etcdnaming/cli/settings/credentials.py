"""
Who we are to etcd, and where that is said.

Name and password may come from different places: flags, ``ETCDNAMING_X``, ``ETCDCTL_X``. Whatever
is nearer to the user wins, and a password goes with the name that stands beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from ...errors import InvalidSettingError
from .known import CREDENTIALS
from .setting import PREFIXES, from_environment

__all__ = ["credentials"]

_Layer: TypeAlias = Mapping[str, Any]

_WHO = frozenset({"user", "auth_jwt_token"})
_PASSWORDS = frozenset({"password", "password_file"})


def credentials(
    given: Mapping[str, Any], environ: Mapping[str, str], ask: Callable[[str], str]
) -> dict[str, Any]:
    """
    Return what `Client` wants to know about us; *ask* for the user's password if nobody gives it.

    Raises:
        InvalidSettingError: Something is missing, or said twice.
    """
    layers = list(_layers(given, environ))
    nearest: _Layer = next((each for each in layers if each.keys() & _WHO), {})
    if nearest.get("auth_jwt_token"):
        return {"auth_jwt_token": nearest["auth_jwt_token"]}
    if not nearest.get("user"):
        _refuse_password_alone(given)
        return {}
    at = layers.index(nearest)
    login = _with_password(nearest["user"], nearer=layers[: at + 1], farther=layers[at + 1 :])
    return login or {"user": nearest["user"], "password": ask(nearest["user"])}


def _layers(given: Mapping[str, Any], environ: Mapping[str, str]) -> Iterator[_Layer]:
    """Yield what is said in each place, the nearest first."""
    yield {each.key: given[each.key] for each in CREDENTIALS if each.key in given}
    for prefix in PREFIXES:
        found = {each.key: from_environment(each, environ, prefix) for each in CREDENTIALS}
        yield {name: value[0] for name, value in found.items() if value is not None}


def _with_password(
    user: str, *, nearer: Sequence[_Layer], farther: Sequence[_Layer]
) -> dict[str, Any]:
    """As etcdctl, take a colon for the end of the name only if no password stands by itself."""
    name, colon, password = user.partition(":")
    beside = {"user": name, "password": password} if colon else {}
    return _login(user, nearer) or beside or _login(user, farther)


def _login(user: str, layers: Sequence[_Layer]) -> dict[str, Any]:
    for layer in layers:
        if layer.keys() >= _PASSWORDS:
            raise InvalidSettingError("a password and a password file: which of them is it?")
        if layer.keys() & _PASSWORDS:
            return {"user": user, **{name: layer[name] for name in _PASSWORDS if name in layer}}
    return {}


def _refuse_password_alone(given: Mapping[str, Any]) -> None:
    for name in sorted(_PASSWORDS & given.keys()):
        raise InvalidSettingError(f"--{name.replace('_', '-')} needs a --user")
