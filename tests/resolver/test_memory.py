"""Memory that channels to many services take."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing

import pytest
from harness import Etcd
from harness.counting import CountingServers
from harness.watcher import stored

PROGRAM = """
import re, sys
from pathlib import Path
from etcdnaming import Client, insecure_channel

def used():
    return int(re.search(r"VmRSS:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024

client = Client([sys.argv[1]])
channels = []
before = None
for number in range(101):
    channel = insecure_channel(f"svc{number}", client)
    channel.unary_unary("/test.Service/Who")(b"", timeout=20)
    channels.append(channel)
    if before is None:
        before = used()
print(used() - before)
"""


@pytest.mark.long
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc")
def test_hundred_more_services_take_at_most_25_mib(etcd: Etcd) -> None:
    """Most of it is gRPC's own."""
    with closing(CountingServers()) as servers:
        (addr,) = servers.start()
        for number in range(101):
            etcd.put(f"svc{number}/1", stored(addr))
        words = [sys.executable, "-c", PROGRAM, etcd.endpoint]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert float(done.stdout) <= 25, done.stdout
