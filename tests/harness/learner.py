"""A member of a cluster that does not vote yet."""

from __future__ import annotations

from contextlib import closing, suppress
from http.client import HTTPConnection

from .etcd import Etcd
from .etcdctl import EtcdctlError
from .waiting import TIMEOUT, wait_until

__all__ = ["Learner"]


class Learner(Etcd):
    """A learner beside the single member *voter*; it serves no requests until it is promoted."""

    def __init__(self, voter: Etcd) -> None:
        super().__init__(voter.programs)
        self.voter = voter
        peers = {each.directory.name: each.peer_port for each in (voter, self)}
        together = ",".join(f"{name}=http://127.0.0.1:{port}" for name, port in peers.items())
        self.server_flags = (
            f"--initial-cluster={together}",
            "--initial-cluster-state=existing",
            # The same election timeouts as those of the voter, which is the leader.
            "--heartbeat-interval=10",
            "--election-timeout=50",
        )

    def launch(self) -> None:
        """Join the cluster and start; possible once the cluster has decided on its version."""
        wait_until(self._can_join)
        self.voter.ctl(
            *("member", "add", self.directory.name, "--learner"),
            f"--peer-urls=http://127.0.0.1:{self.peer_port}",
        )
        super().launch()

    def wait_until_ready(self) -> None:
        """Return when the member has the role of a learner."""
        assert self._server, "this etcd is not running"
        self._server.wait_until(self._is_learner, TIMEOUT)

    def _can_join(self) -> bool:
        with closing(HTTPConnection(self.voter.endpoint, timeout=30)) as connection:
            connection.request("GET", "/version")
            return b"not_decided" not in connection.getresponse().read()

    def _is_learner(self) -> bool:
        with suppress(EtcdctlError):
            status = self.ctl_json("endpoint", "status")[0]["Status"]
            return bool(status.get("isLearner"))
        return False
