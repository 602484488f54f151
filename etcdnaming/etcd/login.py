"""The token that says who we are: fetched once, renewed when etcd refuses it."""

from __future__ import annotations

import threading
from collections.abc import Callable

from ..errors import AuthenticationError, InvalidSettingError
from ..forking import told_after_fork
from .files import File

__all__ = ["Login"]


class Login:
    """
    One user's token, shared by all calls of a client.

    A password file is read again for every login; *timeout* is for one that is a pipe. The token
    belongs to `_lock`; *authenticate* (user, password -> token) is called under it, so that many
    refused calls make one login.
    """

    def __init__(
        self,
        *,
        user: str | None,
        password: str | None,
        password_file: str | None,
        auth_jwt_token: str | None,
        timeout: float,
    ) -> None:
        if user and password is None and password_file is None and not auth_jwt_token:
            raise InvalidSettingError(f"the user {user!r} needs a password")
        self._user, self._password = user, password
        self._file = None if password_file is None else File(password_file, timeout)
        self._read()
        self._fixed = auth_jwt_token or None
        self._token = self._fixed
        self._lock = threading.Lock()
        told_after_fork(self)

    @property
    def name(self) -> str:
        """What to call the user in a message."""
        if self._fixed:
            return "the user of the token"
        # Without either, etcd takes the name in the client certificate, if at all.
        return f"user {self._user!r}" if self._user else "this client"

    def after_fork(self) -> None:
        """Log in without waiting for a thread that is not here: see `forking`."""
        self._lock = threading.Lock()

    def token(self, authenticate: Callable[[str, str], str]) -> str | None:
        """Return the token to send; ``None`` when there is no user, ``""`` when etcd wants none."""
        if self._token is None and self._user:
            with self._lock:
                if self._token is None:
                    self._token = authenticate(self._user, self._current_password())
        return self._token

    def renew(self, refused: str | None, why: AuthenticationError) -> None:
        """
        Forget the token that was *refused*, so that the next call logs in again.

        Raises:
            AuthenticationError: There is nothing to log in with.
        """
        if self._fixed:
            raise AuthenticationError(f"{why}: the token given is not valid") from why
        if not self._user:
            raise AuthenticationError(f"{why}: etcd wants to know who you are (--user)") from why
        with self._lock:
            if self._token == refused:
                self._token = None

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
