"""Helpers of the tests: real etcds, broken networks, and ways to run the program."""

from .auth import READER, ROOT, WRITER
from .cli import Result, Run
from .cluster import Cluster
from .etcd import Etcd
from .etcdctl import Entry, Etcdctl, EtcdctlError
from .process import Process, Spawn
from .proxy import Proxy
from .shell import Shell
from .terminal import Terminal
from .tls import Certificates
from .waiting import AT_ONCE, TIMEOUT, wait_until

__all__ = [
    "AT_ONCE",
    "READER",
    "ROOT",
    "TIMEOUT",
    "WRITER",
    "Certificates",
    "Cluster",
    "Entry",
    "Etcd",
    "Etcdctl",
    "EtcdctlError",
    "Process",
    "Proxy",
    "Result",
    "Run",
    "Shell",
    "Spawn",
    "Terminal",
    "wait_until",
]
