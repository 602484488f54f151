"""List the commands: name, module and summary, in the order of the help page."""

from __future__ import annotations

__all__ = ["ALIASES", "COMMANDS"]

# Name: module, first sentence of its help.
COMMANDS = {
    "add": (f"{__name__}.add", "Store an endpoint."),
    "del": (f"{__name__}.delete", "Delete endpoints."),
    "list": (f"{__name__}.list", "List the endpoints of targets."),
    "watch": (f"{__name__}.watch", "Print the endpoints of a target, then every change."),
    "wait": (f"{__name__}.wait", "Wait until the endpoints of a target meet conditions."),
    "lease-register": (
        f"{__name__}.lease_register",
        "Keep endpoints registered while this process runs.",
    ),
    "txn-update": (f"{__name__}.txn_update", "Add and delete endpoints in one transaction."),
    "xds-bridge": (f"{__name__}.xds_bridge", "Serve endpoints to gRPC clients in any language."),
    "xds-bootstrap": (f"{__name__}.xds_bootstrap", "Print the file that xDS clients start with."),
    "sandbox": (f"{__name__}.sandbox", "Run a command or a shell with a temporary etcd."),
    "completion": (f"{__name__}.completion", "Print the shell completion script."),
    "version": (f"{__name__}.version", "Print the versions of etcdnaming and its dependencies."),
}

# Another name of a command, and the command.
ALIASES = {"ls": "list"}
