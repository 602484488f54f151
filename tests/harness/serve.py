"""
Servers in a separate process, so that their CPU time is not counted: ``python serve.py NUMBER``.

They listen on all of 127/8 and print their ports, and stop when stdin is closed.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
from harness.backends import Backend

backends = [Backend("0.0.0.0:0") for _ in range(int(sys.argv[1]))]
sys.stdout.write(" ".join(str(each.port) for each in backends) + "\n")
sys.stdout.flush()
sys.stdin.read()
for each in backends:
    each.stop()
