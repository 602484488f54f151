"""The token that says who we are: one login for all threads of a client, renewed when refused."""

from __future__ import annotations

import math
import random
import threading
import time
from functools import partial

import grpc

from ..errors import (
    AuthenticationError,
    ClientClosedError,
    ConnectionFailedError,
    EtcdError,
    InvalidSettingError,
    RefusedError,
)
from ..fork import call_after_fork
from . import rpc_pb2 as rpc
from .answers import classify
from .deadline import FIRST_PAUSE, Deadline, doubled
from .members import REQUIRE_LEADER, Member, Members
from .security import File
from .threads import no_thread, start_thread

__all__ = ["Login", "LoginPostponedError"]

PATH = "/etcdserverpb.Auth/Authenticate"

NOT_ENABLED = "authentication is not enabled"

ANSWER_TIMEOUT = 60.0
"""Seconds for the answer. etcd goes on hashing the password when nothing waits for it any more."""

MAX_LOGIN_PAUSE = 60.0
"""Seconds, at most, before the login after one that had no result: doubled each time."""

FIRST_REFUSED_PAUSE, MAX_REFUSED_PAUSE = 1.0, 20.0
"""
Seconds, at most, before a refused password is sent again: doubled each time.

Watches and registrations ask again after 30 s, and that is to reach etcd.
"""

MAX_LOGINS = 2
"""Logins under way: the second one is asked for when the member of the first one is slow."""


class LoginPostponedError(Exception):
    """
    A login had no result, and another one may have.

    *costly*: etcd has worked for it, or still does, so that the next one must wait.
    """

    def __init__(self, error: EtcdError, *, costly: bool) -> None:
        super().__init__(str(error))
        self.error, self.costly = error, costly


class _Attempt:
    """A login under way: where, since when, and when it is slow."""

    def __init__(self) -> None:
        self.member: Member | None = None
        self.begun = time.monotonic()
        self.slow_at = math.inf  # counts from when there is a connection

    def asks(self, member: Member, patience: float) -> None:
        self.member = member
        self.slow_at = time.monotonic() + patience


