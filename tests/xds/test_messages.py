"""Our messages beside Envoy's own: the same bytes, and nothing that Envoy does not know."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path

import pytest

from etcdnaming.xds import xds_pb2 as xds
from etcdnaming.xds.assignment import Member, View, assignment
from etcdnaming.xds.names import Kind
from etcdnaming.xds.places import Place
from etcdnaming.xds.resources import packed, resource
from etcdnaming.xds.stream import Response

PROTOS = "xds-protos==1.74.0"
"""In an environment of its own: it brings other people's ``google`` packages."""

# Reads a response, and what is in it, with Envoy's messages, and prints what it has read.
READ = """
import base64, json, sys
from google.protobuf import json_format
from envoy.service.discovery.v3 import discovery_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_pb2
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from envoy.extensions.filters.http.router.v3 import router_pb2

def unknown(message):
    again = type(message)()
    again.CopyFrom(message)
    again.DiscardUnknownFields()
    return again.SerializeToString() != message.SerializeToString()

data = base64.b64decode(sys.stdin.read())
response = discovery_pb2.DiscoveryResponse.FromString(data)
assert not unknown(response)
assert response.SerializeToString(deterministic=True) == data, "other bytes"
for each in response.resources:
    kind = {
        message.DESCRIPTOR.full_name: message
        for message in (
            listener_pb2.Listener, route_pb2.RouteConfiguration, cluster_pb2.Cluster,
            endpoint_pb2.ClusterLoadAssignment,
        )
    }[each.TypeName()]
    message = kind()
    assert each.Unpack(message)
    assert not unknown(message), message
    assert message.SerializeToString(deterministic=True) == each.value, "other bytes"
print(json.dumps(json_format.MessageToDict(response)))
"""

REQUEST = """
import base64, sys
from envoy.service.discovery.v3 import discovery_pb2
request = discovery_pb2.DiscoveryRequest(
    version_info="7", resource_names=["a", "b"], type_url="t", response_nonce="n"
)
request.node.id, request.node.cluster = "host-1", "c"
request.node.user_agent_name, request.node.user_agent_version = "gRPC Go", "1.85.0"
request.node.locality.region, request.node.locality.zone = "r", "z"
request.node.locality.sub_zone = "s"
request.node.metadata["key"] = "value"
request.error_detail.code, request.error_detail.message = 3, "bad"
sys.stdout.write(base64.b64encode(request.SerializeToString()).decode())
"""

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python that has Envoy's messages."""
    at = tmp_path_factory.mktemp("xds-protos")
    subprocess.run([sys.executable, "-m", "venv", at], check=True)
    subprocess.run([at / "bin/pip", "install", "--quiet", PROTOS, "protobuf"], check=True)
    return at / "bin/python"


def run(python: Path, program: str, input: bytes = b"") -> str:
    """Return what *program* prints there."""
    done = subprocess.run(
        [python, "-c", program],
        input=base64.b64encode(input).decode(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def places() -> list[Member]:
    """Two localities."""
    return [
        Member(Place("10.0.0.1", 80), 3, "a"),
        Member(Place("2001:db8::1", 81), 1, "b"),
        Member(Place("10.0.0.2", 80), 3, "a"),
    ]


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("name", ["foo/svc", f"xdstp://etcd/{Kind.LISTENER.value}/foo/svc"])
def test_resources_are_the_bytes_that_envoy_writes(python: Path, kind: Kind, name: str) -> None:
    """Every field is known there, and stands where it should."""
    if kind is Kind.ASSIGNMENT:
        body = packed(kind, assignment(name, places(), View("a"), "prefer"))
    else:
        body = resource(kind, name, 2)

    read = json.loads(run(python, READ, Response(kind, "7", "1", [body]).encoded()))

    assert (read["versionInfo"], read["nonce"], read["typeUrl"]) == ("7", "1", kind.type_url)
    found = read["resources"][0]
    assert found.get("name", found.get("clusterName")) == name
    if kind is Kind.ROUTE:
        assert found["virtualHosts"][0]["routes"][0]["route"]["retryPolicy"] == {
            "retryOn": "unavailable",
            "numRetries": 2,
        }
    if kind is Kind.ASSIGNMENT:
        assert [each.get("priority", 0) for each in found["endpoints"]] == [0, 1]


def test_requests_are_read_as_envoy_writes_them(python: Path) -> None:
    """And what we don't know of them does no harm."""
    message = xds.DiscoveryRequest.FromString(base64.b64decode(run(python, REQUEST)))

    assert (message.version_info, message.response_nonce) == ("7", "n")
    assert [*message.resource_names] == ["a", "b"]
    assert (message.node.id, message.node.user_agent_name) == ("host-1", "gRPC Go")
    assert message.node.locality.zone == "z"
    assert message.error_detail.message == "bad"
