"""A server of the gRPC health checking protocol."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from types import TracebackType

import grpc
from google.protobuf.wrappers_pb2 import Int32Value, StringValue

from .tls import Certificates

__all__ = ["NOT_SERVING", "SERVING", "HealthServer"]

SERVING, NOT_SERVING = 1, 2

# A HealthCheckRequest has one string and a HealthCheckResponse one number, each with the tag 1.
# Two well-known messages of protobuf have the same encoding.
REQUEST, RESPONSE = StringValue.FromString, Int32Value.SerializeToString


class HealthServer:
    """
    Serve on *port*; *statuses* by service (``""``: the server) may be changed at any time.

    *tls*: use its server certificate.
    """

    def __init__(
        self,
        statuses: dict[str, int] | None,
        port: int = 0,
        *,
        tls: Certificates | None = None,
    ) -> None:
        self.statuses = statuses or {}
        self._server = grpc.server(ThreadPoolExecutor(4), options=[("grpc.so_reuseport", 0)])
        if statuses is not None:
            check = grpc.unary_unary_rpc_method_handler(self._check, REQUEST, RESPONSE)
            handler = grpc.method_handlers_generic_handler(
                "grpc.health.v1.Health", {"Check": check}
            )
            self._server.add_generic_rpc_handlers([handler])
        address = f"127.0.0.1:{port}"
        if tls:
            pair = (tls.server.key.read_bytes(), tls.server.cert.read_bytes())
            credentials = grpc.ssl_server_credentials([pair])
            port = self._server.add_secure_port(address, credentials)
        else:
            port = self._server.add_insecure_port(address)
        self.address = f"127.0.0.1:{port}"
        self._server.start()

    def _check(self, request: StringValue, context: grpc.ServicerContext) -> Int32Value:
        if request.value not in self.statuses:
            context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
        return Int32Value(value=self.statuses[request.value])

    def __enter__(self) -> HealthServer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.stop(0).wait()
