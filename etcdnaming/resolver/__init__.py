"""
Channels that follow etcd: Go's ``naming/resolver``, for Python.

    etcd ── Following ── Current ── Channel ── stubs
            one for a     one for each
            target        channel

`Following` watches a target and says what there is to dial; `Current` has gRPC dial that, and
puts the new channel in the place of the old one; the stubs call by whatever is there.
"""

from __future__ import annotations

from .dialling import insecure_channel, secure_channel

__all__ = ["insecure_channel", "secure_channel"]
