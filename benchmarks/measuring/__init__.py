"""
What the benchmarks stand on: contestants take turns on one etcd, and the result is a row.

An etcd is `etcdnaming.sandbox.Sandbox`; whoever else is needed is built or installed by `peers`.
"""

from .filling import fill, updates
from .peers import etcdctl, go_program, ours, python_with
from .results import Bound, Row, record
from .told import Told, Took
from .turns import in_turns

__all__ = [
    "Bound",
    "Row",
    "Told",
    "Took",
    "etcdctl",
    "fill",
    "go_program",
    "in_turns",
    "ours",
    "python_with",
    "record",
    "updates",
]
