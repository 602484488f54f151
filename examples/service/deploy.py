"""Replace one endpoint by another, without a failed call: python deploy.py OLD NEW."""

import os
import sys
import time

from etcdnaming import (
    Client,
    Endpoint,
    EndpointManager,
    EtcdnamingError,
    StoredEndpoint,
    merge_patch,
)

ETCD = os.environ.get("ETCDNAMING_ENDPOINTS", "127.0.0.1:2379")
DRAIN = 1.0
"""Seconds until every client has noticed."""


def draining(stored: StoredEndpoint) -> Endpoint:
    """Return the endpoint with ``draining`` set: clients send it no new calls."""
    metadata = merge_patch(stored.endpoint.metadata, {"draining": True})
    return Endpoint(stored.endpoint.addr, metadata)


def replace(manager: EndpointManager, old: str, new: str) -> str | None:
    """Add *new*, drain *old*, wait, and delete *old*; return what was wrong, if anything."""
    listing = manager.list()
    stored = next((each for each in listing if each.endpoint.addr == old), None)
    if stored is None:
        return f"{old} is not among the {len(listing)} endpoints"
    manager.add_endpoint("foo/bar/greeter/", Endpoint(new, stored.endpoint.metadata))
    drained = manager.modify(stored.key, draining)
    time.sleep(DRAIN)
    # An error if the endpoint was changed meanwhile: then another deployment is under way.
    manager.delete_endpoint(stored.key, if_mod_revision=drained.header.revision)
    return None


def main(old: str, new: str) -> str | None:
    """Return why *new* does not replace *old*, or ``None``."""
    with Client(ETCD) as client:
        try:
            return replace(EndpointManager(client, "etcd:///foo/bar/greeter"), old, new)
        except EtcdnamingError as error:
            return str(error)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
