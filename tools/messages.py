"""
Write etcdnaming/etcd/rpc_pb2.py and etcdnaming/xds/xds_pb2.py, and their types, from the protos.

Run it from the top of the tree, in an environment of its own (``make generate``). The compiler in
that environment is old, so that its output works with every protobuf from 3.20.3 on.
"""

from __future__ import annotations

import sys

from grpc_tools import protoc

# The path below the top of the tree becomes the registered file name, which must be ours.
PROTOS = ("etcdnaming/etcd/rpc.proto", "etcdnaming/xds/xds.proto")


def main() -> int:
    return int(protoc.main(["protoc", "--proto_path=.", "--python_out=.", "--pyi_out=.", *PROTOS]))


if __name__ == "__main__":
    sys.exit(main())
