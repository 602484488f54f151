"""The call by which a user logs in: on a connection of its own, with all the time it needs."""

from __future__ import annotations

import math

import grpc

from ..errors import ClientClosedError, RefusedError
from . import rpc_pb2 as rpc
from .answers import classify
from .deadline import Deadline
from .login import LoginPostponedError, is_sendable
from .members import REQUIRE_LEADER, Member, Members
from .threads import no_thread

__all__ = ["Authenticator"]

PATH = "/etcdserverpb.Auth/Authenticate"

NOT_ENABLED = "authentication is not enabled"

TIMEOUT = 60.0
"""Seconds for the answer. etcd goes on hashing the password when nothing waits for it any more."""


class Authenticator:
    """Logs in to one of *members*; see `Login`, whose threads call it."""

    def __init__(self, members: Members, *, dial_timeout: float, command_timeout: float) -> None:
        self._members, self._dial_timeout = members, dial_timeout
        self._timeout = max(TIMEOUT, command_timeout)
        self.patience = math.inf if members.alone else command_timeout / 2

    def reach(self) -> Member:
        """
        Return a connected member.

        Raises:
            EtcdError: There is none.
        """
        try:
            return self._members.current(Deadline(self._dial_timeout))
        except RuntimeError as exc:  # gRPC could not start the thread that watches a connection
            raise no_thread(exc) from exc

    def log_in(self, member: Member, user: str, password: str) -> str:
        """
        Return the token that *member* gives, ``""`` if it wants none.

        Raises:
            LoginPostponedError: There was no result, and another login may have one.
            EtcdError: It refused.
        """
        token = self._ask(member, rpc.AuthenticateRequest(name=user, password=password))
        if not is_sendable(token):
            raise RefusedError(f"{member.name}: the login returned a token that can't be sent")
        return token

    def leave(self, member: Member) -> None:
        """Reach another member from now on."""
        self._members.leave(member)

    def _ask(self, member: Member, request: rpc.AuthenticateRequest) -> str:
        call = self._members.patient(member).unary(
            PATH, rpc.AuthenticateRequest.SerializeToString, rpc.AuthenticateResponse.FromString
        )
        try:
            response: rpc.AuthenticateResponse = call(
                request, timeout=self._timeout, metadata=(REQUIRE_LEADER,)
            )
        except grpc.RpcError as exc:
            return self._without_token(member, exc)
        except ValueError as exc:  # what gRPC raises for a channel that was closed
            raise ClientClosedError from exc
        return response.token

    def _without_token(self, member: Member, exc: grpc.RpcError) -> str:
        answer = classify(exc, member.name, writes=False)
        # As for etcdctl: a user name is no trouble where etcd asks for none.
        if isinstance(answer.error, RefusedError) and NOT_ENABLED in answer.error.text:
            return ""
        if answer.leave:
            self._members.leave(member)
        if answer.repeat:
            raise LoginPostponedError(answer.error, costly=answer.sent) from exc
        raise answer.error from exc
