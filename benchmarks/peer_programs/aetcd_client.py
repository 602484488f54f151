"""Execute the commands on stdin with aetcd, in its own environment."""

from __future__ import annotations

import asyncio
import json
import sys

import aetcd
from answering import ADDR, TARGET, answer


def main(endpoint: str) -> None:
    host, _, port = endpoint.rpartition(":")
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    unlimited = {"grpc.max_receive_message_length": -1}
    client = aetcd.Client(host, int(port), options=unlimited)

    async def list_all() -> dict[bytes, str]:
        found = await client.get_prefix(f"{TARGET}/".encode())
        return {each.key: json.loads(each.value)["Addr"] for each in found}

    async def add(count: int) -> None:
        for n in range(count):
            value = json.dumps({"Op": 0, "Addr": ADDR, "Metadata": None}, separators=(",", ":"))
            await client.put(f"{TARGET}/{n}".encode(), value.encode())

    answer(
        lambda: loop.run_until_complete(list_all()),
        lambda count: loop.run_until_complete(add(count)),
    )


if __name__ == "__main__":
    main(sys.argv[1])
