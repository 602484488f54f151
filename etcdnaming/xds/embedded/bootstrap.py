"""How gRPC in this process finds the server: its xDS bootstrap, for names of ours only."""

from __future__ import annotations

import json
import os
from typing import Any

__all__ = ["AUTHORITY", "is_ours", "options"]

AUTHORITY = "etcdnaming"
"""The authority in the names of all resources here, and in the targets of channels."""

MARK = "etcdnaming.process"
"""In the node's metadata, with the process: a program that inherits our variable replaces it."""

VARIABLE = "GRPC_XDS_BOOTSTRAP_CONFIG"
"""
It stays in the environment: gRPC reads it for each new target, and again when an idle channel wakes
up (seen with 1.66, 1.72 and 1.85; the last one keeps it while it has any xDS client).
"""

ARGUMENT = "grpc.TEST_ONLY_DO_NOT_USE_IN_PROD.xds_bootstrap_config"
"""
For a process with an xDS bootstrap of its own. The name warns of tests, but gRPC has it in all
versions; a channel with it has an xDS client of its own, which takes 2 MiB.
"""


def options(uri: str) -> list[tuple[str, Any]]:
    """Return the channel options with which gRPC finds the server at *uri*; or set the variable."""
    config = _config(uri)
    set_before = os.environ.get(VARIABLE, "")
    if os.environ.get("GRPC_XDS_BOOTSTRAP") or (set_before and not is_ours(set_before)):
        return [(ARGUMENT, config)]
    if set_before != config:
        os.environ[VARIABLE] = config
    return []


def is_ours(config: str) -> bool:
    """Return whether *config* is that of channels, in this process or in a parent of it."""
    return MARK in config


def _config(uri: str) -> str:
    server = {
        "server_uri": uri,
        "channel_creds": [{"type": "insecure"}],
        "server_features": ["xds_v3"],
    }
    node = {"id": AUTHORITY, "locality": {}, "metadata": {MARK: os.getpid()}}
    authorities = {AUTHORITY: {"xds_servers": [server]}}
    return json.dumps({"xds_servers": [server], "node": node, "authorities": authorities})
