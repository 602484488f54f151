"""Replace one endpoint by another, atomically: python deploy.py OLD NEW."""

import os
import sys

from etcdnaming import (
    Client,
    Condition,
    ConditionFailedError,
    Endpoint,
    EndpointManager,
    Update,
)

ETCD = os.environ.get("ETCDNAMING_ENDPOINTS", "127.0.0.1:2379")


def main(old: str, new: str) -> str | None:
    """Replace *old* by *new* in one transaction, unless *old* has changed meanwhile."""
    with Client(ETCD) as client:
        manager = EndpointManager(client, "etcd:///foo/bar/greeter")
        listing = manager.list()
        for stored in listing:
            if stored.endpoint.addr == old:
                break
        else:
            return f"{old} is not among the {len(listing)} endpoints"
        zone = stored.endpoint.metadata["zone"]
        add = Update.add("foo/bar/greeter/", Endpoint(new, {"zone": zone}))
        try:
            unchanged = Condition(stored.key, stored.mod_revision)
            manager.update([add, Update.delete(stored.key)], conditions=[unchanged])
        except ConditionFailedError as error:
            return str(error)
    return None


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
