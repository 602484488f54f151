"""List the commands: name, module and summary, in the order of the help page."""

from __future__ import annotations

__all__ = ["ALIASES", "COMMANDS", "SYNONYMS"]

# Name: module, first sentence of its help.
COMMANDS = {
    "add": (f"{__name__}.add", "Store an endpoint."),
    "del": (f"{__name__}.delete", "Delete endpoints."),
    "list": (f"{__name__}.list", "List the endpoints of targets."),
    "services": (f"{__name__}.services", "List the services in etcd and count their endpoints."),
    "get": (f"{__name__}.get", "Print endpoints in full."),
    "set": (f"{__name__}.set", "Change the address or the metadata of an endpoint."),
    "drain": (f"{__name__}.drain", "Mark endpoints as draining."),
    "undrain": (f"{__name__}.undrain", "Mark endpoints as no longer draining."),
    "watch": (f"{__name__}.watch", "Print the endpoints of a target, then every change."),
    "wait": (f"{__name__}.wait", "Wait until the endpoints of a target meet conditions."),
    "check": (f"{__name__}.check", "Check the health of all endpoints of a target."),
    "status": (f"{__name__}.status", "Print the status of each etcd endpoint."),
    "lease-register": (
        f"{__name__}.lease_register",
        "Keep endpoints registered while this process runs.",
    ),
    "txn-update": (f"{__name__}.txn_update", "Add and delete endpoints in one transaction."),
    "export": (f"{__name__}.export", "Print the endpoints of a target as an update file."),
    "diff": (f"{__name__}.diff", "Print what apply would change."),
    "apply": (f"{__name__}.apply", "Make a target hold the endpoints of a file."),
    "xds-bridge": (f"{__name__}.xds_bridge", "Serve endpoints to gRPC clients in any language."),
    "xds-bootstrap": (f"{__name__}.xds_bootstrap", "Print the file that xDS clients start with."),
    "sandbox": (f"{__name__}.sandbox", "Run a command or a shell with a temporary etcd."),
    "completion": (f"{__name__}.completion", "Print the shell completion script."),
    "version": (f"{__name__}.version", "Print the versions of etcdnaming, its libraries and etcd."),
}

# Another name of a command, and the command.
ALIASES = {"ls": "list"}

SYNONYMS = {
    **dict.fromkeys(("describe", "show"), "get"),
    **dict.fromkeys(("put", "create"), "add"),
    **dict.fromkeys(("edit", "patch", "annotate", "label"), "set"),
    **dict.fromkeys(("delete", "remove", "rm"), "del"),
    "txn": "txn-update",
    "cordon": "drain",
    "uncordon": "undrain",
    **dict.fromkeys(("endpoint", "member", "alarm", "cluster-info"), "status"),
    **dict.fromkeys(("snapshot", "make-mirror"), "export"),
    "replace": "apply",
    **dict.fromkeys(("lease", "register"), "lease-register"),
    "compaction": "",
}
"""Commands of etcdctl and kubectl, and the command that does the same here ("": none does)."""
