"""The bootstrap file that xDS clients start with."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from harness import Run


@pytest.fixture
def file(run: Run) -> Any:
    """Return a function that prints the file for the bridge at 127.0.0.1:18000."""
    return lambda *args: run("xds-bootstrap", "127.0.0.1:18000", *args)


def test_bootstrap_is_the_same_for_most_languages(file: Any) -> None:
    """The file has a locality, because Node fails without one, with an unclear error."""
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


def test_bootstrap_has_a_default_node_id_and_the_given_zone(file: Any) -> None:
    """The ID is that of this machine unless one is given."""
    node = file("--zone", "a").json()["node"]
    assert node["id"]
    assert node["locality"] == {"zone": "a"}


def test_bootstrap_accepts_a_unix_socket_as_server(run: Run) -> None:
    """With one bridge per host, no port is needed."""
    found = run("xds-bootstrap", "unix:/run/x.sock").json()
    assert found["xds_servers"][0]["server_uri"] == "unix:/run/x.sock"


def test_bootstrap_authority_uses_the_same_server(file: Any) -> None:
    """Names are xdstp URLs with an authority."""
    found = file("--authority", "etcd").json()
    assert found["authorities"] == {
        "etcd": {
            "xds_servers": found["xds_servers"],
            "client_listener_resource_name_template": (
                "xdstp://etcd/envoy.config.listener.v3.Listener/%s"
            ),
        }
    }


def test_bootstrap_strip_option_becomes_a_name_template(file: Any) -> None:
    """Clients then dial names without the prefix."""
    found = file("--strip", "foo/").json()
    assert found["client_default_listener_resource_name_template"] == "foo/%s"


def test_bootstrap_enables_tls_when_certificates_are_given(file: Any) -> None:
    """The client's certificate and key are optional."""
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
        (["--for", "ruby", "--strip", "foo"], "neither authorities nor templates"),
        (["--for", "rust"], "tonic-xds ignores weights and zones"),
        (["--for", "rust", "--strip", "foo"], "tonic-xds ignores templates"),
    ],
)
def test_bootstrap_warns_of_features_that_a_language_lacks(
    file: Any, args: list[str], warning: str
) -> None:
    """The warnings are on stderr, and the file is printed all the same."""
    result = file(*args)
    assert warning in result.err
    assert all(line.startswith("Warning: ") for line in result.err.splitlines())
    assert result.json()["xds_servers"]


def test_bootstrap_for_rust_has_the_server_as_a_url(file: Any) -> None:
    """tonic accepts nothing else."""
    assert file("--for", "rust").json()["xds_servers"][0]["server_uri"] == "http://127.0.0.1:18000"
    secure = file("--for", "rust", "--ca", "/ca").json()
    assert secure["xds_servers"][0]["server_uri"] == "https://127.0.0.1:18000"


def test_bootstrap_for_envoy_is_an_envoy_configuration(run: Run, file: Any) -> None:
    """The user has to add one cluster for each service."""
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


def test_bootstrap_output_is_json_with_members_in_order(file: Any) -> None:
    """The order is that of the documentation."""
    assert [*json.loads(file().out)] == ["xds_servers", "node"]
