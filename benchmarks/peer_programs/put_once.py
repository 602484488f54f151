"""
Store an endpoint with as little as a Python script needs: the floor for ``etcdnaming add``.

    python put_once.py ENDPOINT DIRECTORY        (DIRECTORY has rpc_pb2.py, the messages)
"""

import sys

import click
import grpc

sys.path.append(sys.argv[2])
import rpc_pb2 as rpc

with grpc.insecure_channel(sys.argv[1]) as channel:
    put = channel.unary_unary(
        "/etcdserverpb.KV/Put",
        request_serializer=rpc.PutRequest.SerializeToString,
        response_deserializer=rpc.PutResponse.FromString,
    )
    value = b'{"Op":0,"Addr":"10.0.0.1:8080","Metadata":null}'
    put(rpc.PutRequest(key=b"svc/e1", value=value), timeout=5)
    click.echo("OK")
