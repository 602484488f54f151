"""
What the benchmarks stand on: two contestants take turns on one etcd, and the result is a row.

An etcd is `etcdnaming.sandbox.Sandbox`; whoever else is needed is built by `go_program`.
"""

from .peers import go_program
from .results import Bound, Row, record
from .turns import in_turns

__all__ = ["Bound", "Row", "go_program", "in_turns", "record"]
