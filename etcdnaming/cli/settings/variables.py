"""What variables say of etcd, looked at before it is used: nobody sees which of them was wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ...errors import InvalidSettingError
from .setting import PREFIXES, Value

__all__ = ["check_variables"]


def check_variables(found: Mapping[str, Value]) -> None:
    """
    Make sure that those of the settings in *found* can be used that come from the environment.

    Raises:
        InvalidSettingError: One can't; it names the variable.
    """
    for name, (value, source) in found.items():
        if source.startswith(PREFIXES) and name in _CHECKS:
            try:
                _CHECKS[name](value)
            except OSError as exc:
                raise InvalidSettingError(f"{source}: {value}: {exc.strerror}") from exc
            except InvalidSettingError as exc:
                raise InvalidSettingError(f"{source}: {exc}") from exc


def _check_endpoints(endpoints: Sequence[str]) -> None:
    from ...etcd.addresses import parse_addresses  # behind the door to gRPC

    parse_addresses(endpoints)


def _check_file(name: str) -> None:
    with open(name, "rb"):
        pass


_CHECKS: Mapping[str, Callable[[Any], None]] = {
    "endpoints": _check_endpoints,
    "cacert": _check_file,
    "cert": _check_file,
    "key": _check_file,
    "password_file": _check_file,
}
