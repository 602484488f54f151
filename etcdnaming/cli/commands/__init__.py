"""The commands: their names, where they are, and what they do, in the order people need them."""

from __future__ import annotations

__all__ = ["COMMANDS"]

# Name: module, first sentence of its help.
COMMANDS = {
    "add": (f"{__name__}.add", "Store an endpoint."),
    "del": (f"{__name__}.delete", "Delete endpoints."),
    "list": (f"{__name__}.list", "List the endpoints of a target."),
    "watch": (f"{__name__}.watch", "Follow the endpoints of a target."),
    "wait": (f"{__name__}.wait", "Wait until a target has the endpoints it should have."),
    "lease-register": (
        f"{__name__}.lease_register",
        "Keep endpoints registered while this process runs.",
    ),
    "txn-update": (f"{__name__}.txn_update", "Add and delete endpoints in one transaction."),
    "xds-bridge": (f"{__name__}.xds_bridge", "Serve endpoints to gRPC clients in any language."),
    "xds-bootstrap": (f"{__name__}.xds_bootstrap", "Print the file that xDS clients start with."),
    "sandbox": (f"{__name__}.sandbox", "Run a command, or a shell, with a throwaway etcd."),
    "completion": (f"{__name__}.completion", "Print what makes a shell complete our words."),
    "version": (f"{__name__}.version", "Print the version of etcdnaming and of what it rests on."),
}
