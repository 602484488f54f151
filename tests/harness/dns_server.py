"""A DNS server that answers as a test wants, and the command prefix that makes a process ask it."""

from __future__ import annotations

import random
import socketserver
import struct
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

__all__ = ["SERVFAIL", "SILENT", "DnsServer", "Records"]

SERVFAIL = dns.rcode.SERVFAIL
SILENT = None

Records: TypeAlias = "Sequence[str] | dns.rcode.Rcode | bytes | None"
"""Data of records, an error, the bytes of an answer that is none, or `SILENT`."""

MAX_UDP = 512


class DnsServer:
    """
    Serves ``records[NAME, TYPE]`` on port 53 of an address of this machine, by UDP and TCP.

    An answer too long for UDP is truncated there. *queries* are the questions so far: name, type,
    and whether by TCP.

    Raises:
        PermissionError: This user may not listen on port 53.
    """

    def __init__(self, directory: Path) -> None:
        self.records: dict[tuple[str, str], Records] = {}
        self.queries: list[tuple[str, str, bool]] = []
        self._ready: dict[tuple[object, ...], bytes] = {}
        self.address, self._servers = self._listen()
        for server in self._servers:
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        settings = directory / "resolv.conf"
        settings.write_text(f"nameserver {self.address}\n")
        script = f'mount --bind {settings} /etc/resolv.conf && exec "$@"'
        self.prefix = ["unshare", "--mount", "sh", "-c", script, "sh"]
        """Runs the arguments that follow with this server as the only one."""

    def probe(self) -> None:
        """
        Check that *prefix* works.

        Raises:
            CalledProcessError, OSError: There are no mount namespaces here.
        """
        subprocess.run([*self.prefix, "true"], check=True, capture_output=True)

    def close(self) -> None:
        """Stop it."""
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def answer(self, wire: bytes, *, by_tcp: bool) -> bytes | None:
        """Return the answer to the message *wire*; ``None``: stay silent."""
        query = dns.message.from_wire(wire)
        question = query.question[0]
        name = question.name.to_text().lower()
        kind = dns.rdatatype.to_text(question.rdtype)
        self.queries.append((name, kind, by_tcp))
        records = self.records.get((name, kind), ())
        if records is None or isinstance(records, bytes):
            return records
        key = (query.to_wire()[2:], str(records))
        if key not in self._ready:  # thousands of records take a while
            self._ready[key] = self._response(query, records).to_wire(max_size=65535)
        answer = query.id.to_bytes(2, "big") + self._ready[key][2:]
        if by_tcp or len(answer) <= MAX_UDP:
            return answer
        response = dns.message.make_response(query, recursion_available=True)
        response.flags |= dns.flags.TC
        return response.to_wire()

    def _response(
        self, query: dns.message.Message, records: Sequence[str] | dns.rcode.Rcode
    ) -> dns.message.Message:
        response = dns.message.make_response(query, recursion_available=True)
        name = query.question[0].name
        kind = dns.rdatatype.to_text(query.question[0].rdtype)
        if isinstance(records, dns.rcode.Rcode):
            response.set_rcode(records)
        elif records:
            response.answer.append(dns.rrset.from_text_list(name, 60, "IN", kind, records))
        elif not any(each == name.to_text().lower() for each, _ in self.records):
            response.set_rcode(dns.rcode.NXDOMAIN)
        return response

    def _listen(self) -> tuple[str, tuple[socketserver.BaseServer, ...]]:
        owner = self

        class Datagram(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                wire, socket = self.request
                if answer := owner.answer(wire, by_tcp=False):
                    socket.sendto(answer, self.client_address)

        class Stream(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                while length := self.rfile.read(2):
                    wire = self.rfile.read(struct.unpack("!H", length)[0])
                    if answer := owner.answer(wire, by_tcp=True):
                        self.wfile.write(struct.pack("!H", len(answer)) + answer)

        while True:
            place = f"127.{random.randrange(1, 255)}.{random.randrange(256)}.2", 53
            try:
                udp = socketserver.ThreadingUDPServer(place, Datagram)
            except PermissionError:
                raise
            except OSError:
                continue  # another test's
            udp.daemon_threads = True
            try:
                tcp = socketserver.ThreadingTCPServer(place, Stream)
            except OSError:
                udp.server_close()
                continue
            tcp.daemon_threads = True
            return place[0], (udp, tcp)
