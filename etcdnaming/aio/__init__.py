"""
Channels that follow etcd, for asyncio: the twins of those in `resolver`.

They belong to the event loop that runs when they are made.
"""

from __future__ import annotations

from .channel import Channel, insecure_channel, secure_channel

__all__ = ["Channel", "insecure_channel", "secure_channel"]
