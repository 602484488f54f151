"""Read and change etcd with etcdctl, which shares no code with this project."""

from __future__ import annotations

import json
import os
import subprocess
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .programs import Programs

__all__ = ["Entry", "Etcdctl", "EtcdctlError"]


class EtcdctlError(Exception):
    """etcdctl failed; the text is its stderr."""


@dataclass(frozen=True)
class Entry:
    """A key with everything that etcd knows of it; *lease* is 0 if there is none."""

    key: bytes
    value: bytes
    create_revision: int
    mod_revision: int
    version: int
    lease: int

    @classmethod
    def from_json(cls, kv: Mapping[str, Any]) -> Entry:
        """Convert an element of ``kvs`` in the output of ``etcdctl get -w json``."""
        return cls(
            b64decode(kv["key"]),
            b64decode(kv.get("value", "")),
            kv["create_revision"],
            kv["mod_revision"],
            kv["version"],
            kv.get("lease", 0),
        )


class Etcdctl:
    """
    Something that etcdctl can connect to: a member, a cluster, or a proxy.

    Args:
        programs: The programs, of which etcdctl is used.

        endpoints: One or more endpoints, separated by commas.

        flags: Flags for etcdctl, such as certificates or a user.
    """

    def __init__(self, programs: Programs, endpoints: str, *flags: str) -> None:
        self.programs = programs
        self.endpoints = endpoints
        self.flags = flags

    def ctl(self, *args: str | bytes, input: str | bytes | None = None) -> str:
        """
        Return the stdout of ``etcdctl ARGS``; *input* is its stdin.

        Raises:
            EtcdctlError: Its status was not 0.
        """
        done = subprocess.run(
            [
                self.programs.etcdctl,
                f"--endpoints={self.endpoints}",
                "--dial-timeout=10s",
                "--command-timeout=20s",
                *self.flags,
                *args,
            ],
            input=input.encode() if isinstance(input, str) else input or b"",
            capture_output=True,
            timeout=30,
            env={"ETCDCTL_API": "3", "PATH": os.environ["PATH"]},
            check=False,
        )
        if done.returncode:
            raise EtcdctlError(done.stderr.decode(errors="replace"))
        return done.stdout.decode("utf-8", "surrogateescape")

    def ctl_json(self, *args: str | bytes) -> Any:
        """Return what ``etcdctl -w json ARGS`` prints, parsed."""
        return json.loads(self.ctl("-w", "json", *args))

    def with_flags(self, *flags: str) -> Etcdctl:
        """Return an `Etcdctl` with other *flags*, for another user for example."""
        return Etcdctl(self.programs, self.endpoints, *flags)

    def put(self, key: str | bytes, value: str | bytes, lease: int | None = None) -> None:
        """Store *value* at *key*, attached to *lease* if one is given."""
        options = [f"--lease={lease:x}"] if lease else []
        if value:  # stdin takes any byte and any length
            self.ctl("put", *options, "--", key, input=value)
        else:
            self.ctl("put", *options, "--", key, "")

    def get(self, prefix: str | bytes) -> dict[bytes, bytes]:
        """Return the values of all keys that start with *prefix*, by key."""
        return {entry.key: entry.value for entry in self.entries(prefix)}

    def entries(self, prefix: str | bytes) -> list[Entry]:
        """Return all keys that start with *prefix*, in order."""
        found = self.ctl_json("get", "--prefix", "--", prefix).get("kvs", [])
        return [Entry.from_json(kv) for kv in found]

    def entry(self, key: str | bytes) -> Entry:
        """
        Return the entry at *key*.

        Raises:
            KeyError: There is no such key.
        """
        for kv in self.ctl_json("get", "--", key).get("kvs", []):
            return Entry.from_json(kv)
        raise KeyError(key)

    def delete(self, key: str | bytes) -> None:
        """Delete *key*, if it exists."""
        self.ctl("del", "--", key)

    def revision(self) -> int:
        """Return the current revision of the store."""
        revision: int = self.ctl_json("get", "revision")["header"]["revision"]
        return revision

    def lease_of(self, key: str | bytes) -> int:
        """
        Return the lease that *key* is attached to, 0 for none.

        Raises:
            KeyError: There is no such key.
        """
        return self.entry(key).lease

    def grant(self, ttl: int) -> int:
        """Grant a lease of *ttl* seconds, and return its ID."""
        lease: int = self.ctl_json("lease", "grant", str(ttl))["ID"]
        return lease

    def revoke(self, lease: int) -> None:
        """Revoke *lease*, which deletes its keys."""
        self.ctl("lease", "revoke", f"{lease:x}")

    def leases(self) -> list[int]:
        """Return the IDs of all leases."""
        return [int(line, 16) for line in self.ctl("lease", "list").splitlines()[1:]]
