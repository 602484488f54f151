"""
JSON as Go's ``encoding/json`` reads and writes it: whoever shares values with Go needs both.

Nothing in here recurses, so how deep a value may be nested is Go's limit, not Python's.
"""

from __future__ import annotations

__all__ = ["MAX_DEPTH"]

MAX_DEPTH = 9_999
"""How deep metadata may be nested: Go refuses more than 10,000, and the endpoint itself is one."""
