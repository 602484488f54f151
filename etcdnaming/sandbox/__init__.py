"""A temporary real etcd, which starts in a fraction of a second and is removed completely."""

from .etcd import Sandbox, etcd_command, find_etcd
from .server import Server, free_port

__all__ = ["Sandbox", "Server", "etcd_command", "find_etcd", "free_port"]
