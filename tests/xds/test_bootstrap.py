"""The file that clients start with."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from harness import Run


@pytest.fixture
def file(run: Run) -> Any:
    """``file(*args)``: what is printed for the bridge at 127.0.0.1:18000."""
    return lambda *args: run("xds-bootstrap", "127.0.0.1:18000", *args)


def test_one_file_is_for_all_languages(file: Any) -> None:
    """Node fails without a locality, with words that do not say so."""
    assert file("--node-id", "host-1").json() == {
        "xds_servers": [
            {
                "server_uri": "127.0.0.1:18000",
                "channel_creds": [{"type": "insecure"}],
                "server_features": ["xds_v3"],
            }
        ],
        "node": {"id": "host-1", "locality": {"zone": ""}},
    }
    for language in ("go", "java", "node", "python", "cpp", "ruby"):
        result = file("--node-id", "host-1", "--for", language)
        assert (result.json(), result.err) == (file("--node-id", "host-1").json(), "")


def test_node_is_the_host_unless_it_has_a_name(file: Any) -> None:
    """And says its zone."""
    node = file("--zone", "a").json()["node"]
    assert node["id"]
    assert node["locality"] == {"zone": "a"}


def test_server_may_be_a_unix_socket(run: Run) -> None:
    """One bridge a host."""
    found = run("xds-bootstrap", "unix:/run/x.sock").json()
    assert found["xds_servers"][0]["server_uri"] == "unix:/run/x.sock"


def test_authority_has_the_same_server(file: Any) -> None:
    """Names are xdstp URLs then."""
    found = file("--authority", "etcd").json()
    assert found["authorities"] == {
        "etcd": {
            "xds_servers": found["xds_servers"],
            "client_listener_resource_name_template": (
                "xdstp://etcd/envoy.config.listener.v3.Listener/%s"
            ),
        }
    }


def test_prefix_becomes_a_template(file: Any) -> None:
    """So that clients dial the rest."""
    found = file("--strip", "foo/").json()
    assert found["client_default_listener_resource_name_template"] == "foo/%s"


def test_certificates_switch_tls_on(file: Any) -> None:
    """The CA alone, or with the client's certificate."""
    servers = file("--ca", "/ca", "--cert", "/c", "--key", "/k").json()["xds_servers"]
    assert servers[0]["channel_creds"] == [
        {
            "type": "tls",
            "config": {
                "ca_certificate_file": "/ca",
                "certificate_file": "/c",
                "private_key_file": "/k",
            },
        }
    ]


@pytest.mark.parametrize(
    ("args", "warning"),
    [
        (["--for", "node", "--ca", "/ca"], "grpc-js can't use TLS to the xDS server"),
        (["--for", "java", "--ca", "/ca"], "grpc-java ignores the files"),
        (["--for", "cpp", "--ca", "/ca"], "no TLS to the xDS server"),
        (["--for", "ruby", "--strip", "foo"], "GRPC_EXPERIMENTAL_XDS_FEDERATION=true"),
        (["--for", "rust"], "tonic-xds ignores weights and zones"),
        (["--for", "rust", "--strip", "foo"], "tonic-xds ignores templates"),
    ],
)
def test_it_warns_of_what_a_language_can_not_do(file: Any, args: list[str], warning: str) -> None:
    """On stderr; the file is printed all the same."""
    result = file(*args)
    assert warning in result.err
    assert all(line.startswith("Warning: ") for line in result.err.splitlines())
    assert result.json()["xds_servers"]


def test_rust_gets_a_url(file: Any) -> None:
    """tonic takes nothing else."""
    assert file("--for", "rust").json()["xds_servers"][0]["server_uri"] == "http://127.0.0.1:18000"
    secure = file("--for", "rust", "--ca", "/ca").json()
    assert secure["xds_servers"][0]["server_uri"] == "https://127.0.0.1:18000"


def test_envoy_gets_its_own_file(run: Run, file: Any) -> None:
    """Which is to be completed with one cluster for each service."""
    found = yaml.safe_load(file("--for", "envoy", "--zone", "a", "--node-id", "e").out)
    assert found["node"] == {"id": "e", "cluster": "e", "locality": {"zone": "a"}}
    service, server = found["static_resources"]["clusters"]
    assert service["name"] == "foo/bar/svc"
    [group] = server["load_assignment"]["endpoints"]
    assert group["lb_endpoints"][0]["endpoint"]["address"] == {
        "socket_address": {"address": "127.0.0.1", "port_value": 18000}
    }
    args = ("unix:/run/x", "--for", "envoy", "--ca", "/ca", "--cert", "/c", "--key", "/k")
    secure = yaml.safe_load(run("xds-bootstrap", *args).out)
    _, server = secure["static_resources"]["clusters"]
    tls = server["transport_socket"]["typed_config"]["common_tls_context"]
    assert tls["validation_context"] == {"trusted_ca": {"filename": "/ca"}}
    assert tls["tls_certificates"][0]["private_key"] == {"filename": "/k"}
    address = server["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"]
    assert address == {"pipe": {"path": "/run/x"}}


def test_file_can_be_printed_as_json(file: Any) -> None:
    """Members in the order of the documentation."""
    assert [*json.loads(file().out)] == ["xds_servers", "node"]
