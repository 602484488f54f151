"""
Find the user and the password (or the token) for etcd.

Name and password may come from different places: flags, ``ETCDNAMING_X``, ``ETCDCTL_X``. The first
place in this order wins, and a password next to the name wins over one from a later place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from ..errors import InvalidSettingError
from .settings import CREDENTIALS, PREFIXES, from_environment

__all__ = ["find_credentials"]

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
        found = {each.key: from_environment(each, environ, prefix) for each in CREDENTIALS}
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
