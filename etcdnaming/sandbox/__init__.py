"""A throwaway real etcd: up in a fraction of a second, gone without a trace."""

from .etcd import Sandbox, etcd_command, find_etcd
from .server import Server, free_port

__all__ = ["Sandbox", "Server", "etcd_command", "find_etcd", "free_port"]
