"""A cluster of three members that a test can break one by one or together."""

from __future__ import annotations

import shutil
from collections.abc import Mapping

from .etcd import Etcd
from .etcdctl import Etcdctl
from .programs import Programs
from .waiting import wait_until

__all__ = ["Cluster"]

SIZE = 3


class Cluster(Etcdctl):
    """A cluster of three; each of *members* can be killed, frozen and started separately."""

    def __init__(self, programs: Programs, *flags: str) -> None:
        self.members = [Etcd(programs) for _ in range(SIZE)]
        peers = {f"m{n}": member.peer_port for n, member in enumerate(self.members)}
        together = ",".join(f"{name}=http://127.0.0.1:{port}" for name, port in peers.items())
        for name, member in zip(peers, self.members, strict=True):
            member.server_flags = (
                f"--name={name}",
                f"--initial-cluster={together}",
                # The election timeouts of a single member are too short for several members.
                "--heartbeat-interval=50",
                "--election-timeout=500",
                *flags,
            )
        super().__init__(programs, ",".join(member.endpoint for member in self.members))

    def start(self) -> None:
        """Start the stopped members, continue the frozen ones, and wait until all are ready."""
        for member in self.members:
            if member.frozen:
                member.thaw()
            if not member.running:
                member.launch()
        for member in self.members:
            member.wait_until_ready()

    def leader(self) -> Etcd:
        """Return the leader; waits for an election if there is none."""
        wait_until(lambda: self._leader() is not None)
        leader = self._leader()
        assert leader
        return leader

    def followers(self) -> list[Etcd]:
        """Return the other running members."""
        leader = self.leader()
        return [member for member in self.members if member.running and member is not leader]

    def isolate(self) -> Etcd:
        """Freeze all members but one, and return it once it has lost its leader."""
        alone, *others = self.members
        for other in others:
            other.freeze()
        wait_until(lambda: "no leader" in alone.ctl("endpoint", "status", "-w", "json"))
        return alone

    def wipe(self) -> None:
        """Start all members again without data: a new history under the same cluster ID."""
        for member in self.members:
            if member.running:
                member.kill()
            shutil.rmtree(member.data)
        self.start()

    def empty(self) -> None:
        """Remove all keys and leases."""
        self.leader().empty()

    def put_all(self, values: Mapping[bytes, bytes]) -> None:
        """Store thousands of keys quickly."""
        self.leader().put_all(values)

    def close(self) -> None:
        """Stop all members, and remove their files."""
        for member in self.members:
            member.close()

    def begin_log(self) -> None:
        """Show nothing that was logged until now in a report."""
        for member in self.members:
            member.begin_log()

    def last_lines(self) -> str:
        """Return the end of the log of each member."""
        return "\n\n".join(filter(None, (member.last_lines() for member in self.members)))

    def _leader(self) -> Etcd | None:
        awake = [member for member in self.members if member.running and not member.frozen]
        statuses = [member.ctl_json("endpoint", "status")[0]["Status"] for member in awake]
        leaders = {status.get("leader", 0) for status in statuses}
        for member, status in zip(awake, statuses, strict=True):
            if leaders == {status["header"]["member_id"]}:  # all agree
                return member
        return None