class Login:
    """
    One user's token, shared by all calls of a client.

    A login costs etcd more than any other request (the hash of a password takes 70 ms of a core),
    whether or not the client still waits for the answer. If each caller began its own, and gave it
    up at its own deadline, an etcd that has lost the tokens of many clients would never catch up:

    - One login is under way for all threads, in a thread of its own. A caller whose deadline is
      over fails, but the login goes on, and its late answer is the token of the callers after it.
    - It is never given up for another member. If it is slow, a second one is begun elsewhere.
    - After a login without a result the next one waits, with full jitter: up to a minute, and for
      as long as the last one has taken if that is more. Callers that can't wait so long fail.
    - A refused password fails at once; for some time it is not sent again, but refused here.

    `_changed` guards everything. A password file is read again for every login, on a connection of
    its own to one of *members*. *dial_timeout* and *command_timeout* are those of a call.
    """

    def __init__(  # noqa: PLR0913 - many settings, each with a name
        self,
        members: Members,
        *,
        user: str | None,
        password: str | None,
        password_file: str | None,
        auth_jwt_token: str | None,
        dial_timeout: float,
        command_timeout: float,
    ) -> None:
        self._members, self._dial_timeout = members, dial_timeout
        self._answer_timeout = max(ANSWER_TIMEOUT, command_timeout)
        # Seconds without an answer after which a second member is asked, if there is one.
        self._patience = math.inf if members.alone else command_timeout / 2
        if user and password is None and password_file is None and not auth_jwt_token:
            raise InvalidSettingError(f"the user {user!r} needs a password")
        if password is not None and password_file is not None:
            raise InvalidSettingError("password and password_file exclude each other: give one")
        if (password or password_file) and not user:
            raise InvalidSettingError("a password needs a user: set user")
        for name, text in (("user", user), ("password", password)):
            if text is not None and not _is_utf8(text):
                raise InvalidSettingError(f"{name}: not UTF-8")
        if auth_jwt_token and not _is_sendable(auth_jwt_token):
            raise InvalidSettingError(
                "auth_jwt_token: a character that can't be sent: only printable ASCII is allowed"
            )
        self._user, self._password = user, password
        self._file = (
            None if password_file is None else File(password_file, dial_timeout + command_timeout)
        )
        self._read()
        self._fixed = auth_jwt_token or None
        self._token = self._fixed
        self._closed = False
        self._begin_anew()
        call_after_fork(self)

    def _begin_anew(self) -> None:
        self._changed = threading.Condition()
        self._under_way: list[_Attempt] = []
        self._failure: Exception = ConnectionFailedError("no login was tried")
        self._final_failures = 0
        self._reset()

    def _reset(self) -> None:
        self._refused_password: str | None = None
        self._failures_in_a_row = 0
        self._not_before = 0.0

    @property
    def name(self) -> str:
        """What to call the user in a message."""
        if self._fixed:
            return "the user of the token"
        # Without either, etcd takes the name in the client certificate, if at all.
        return f"user {self._user!r}" if self._user else "this client"

    @property
    def user(self) -> str:
        """The user that is logged in; empty without one, or where etcd asks for none."""
        return (self._user or "") if self._token else ""

    def after_fork(self) -> None:
        """Log in without waiting for a thread that is not here: see `fork`."""
        self._begin_anew()

    def token(self, deadline: Deadline) -> str | None:
        """
        Return the token to send; ``None`` when there is no user, ``""`` when etcd wants none.

        Raises:
            AuthenticationError: The login was refused.
            EtcdError: It has no result before *deadline*.
        """
        token = self._token
        if token is None and self._user:
            return self._wait_for_token(self._user, deadline)
        return token

    def renew(self, refused: str | None, why: AuthenticationError) -> None:
        """
        Forget the token that was *refused*, so that the next call logs in again.

        Raises:
            AuthenticationError: There is nothing to log in with.
        """
        if self._fixed:
            raise AuthenticationError(f"{why}: the token given is not valid") from why
        if not self._user:
            raise AuthenticationError(f"{why}: etcd requires a login: set user") from why
        with self._changed:
            if self._token == refused:
                self._token = None

    def close(self) -> None:
        """Let no caller wait any longer."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _wait_for_token(self, user: str, deadline: Deadline) -> str:
        with self._changed:
            final_failures = self._final_failures
            while self._token is None:
                if self._closed:
                    raise ClientClosedError
                if self._final_failures != final_failures:
                    raise self._failure.with_traceback(None)
                self._begin_or_wait(user, deadline)
            return self._token

    def _begin_or_wait(self, user: str, deadline: Deadline) -> None:
        left, pause = deadline.left(), self._pause()
        if left and pause <= 0:
            self._begin(user)
        elif self._under_way and left:
            self._changed.wait(min(left, pause))
        elif self._under_way:
            raise self._not_answered(deadline)
        elif self._refused_password is None and pause < left:
            self._changed.wait(pause)
        else:
            raise self._failure.with_traceback(None)

    def _pause(self) -> float:
        """Return the seconds until a login may begin."""
        if len(self._under_way) >= MAX_LOGINS:
            return math.inf
        if self._under_way:
            return self._under_way[-1].slow_at - time.monotonic()
        if self._refused_password not in {None, self._current_password()}:
            return 0.0
        return self._not_before - time.monotonic()

    def _begin(self, user: str) -> None:
        attempt = _Attempt()
        slow = self._under_way[-1].member if self._under_way else None
        start_thread(
            partial(self._run, attempt, slow, user, self._current_password()),
            "etcdnaming-login",
        )
        self._under_way.append(attempt)

    def _run(self, attempt: _Attempt, slow: Member | None, user: str, password: str) -> None:
        try:
            member = self._reach(slow)
            with self._changed:
                attempt.asks(member, self._patience)
                self._changed.notify_all()
            token = self._log_in(member, rpc.AuthenticateRequest(name=user, password=password))
        except Exception as exc:  # noqa: BLE001 - a bug, too, must not leave callers waiting
            self._fail(attempt, password, exc)
        else:
            self._succeed(token)

    def _reach(self, slow: Member | None) -> Member:
        """
        Return a connected member that is not *slow*, which is left.

        Raises:
            EtcdError: There is none.
        """
        if slow:
            self._members.leave(slow)
        try:
            member = self._members.current(Deadline(self._dial_timeout))
        except RuntimeError as exc:  # gRPC could not start the thread that watches a connection
            raise no_thread(exc) from exc
        if slow and member.name == slow.name:
            raise ConnectionFailedError(f"{slow.name}: no other endpoint can be reached")
        return member

    def _log_in(self, member: Member, request: rpc.AuthenticateRequest) -> str:
        """
        Return the token that *member* gives, ``""`` if it wants none.

        Raises:
            LoginPostponedError: There was no result, and another login may have one.
            EtcdError: It refused.
        """
        call = self._members.patient(member).unary(
            PATH, rpc.AuthenticateRequest.SerializeToString, rpc.AuthenticateResponse.FromString
        )
        try:
            response: rpc.AuthenticateResponse = call(
                request, timeout=self._answer_timeout, metadata=(REQUIRE_LEADER,)
            )
        except grpc.RpcError as exc:
            return self._without_token(member, exc)
        except ValueError as exc:  # what gRPC raises for a channel that was closed
            raise ClientClosedError from exc
        if not _is_sendable(response.token):
            raise RefusedError(f"{member.name}: the login returned a token that can't be sent")
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

    def _succeed(self, token: str) -> None:
        with self._changed:
            if self._token is None:
                self._token = token
            self._under_way.clear()  # an answer to another one still counts if no token is left
            self._reset()
            self._changed.notify_all()

    def _fail(self, attempt: _Attempt, password: str, exc: Exception) -> None:
        with self._changed:
            if attempt not in self._under_way:
                return
            self._under_way.remove(attempt)
            refused = isinstance(exc, (AuthenticationError, RefusedError))
            if self._under_way and not refused:
                self._under_way[0].slow_at = math.inf  # callers wait for that one, and no other
                return
            self._refused_password = password if refused else None
            if isinstance(exc, LoginPostponedError):
                self._failure = exc.error
                took = time.monotonic() - attempt.begun
                pause = random.uniform(0, self._longest_pause(took) if exc.costly else FIRST_PAUSE)
            else:
                self._failure = exc
                self._final_failures += 1
                pause = self._refused_pause() if refused else 0.0
            self._not_before = time.monotonic() + pause
            self._changed.notify_all()

    def _longest_pause(self, took: float) -> float:
        return min(MAX_LOGIN_PAUSE, max(self._doubled(FIRST_PAUSE, MAX_LOGIN_PAUSE), took))

    def _refused_pause(self) -> float:
        return self._doubled(FIRST_REFUSED_PAUSE, MAX_REFUSED_PAUSE) * random.uniform(0.5, 1.0)

    def _doubled(self, first: float, longest: float) -> float:
        self._failures_in_a_row += 1
        return doubled(first, self._failures_in_a_row - 1, longest)

    def _not_answered(self, deadline: Deadline) -> EtcdError:
        member = self._under_way[0].member
        if member is None:
            return ConnectionFailedError("no etcd endpoint reached in time")
        seconds = round(deadline.seconds, 1) or deadline.seconds
        return ConnectionFailedError(f"{member.name}: login not answered within {seconds:g}s")

    def _current_password(self) -> str:
        try:
            return self._read()
        except InvalidSettingError as exc:
            raise AuthenticationError(str(exc)) from exc

    def _read(self) -> str:
        """
        Return the password, from its file if there is one.

        Raises:
            InvalidSettingError: The file can't be used.
        """
        if self._file is None:
            return self._password or ""
        try:
            password = self._file.read().decode().rstrip("\r\n")
        except OSError as exc:
            reason = exc.strerror
        except UnicodeDecodeError:
            reason = "not UTF-8"
        else:
            if password:
                return password
            reason = "empty"
        raise InvalidSettingError(f"{self._file.name}: {reason}", setting="password_file")


def _is_sendable(token: str) -> bool:
    """Return whether *token* can be sent: gRPC takes printable ASCII in a header, and no more."""
    return token.isascii() and token.isprintable()


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
