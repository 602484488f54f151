"""Dial, call and close channels in several threads: ``churn.py TIMES TARGET=ANSWER ...``."""

from __future__ import annotations

import json
import random
import sys
import threading
import time
from collections import Counter
from typing import Any

import grpc

THREADS = 8


def main() -> None:
    """Print the results of the calls, and the seconds of the slowest one."""
    times = int(sys.argv[1])
    wanted = [word.split("=") for word in sys.argv[2:]]
    found: Counter[str] = Counter()
    longest = [0.0]

    def churn(seed: int) -> None:
        chosen = random.Random(seed)
        for _ in range(times // THREADS):
            target, expected = chosen.choice(wanted)
            begun = time.monotonic()
            with grpc.insecure_channel(target) as channel:
                try:
                    who: Any = channel.unary_unary("/test.Service/Who")
                    answer = who(b"", timeout=10).decode()
                except grpc.RpcError as exc:
                    answer = f"{exc.code().name}: {exc.details()}"
            longest[0] = max(longest[0], time.monotonic() - begun)
            found["good" if answer == expected else answer] += 1
            if chosen.random() < 0.15:
                time.sleep(chosen.random() * 0.1)

    threads = [threading.Thread(target=churn, args=(seed,)) for seed in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps({"found": found, "longest": longest[0]}))  # noqa: T201 - the test reads it


if __name__ == "__main__":
    main()
