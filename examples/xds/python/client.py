"""
A gRPC client in Python that finds its service by ``xds:///``.

GRPC_XDS_BOOTSTRAP names the file that ``etcdnaming xds-bootstrap`` has written.

    pip install grpcio && python client.py xds:///foo/bar/svc 1000

It calls every so many milliseconds, and prints the answer of each call and its time; with -json
an object, as the clients in the other languages do.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import grpc

parser = argparse.ArgumentParser()
parser.add_argument("target")
parser.add_argument("interval", type=int)
parser.add_argument("-wfr", action="store_true")
parser.add_argument("-deadline", type=float, default=20)
parser.add_argument("-calls", type=int, default=0)
parser.add_argument("-ca")
parser.add_argument("-method", default="/example.Greeter/Hello")
parser.add_argument("-body", default="world")
parser.add_argument("-json", action="store_true")
args = parser.parse_args()

if args.ca:
    creds = grpc.ssl_channel_credentials(Path(args.ca).read_bytes())
    channel = grpc.secure_channel(args.target, creds, [("grpc.default_authority", "svc.test")])
else:
    channel = grpc.insecure_channel(args.target)
hello: Any = channel.unary_unary(args.method)
n = 0
while not args.calls or n < args.calls:
    n += 1
    at, start = int(time.time() * 1000), time.perf_counter()
    answer = error = ""
    try:
        answer = hello(args.body.encode(), timeout=args.deadline, wait_for_ready=args.wfr).decode()
    except grpc.RpcError as exc:
        error = f"{exc.code().name}: {exc.details()}"
    took = round((time.perf_counter() - start) * 1000, 3)
    if args.json:
        print(
            json.dumps({"t": at, "d": took, ("e" if error else "p"): error or answer}), flush=True
        )
    elif error:
        print(f"{error} ({took:.1f} ms)", file=sys.stderr, flush=True)
    else:
        print(f"{answer} ({took:.1f} ms)", flush=True)
    time.sleep(args.interval / 1000)
