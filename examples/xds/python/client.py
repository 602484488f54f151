"""
A gRPC client in Python that finds its service by ``xds:///``.

GRPC_XDS_BOOTSTRAP names the file that ``etcdnaming xds-bootstrap`` has written.

    pip install grpcio && python client.py xds:///foo/bar/svc 1000

It calls every so many milliseconds, and prints a line of JSON for each call.
"""

from __future__ import annotations

import argparse
import json
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
args = parser.parse_args()


def say(**line: object) -> None:
    """Print a line."""
    print(json.dumps(line), flush=True)


say(ev="start", t=int(time.time() * 1000))
if args.ca:
    creds = grpc.ssl_channel_credentials(Path(args.ca).read_bytes())
    channel = grpc.secure_channel(args.target, creds, [("grpc.default_authority", "svc.test")])
else:
    channel = grpc.insecure_channel(args.target)
who: Any = channel.unary_unary(args.method)
say(ev="dialled", t=int(time.time() * 1000))
n = 0
while not args.calls or n < args.calls:
    n += 1
    t, start = int(time.time() * 1000), time.perf_counter()
    try:
        end = {
            "p": who(args.body.encode(), timeout=args.deadline, wait_for_ready=args.wfr).decode()
        }
    except grpc.RpcError as exc:
        end = {"e": f"{exc.code().name}: {exc.details()}"}
    say(t=t, d=round((time.perf_counter() - start) * 1000, 3), **end)
    time.sleep(args.interval / 1000)
