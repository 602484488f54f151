"""
A caller's gRPC service config, as far as xDS can express it.

gRPC ignores the service config of ``xds:`` channels. So what it says is translated, and what can't
be is refused when the channel is made: a retry that silently does not happen is worse.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, get_args

from ..errors import InvalidSettingError
from ..xds.embedded.resources import MethodRoute, Policy, Retry

__all__ = ["ServiceConfig", "parse_policy", "parse_service_config"]

CODES = {
    1: ("CANCELLED", "cancelled"),
    4: ("DEADLINE_EXCEEDED", "deadline-exceeded"),
    8: ("RESOURCE_EXHAUSTED", "resource-exhausted"),
    13: ("INTERNAL", "internal"),
    14: ("UNAVAILABLE", "unavailable"),
}
"""The status codes of retries that xDS has, by number: gRPC's name and Envoy's."""

MAX_ATTEMPTS = 5
"""GRPC's own limit."""

_SECONDS = re.compile(r"\d{1,9}(\.\d{1,9})?s", re.ASCII)


class ServiceConfig(NamedTuple):
    """What is translated; the most specific routes come first. *policy* is empty if not given."""

    policy: Policy | None = None
    routes: tuple[MethodRoute, ...] = ()


def parse_service_config(text: str) -> ServiceConfig:
    """
    Translate the JSON *text* of a service config.

    >>> parse_service_config('{"methodConfig": [{"name": [{}], "timeout": "2s"}]}').routes
    (MethodRoute(service='', method='', timeout=2.0, retry=None),)

    Raises:
        InvalidSettingError: It is no service config, or has a member that xDS can't express.
    """
    try:
        config = json.loads(text)
    except ValueError as exc:
        raise _invalid(f"is not JSON: {exc}") from None
    readers: dict[str, Callable[[Any], object]] = {
        "loadBalancingPolicy": lambda name: parse_policy(str(name).lower()),
        "loadBalancingConfig": _policy_of_first_known,
        "methodConfig": _routes,
    }
    found = _read_members("", config, readers)
    policy: Any = found.get("loadBalancingConfig") or found.get("loadBalancingPolicy")
    routes: Any = found.get("methodConfig") or ()
    return ServiceConfig(policy, routes)


def parse_policy(name: str) -> Policy:
    """
    Return the load balancing policy *name*.

    Raises:
        InvalidSettingError: There is no such policy here.
    """
    for policy in get_args(Policy):
        if name == policy:
            found: Policy = policy
            return found
    raise InvalidSettingError(f"there is no policy {name!r}: use round_robin or pick_first")


def _policy_of_first_known(configs: Any) -> Policy:
    names = [name for config in _list("loadBalancingConfig", configs) for name in config]
    known = [name for name in names if name in get_args(Policy)]
    return parse_policy(known[0] if known else ", ".join(map(str, names)))


def _routes(configs: Any) -> tuple[MethodRoute, ...]:
    routes = [route for each in _list("methodConfig", configs) for route in _routes_of(each)]
    return tuple(sorted(routes, key=lambda route: (not route.method, not route.service)))


def _routes_of(config: Any) -> Iterator[MethodRoute]:
    found = _read_members(
        "methodConfig.",
        config,
        {"name": _names, "timeout": _duration("timeout"), "retryPolicy": _retry},
    )
    timeout: Any = found.get("timeout")
    retry: Any = found.get("retryPolicy")
    names: Any = found.get("name", ())
    for service, method in names:
        yield MethodRoute(service, method, timeout, retry)


def _names(names: Any) -> list[tuple[str, str]]:
    found = []
    for each in _list("methodConfig.name", names):
        read = _read_members("methodConfig.name.", each, {"service": _text, "method": _text})
        found.append((str(read.get("service") or ""), str(read.get("method") or "")))
    return found


def _retry(policy: Any) -> Retry:
    found = _read_members(
        "retryPolicy.",
        policy,
        {
            "maxAttempts": _attempts,
            "initialBackoff": _duration("initialBackoff"),
            "maxBackoff": _duration("maxBackoff"),
            "backoffMultiplier": _multiplier,
            "retryableStatusCodes": _codes,
        },
    )
    missing = {"maxAttempts", "initialBackoff", "maxBackoff", "retryableStatusCodes"} - found.keys()
    if missing:
        raise _invalid(f"lacks retryPolicy.{min(missing)}")
    first: Any = found["initialBackoff"]
    longest: Any = found["maxBackoff"]
    attempts: Any = found["maxAttempts"]
    codes: Any = found["retryableStatusCodes"]
    return Retry(codes, attempts, first, max(first, longest))


def _attempts(number: Any) -> int:
    if type(number) is not int or number < 2:
        raise _invalid("retryPolicy.maxAttempts is not an integer above 1")
    return min(number, MAX_ATTEMPTS)


def _multiplier(number: Any) -> float:
    if number != 2:
        raise _invalid("retryPolicy.backoffMultiplier is always 2 here")
    return 2.0


def _codes(codes: Any) -> tuple[str, ...]:
    by_name = dict(CODES.values())
    found = []
    for code in _list("retryPolicy.retryableStatusCodes", codes):
        name = CODES[code][0] if code in CODES else str(code).upper()
        if name not in by_name:
            raise _invalid(
                f"retries on {code!r}, which is none of {', '.join(sorted(by_name))}: use these"
            )
        found.append(by_name[name])
    return tuple(found)


def _duration(name: str) -> Callable[[Any], float]:
    def parse(text: Any) -> float:
        if not (isinstance(text, str) and _SECONDS.fullmatch(text) and float(text[:-1])):
            raise _invalid(f"{name} is not a time such as 1.5s")
        return float(text[:-1])

    return parse


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise _invalid("methodConfig.name has a member that is no text")
    return value


def _list(name: str, value: Any) -> Iterable[Any]:
    if not isinstance(value, list):
        raise _invalid(f"{name} is not a list")
    return value


def _read_members(
    prefix: str, members: Any, readers: Mapping[str, Callable[[Any], object]]
) -> dict[str, object]:
    if not isinstance(members, dict):
        raise _invalid(f"{prefix.rstrip('.') or 'it'} is not an object")
    for name in members:
        if name not in readers:
            raise _invalid(f"{prefix}{name} can't be had with channels that follow etcd")
    return {name: readers[name](value) for name, value in members.items()}


def _invalid(problem: str) -> InvalidSettingError:
    return InvalidSettingError(f"grpc.service_config: {problem}")
