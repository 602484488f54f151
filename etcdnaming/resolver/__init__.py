"""
Channels that follow etcd: Go's ``naming/resolver``, for Python.

They are gRPC's own, dialled to the xDS server inside this process (`xds.embedded`), which gets the
endpoints from etcd. So gRPC itself connects to what is new, closes what is gone, and spreads calls.
"""

from __future__ import annotations

from .channel import Channel, insecure_channel, secure_channel

__all__ = ["Channel", "insecure_channel", "secure_channel"]
