"""
Fork, then make a client and a channel on both sides: ``python forked_first.py ETCD``.

The exit status is 0 if ``svc`` answered the calls of both processes.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from etcdnaming import Client, insecure_channel

child = os.fork()
with Client([sys.argv[1]]) as client, insecure_channel("svc", client) as channel:
    call: Any = channel.unary_unary("/test.Service/Who")
    call(b"", timeout=10)
if child:
    sys.exit(os.waitpid(child, 0)[1] != 0)
