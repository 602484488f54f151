"""What a channel takes of gRPC's service config, and what it refuses when it is made."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import grpc
import pytest
from harness import AT_ONCE, Etcd
from harness.backends import Backends, method
from harness.counting import WHO, CountingServers
from harness.waiting import TIMEOUT
from harness.watcher import stored

from etcdnaming import Client, insecure_channel
from etcdnaming.errors import InvalidSettingError
from etcdnaming.resolver.channel import Channel

RETRY = {
    "maxAttempts": 3,
    "initialBackoff": "0.1s",
    "maxBackoff": "1s",
    "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE"],
}


def dial(client: Client, config: object) -> Channel:
    """Return a channel with the service config *config*."""
    return insecure_channel("svc", client, options=[("grpc.service_config", json.dumps(config))])


def retry(**changes: Any) -> dict[str, Any]:
    """Return a service config with a retry policy that is changed."""
    return {"methodConfig": [{"name": [{}], "retryPolicy": {**RETRY, **changes}}]}


@pytest.mark.parametrize(
    ("config", "name"),
    [
        ({"healthCheckConfig": {"serviceName": ""}}, "healthCheckConfig"),
        ({"retryThrottling": {"maxTokens": 10, "tokenRatio": 0.1}}, "retryThrottling"),
        ({"methodConfig": [{"name": [{}], "waitForReady": True}]}, "waitForReady"),
        ({"methodConfig": [{"name": [{}], "maxRequestMessageBytes": 1}]}, "maxRequestMessageBytes"),
        ({"methodConfig": [{"name": [{}], "hedgingPolicy": {}}]}, "hedgingPolicy"),
        ({"loadBalancingConfig": [{"grpclb": {}}]}, "grpclb"),
        ({"loadBalancingPolicy": "best"}, "best"),
        (retry(retryableStatusCodes=["ABORTED"]), "ABORTED"),
        (retry(backoffMultiplier=3), "backoffMultiplier"),
        (retry(maxAttempts=1), "maxAttempts"),
        (retry(perAttemptRecvTimeout="1s"), "perAttemptRecvTimeout"),
    ],
)
def test_channel_is_refused_when_its_service_config_can_not_be_translated(
    client: Client, config: object, name: str
) -> None:
    """By name, before any call."""
    with pytest.raises(InvalidSettingError, match=name):
        dial(client, config)


def test_channel_may_try_a_call_twice(client: Client) -> None:
    """Fewer attempts are no retry policy."""
    dial(client, retry(maxAttempts=2)).close()


def test_timeout_of_the_service_config_ends_calls_of_its_method(
    etcd: Etcd, client: Client, backends: Backends
) -> None:
    """Without a timeout of the caller; other methods have none."""
    names = [{"service": "test.Service", "method": "Slow"}]
    etcd.put("svc/1", stored(backends().addr))
    with dial(client, {"methodConfig": [{"name": names, "timeout": "0.5s"}]}) as channel:
        slow: Any = channel.unary_unary(method("Slow"))
        count: Any = channel.unary_stream(method("Count"))
        with pytest.raises(grpc.RpcError) as caught:
            slow(b"20")
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert list(count(b"2 0.6")) == [b"0", b"1"]


@pytest.mark.parametrize(
    "config",
    [{"loadBalancingPolicy": "PICK_FIRST"}, {"loadBalancingConfig": [{"pick_first": {}}]}],
)
def test_policy_of_the_service_config_is_used(
    etcd: Etcd, client: Client, servers: CountingServers, config: object
) -> None:
    """In both of its spellings."""
    for addr in servers.start(3):
        etcd.put(f"svc/{addr}", stored(addr))
    with dial(client, config) as channel:
        call: Any = channel.unary_unary(WHO)
        answers = Counter(call(b"", timeout=TIMEOUT) for _ in range(30))
    assert list(answers.values()) == [30]


@pytest.mark.long
def test_plain_call_fails_after_fifteen_seconds_when_etcd_was_never_read() -> None:
    """The limit is gRPC's, the words are gRPC's, and calls that wait for ready go on waiting."""
    with Client(["127.0.0.1:1"]) as client, insecure_channel("svc", client) as channel:
        call: Any = channel.unary_unary(WHO)
        waiting = call.future(b"", timeout=15 + 2 * AT_ONCE, wait_for_ready=True)
        with pytest.raises(grpc.RpcError) as caught:
            call(b"", timeout=60)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert "does not exist" in str(caught.value)
        assert not waiting.done()
        assert waiting.code() is grpc.StatusCode.DEADLINE_EXCEEDED
