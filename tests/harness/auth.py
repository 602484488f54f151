"""Users, and what they may do."""

from __future__ import annotations

from .etcd import Etcd

__all__ = ["READER", "READER_NEEDS", "ROOT", "SERVER_FLAGS", "WRITER", "add_users"]

# As --user takes them.
ROOT = "root:root-secret"
WRITER = "writer:writer-secret"
READER = "reader:reader-secret"

READER_NEEDS = "Error: etcdserver: permission denied: user 'reader' needs"
"""The error of the command line for the reader; permission and keys follow."""


# Passwords are hashed at the lowest price: a login is what is tested, not its safety.
SERVER_FLAGS = ("--auth-token=simple", "--bcrypt-cost=4")


def add_users(etcd: Etcd) -> None:
    """
    Let `ROOT`, `WRITER` and `READER` into *etcd*, which is running, and from now on only those.

    The writer has ``readwrite`` on the prefix ``svc/``, the reader ``read``; nothing else is
    allowed to them. `Etcdctl.ctl` is root.
    """
    for user, permission in ((WRITER, "readwrite"), (READER, "read")):
        name = user.partition(":")[0]
        etcd.ctl("user", "add", user)
        etcd.ctl("role", "add", name)
        etcd.ctl("role", "grant-permission", name, permission, "svc/", "--prefix")
        etcd.ctl("user", "grant-role", name, name)
    etcd.ctl("user", "add", ROOT)
    etcd.ctl("user", "grant-role", "root", "root")
    etcd.ctl("auth", "enable")
    etcd.flags = (*etcd.flags, f"--user={ROOT}")
