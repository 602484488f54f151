"""The users of the tests, and their permissions."""

from __future__ import annotations

from .etcdctl import Etcdctl

__all__ = ["READER", "READER_NEEDS", "ROOT", "SERVER_FLAGS", "WRITER", "add_users"]

# USER:PASSWORD, the form of --user.
ROOT = "root:root-secret"
WRITER = "writer:writer-secret"
READER = "reader:reader-secret"

READER_NEEDS = "Error: etcdserver: permission denied: user 'reader' needs"
"""The error of the command line for the reader; permission and keys follow."""


# The cheapest password hash: the tests check logins, not how safe the passwords are.
SERVER_FLAGS = ("--auth-token=simple", "--bcrypt-cost=4")


def add_users(etcd: Etcdctl) -> None:
    """
    Add the users to the running *etcd*, and enable its authentication.

    `WRITER` has ``readwrite`` and `READER` has ``read`` permission on the prefix ``svc/``, and no
    other permissions. From now on `Etcdctl.ctl` logs in as `ROOT`.
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
