"""Look into etcd, and change it, with etcdctl: not with ourselves."""

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
    """A key and all that etcd knows of it. *lease* is 0 for none."""

    key: bytes
    value: bytes
    create_revision: int
    mod_revision: int
    version: int
    lease: int

    @classmethod
    def from_json(cls, kv: Mapping[str, Any]) -> Entry:
        """Return what ``etcdctl get -w json`` has in ``kvs``."""
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
    Something that etcdctl can ask: one member, a cluster, a proxy.

    Args:
        programs: Brings etcdctl.

        endpoints: One or more, separated by commas.

        flags: What etcdctl needs to be let in, if anything.
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
        """Return the same, asked with other *flags*: as another user, for one."""
        return Etcdctl(self.programs, self.endpoints, *flags)

    def put(self, key: str | bytes, value: str | bytes, lease: int | None = None) -> None:
        """Store *value* at *key*, on *lease* if one is given."""
        options = [f"--lease={lease:x}"] if lease else []
        if value:  # by stdin, which takes any byte and any length
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
        """Return what is stored at *key*; `KeyError` if nothing is."""
        for kv in self.ctl_json("get", "--", key).get("kvs", []):
            return Entry.from_json(kv)
        raise KeyError(key)

    def delete(self, key: str | bytes) -> None:
        """Remove *key*, if it is there."""
        self.ctl("del", "--", key)

    def revision(self) -> int:
        """Return the current revision of the store."""
        revision: int = self.ctl_json("get", "revision")["header"]["revision"]
        return revision

    def lease_of(self, key: str | bytes) -> int:
        """Return the lease *key* hangs on, 0 for none; `KeyError` if there is no such key."""
        return self.entry(key).lease

    def grant(self, ttl: int) -> int:
        """Return the id of a new lease of *ttl* seconds."""
        lease: int = self.ctl_json("lease", "grant", str(ttl))["ID"]
        return lease

    def revoke(self, lease: int) -> None:
        """End *lease*, which removes its keys."""
        self.ctl("lease", "revoke", f"{lease:x}")

    def leases(self) -> list[int]:
        """Return the ids of all leases."""
        return [int(line, 16) for line in self.ctl("lease", "list").splitlines()[1:]]
