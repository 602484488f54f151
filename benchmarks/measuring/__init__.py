"""
Helpers of the benchmarks: contestants take turns on one etcd, and the result is a row.

The etcd is an `etcdnaming.sandbox.Sandbox`, or a `running_etcd` where a benchmark stops it or uses
TLS; `peers` builds or installs the other programs.
"""

from .etcds import RunningEtcd, running_etcd
from .filling import TARGET, fill, update_lines, updates
from .orders import PeerProcess, Took
from .peers import etcdctl, go_program, ours, peer_program, python_with
from .processes import Cost, cost_of, median
from .results import Bound, Row, circumstances, record, rows
from .running import Usage, requests, running, streams, usage_of
from .turns import in_turns
from .xds_clients import Received, XdsClients

__all__ = [
    "TARGET",
    "Bound",
    "Cost",
    "PeerProcess",
    "Received",
    "Row",
    "RunningEtcd",
    "Took",
    "Usage",
    "XdsClients",
    "circumstances",
    "cost_of",
    "etcdctl",
    "fill",
    "go_program",
    "in_turns",
    "median",
    "ours",
    "peer_program",
    "python_with",
    "record",
    "requests",
    "rows",
    "running",
    "running_etcd",
    "streams",
    "update_lines",
    "updates",
    "usage_of",
]
