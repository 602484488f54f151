"""The bootstrap file that tells an xDS client where its server is."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import NamedTuple

from ..errors import InvalidSettingError
from ..model import JSON
from .names import Kind

__all__ = ["LANGUAGES", "Bootstrap", "bootstrap", "warnings"]

LANGUAGES = ("go", "java", "node", "python", "cpp", "ruby", "rust", "envoy")


class Bootstrap(NamedTuple):
    """
    What the file says. *server* is ``HOST:PORT`` or ``unix:PATH``.

    *authority*: names of it, ``xds://AUTHORITY/foo/svc``, are asked for there, too. *strip*: a
    target that is put before every name, so that ``xds:///svc`` is enough.

    *ca*, *cert*, *key*: files, for TLS to the server.
    """

    server: str
    node_id: str
    zone: str = ""
    authority: str = ""
    strip: str = ""
    ca: str = ""
    cert: str = ""
    key: str = ""
    language: str = ""


def bootstrap(wanted: Bootstrap) -> str:
    """
    Return the text of the file: JSON, or for Envoy YAML.

    Raises:
        InvalidSettingError: The settings contradict each other.
    """
    if bool(wanted.cert) != bool(wanted.key):
        raise InvalidSettingError("a certificate and its key go together: one of them is missing")
    if wanted.cert and not wanted.ca:
        raise InvalidSettingError("a certificate of the client needs the CA of the server, too")
    if wanted.authority and not re.fullmatch(r"[A-Za-z0-9._~:-]+", wanted.authority):
        raise InvalidSettingError(
            f"authority {wanted.authority!r}: only letters, digits and . - _ ~ : can be in it"
        )
    if "," in wanted.server:
        raise InvalidSettingError(
            "one server: no client moves to the second when the first is gone. Give several "
            "servers one DNS name"
        )
    if wanted.language == "envoy":
        return _envoy(wanted)
    return json.dumps(_file(wanted), indent=2) + "\n"


def warnings(wanted: Bootstrap) -> Sequence[str]:
    """Return what the language can't do with that."""
    tls, language = bool(wanted.ca), wanted.language
    found = []
    if language == "node" and tls:
        found.append("grpc-js can't use TLS to the xDS server: use a unix socket, or loopback")
    if language == "java" and tls:
        found.append(
            "grpc-java ignores the files: set -Djavax.net.ssl.trustStore; it has no client "
            "certificate"
        )
    if language in ("cpp", "ruby") and tls:
        found.append("gRPC 1.51 and older has no TLS to the xDS server")
    if language in ("cpp", "ruby") and (wanted.authority or wanted.strip):
        found.append(
            "gRPC 1.51 reads authorities and templates only with "
            "GRPC_EXPERIMENTAL_XDS_FEDERATION=true in its environment"
        )
    if language == "rust":
        found.append("tonic-xds ignores weights and zones, and waits where a set is empty")
        if wanted.strip:
            found.append("tonic-xds ignores templates: dial the whole name")
    return found


def _file(wanted: Bootstrap) -> dict[str, JSON]:
    server = wanted.server
    if wanted.language == "rust" and not server.startswith("unix:"):
        server = f"{'https' if wanted.ca else 'http'}://{server}"
    servers: JSON = [
        {
            "server_uri": server,
            "channel_creds": [_credentials(wanted)],
            "server_features": ["xds_v3"],
        }
    ]
    # grpc-js fails without node.locality, with words that do not say so.
    node: JSON = {"id": wanted.node_id, "locality": {"zone": wanted.zone}}
    file: dict[str, JSON] = {"xds_servers": servers, "node": node}
    if wanted.strip:
        file["client_default_listener_resource_name_template"] = f"{_escaped(wanted.strip)}/%s"
    if wanted.authority:
        template = f"xdstp://{wanted.authority}/{Kind.LISTENER.value}/%s"
        file["authorities"] = {
            wanted.authority: {
                "xds_servers": servers,
                "client_listener_resource_name_template": template,
            }
        }
    return file


def _escaped(target: str) -> str:
    return target.replace("%", "%%") if "%s" in target else target


def _credentials(wanted: Bootstrap) -> JSON:
    if not wanted.ca:
        return {"type": "insecure"}
    config = {"ca_certificate_file": wanted.ca}
    if wanted.cert:
        config |= {"certificate_file": wanted.cert, "private_key_file": wanted.key}
    return {"type": "tls", "config": config}


ENVOY = """\
node:
  id: {node}
  cluster: {node}
  locality: {{zone: {zone}}}
dynamic_resources:
  ads_config:
    api_type: GRPC
    transport_api_version: V3
    grpc_services: [{{envoy_grpc: {{cluster_name: xds}}}}]
static_resources:
  listeners:
    - name: example
      address: {{socket_address: {{address: 127.0.0.1, port_value: 10000}}}}
      filter_chains:
        - filters:
            - name: envoy.filters.network.http_connection_manager
              typed_config:
                "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
                stat_prefix: example
                codec_type: AUTO
                route_config:
                  virtual_hosts:
                    - name: example
                      domains: ["*"]
                      routes: [{{match: {{prefix: /}}, route: {{cluster: foo/bar/svc}}}}]
                http_filters:
                  - name: envoy.filters.http.router
                    typed_config:
                      "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
  clusters:
    - name: foo/bar/svc  # a target: one such entry for each service
      type: EDS
      connect_timeout: 1s
      eds_cluster_config: {{eds_config: {{ads: {{}}, resource_api_version: V3}}}}
      common_lb_config: {{locality_weighted_lb_config: {{}}}}
      typed_extension_protocol_options:
        envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
          "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
          explicit_http_config: {{http2_protocol_options: {{}}}}
    - name: xds
      type: STRICT_DNS
      connect_timeout: 1s
      typed_extension_protocol_options:
        envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
          "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
          explicit_http_config: {{http2_protocol_options: {{}}}}
      load_assignment:
        cluster_name: xds
        endpoints:
          - lb_endpoints:
              - endpoint: {{address: {address}}}
"""


def _envoy(wanted: Bootstrap) -> str:
    if wanted.server.startswith("unix:"):
        path = wanted.server.removeprefix("unix:")
        address = f"{{pipe: {{path: {json.dumps(path)}}}}}"
    else:
        host, _, port = wanted.server.rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        address = f"{{socket_address: {{address: {json.dumps(host)}, port_value: {port}}}}}"
    text = ENVOY.format(
        node=json.dumps(wanted.node_id), zone=json.dumps(wanted.zone), address=address
    )
    return text + (_envoy_tls(wanted) if wanted.ca else "")


def _envoy_tls(wanted: Bootstrap) -> str:
    files = ""
    if wanted.cert:
        files = (
            "            tls_certificates:\n"
            f"              - certificate_chain: {{filename: {json.dumps(wanted.cert)}}}\n"
            f"                private_key: {{filename: {json.dumps(wanted.key)}}}\n"
        )
    return (
        "      transport_socket:\n"
        "        name: envoy.transport_sockets.tls\n"
        "        typed_config:\n"
        '          "@type": type.googleapis.com/'
        "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext\n"
        "          common_tls_context:\n"
        f"            validation_context: {{trusted_ca: {{filename: {json.dumps(wanted.ca)}}}}}\n"
        f"{files}"
    )
