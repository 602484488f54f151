"""
Fork while a channel is in use: ``python forking.py ETCD``, with GRPC_ENABLE_FORK_SUPPORT=1.

The parent calls ``svc``; its child calls by the same channel, and by one of its own, until that has
two endpoints. What both find is printed, a line each.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

from etcdnaming import Client, insecure_channel
from etcdnaming.resolver.channel import Channel


def who(channel: Channel) -> str:
    """Return who answers."""
    call: Any = channel.unary_unary("/test.Service/Who")
    answer: bytes = call(b"", timeout=10)
    return answer.decode()


def tell(name: str, **found: object) -> None:
    """Print it."""
    sys.stdout.write(json.dumps({"name": name, **found}) + "\n")
    sys.stdout.flush()


def be_child(endpoint: str, inherited: Channel) -> None:
    """Call, and follow."""
    age = inherited.age or 0
    tell("inherited", who=who(inherited), aging=0 < age < (inherited.age or 0))
    with Client([endpoint]) as client, insecure_channel("svc", client) as own:
        tell("own", who=who(own))
        wait_for_two(own)
        tell("child", endpoints=len(own.endpoints))


def wait_for_two(channel: Channel) -> None:
    """Return when it has two endpoints."""
    while len(channel.endpoints) != 2:
        time.sleep(0.01)


def main(endpoint: str) -> None:
    """Fork."""
    with Client([endpoint]) as client, insecure_channel("svc", client) as channel:
        tell("before", who=who(channel))
        child = os.fork()
        if not child:
            be_child(endpoint, channel)
            os._exit(0)
        tell("after", who=who(channel))
        wait_for_two(channel)
        tell("parent", endpoints=len(channel.endpoints))
        tell("status", status=os.waitpid(child, 0)[1])


main(sys.argv[1])
