"""
Find the value of a setting.

A flag wins over ``ETCDNAMING_X``, that over ``ETCDCTL_X``, that over the default.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from ...errors import InvalidSettingError

__all__ = [
    "PREFIXES",
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
