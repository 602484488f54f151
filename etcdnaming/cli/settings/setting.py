"""
One setting: how it is called and read, and where its value comes from.

A flag wins over ``ETCDNAMING_X``, that over ``ETCDCTL_X``, that over the default.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

from ...errors import InvalidSettingError

__all__ = ["PREFIXES", "Setting", "Value", "find", "from_environment", "refuse"]

PREFIXES = ("ETCDNAMING_", "ETCDCTL_")


class Setting(NamedTuple):
    """
    One setting. *metavar* is empty for a flag.

    *refusal* says why anything but the default can't be had, and what to do instead.
    """

    name: str
    metavar: str
    parse: Callable[[str], Any]
    default: Any
    help: str = ""
    short: str = ""
    refusal: str = ""

    @property
    def flag(self) -> str:
        """The name on the command line."""
        return f"--{self.name}"

    @property
    def key(self) -> str:
        """The name in Python, which is also `Client`'s."""
        return self.name.replace("-", "_")

    def variable(self, prefix: str) -> str:
        """The name in the environment."""
        return prefix + self.key.upper()


Value: TypeAlias = tuple[Any, str]
"""What a setting is, and the flag or variable that says so, if any."""


def find(setting: Setting, given: Mapping[str, Any], environ: Mapping[str, str]) -> Value:
    """
    Return the value of *setting*; *given* are the flags, parsed.

    Raises:
        InvalidSettingError: The variable that counts has no such value, or it can't be had.
    """
    if setting.key in given:
        return given[setting.key], setting.flag
    for prefix in PREFIXES:
        found = from_environment(setting, environ, prefix)
        if found is not None:
            return found
    return setting.default, ""


def from_environment(setting: Setting, environ: Mapping[str, str], prefix: str) -> Value | None:
    """Return what the variable of *setting* with this prefix says; an empty one says nothing."""
    variable = setting.variable(prefix)
    text = environ.get(variable)
    if not text:
        return None
    try:
        value = setting.parse(text)
    except ValueError as exc:
        raise InvalidSettingError(f"{variable}: {exc}") from exc
    refuse(setting, value, variable)
    return value, variable


def refuse(setting: Setting, value: Any, source: str) -> None:
    """
    Make sure that *value* can be had.

    Raises:
        InvalidSettingError: It can't.
    """
    if setting.refusal and value != setting.default:
        raise InvalidSettingError(f"{source}: {setting.refusal}")
