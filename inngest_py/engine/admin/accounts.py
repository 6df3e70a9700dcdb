"""Accounts of operators: passwords, roles and logins.

A login is written to the audit log as failed before the password is checked, and is renamed to a
login if the password was right. So tries at the same time count each other, and a crash counts as
a failure.
"""

import hashlib
import secrets
from datetime import datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import Connection, RowMapping
from sqlalchemy.exc import IntegrityError

from ... import observe
from ...domain.access.roles import Role
from ...domain.errors import Conflict, InngestPyError, Invalid, NotFound
from ...domain.events.filters import check_text
from ...storage.db.session import Database
from ...storage.operations import operators as rows
from ..runtime.audit import SHELL, Actor, note
from ..runtime.context import Context

# OWASP's second choice of parameters: 19 MiB and two rounds, some 30 ms of CPU
_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
SESSION = timedelta(hours=12)
_WINDOW = timedelta(minutes=15)
_MOST_BY_NAME, _MOST_BY_ADDRESS = 10, 30
_LEAST_PASSWORD, _MOST_PASSWORD = 8, 1024
_MOST_NAME = 64
_MADE_BYTES = 12  # of a password that the server makes: 16 characters


class Account(NamedTuple):
    """An operator as lists show it."""

    name: str
    role: Role
    created_at: datetime


class _Tried(NamedTuple):
    """A try that gave the right password: its audit row, and the hash that was compared."""

    act: str | None
    hashed: str


class WrongPassword(InngestPyError):
    """The name or the password is wrong."""


class TooManyTries(InngestPyError):
    """There were too many failed tries: wait a quarter of an hour."""


def check_name(name: str) -> str:
    """Return the name of an operator. Raises Invalid."""
    check_text(name, "name")
    if not 0 < len(name) <= _MOST_NAME or not name.isprintable() or name != name.strip():
        raise Invalid(f"a name has 1 to {_MOST_NAME} printable characters", field="name")
    return name


def _hash(password: str) -> str:
    if not _LEAST_PASSWORD <= len(password) <= _MOST_PASSWORD:
        told = f"a password has {_LEAST_PASSWORD} to {_MOST_PASSWORD} characters"
        raise Invalid(told, field="password")
    return _HASHER.hash(password.encode(errors="surrogatepass"))


@lru_cache(maxsize=1)
def _nobodys_hash() -> str:
    """Make a hash to compare with if there is no such operator, so that this takes as long."""
    return _HASHER.hash("nobody has this password")


def make_password() -> str:
    """Make a random password, for a person who gets it once."""
    return secrets.token_urlsafe(_MADE_BYTES)


def add(
    db: Database, name: str, password: str, role: Role, now: datetime, by: Actor = SHELL
) -> None:
    """Add an operator. Raises Invalid, and Conflict if there is one of this name."""
    values = {
        "name": check_name(name),
        "password": _hash(password),
        "role": role.value,
        "created_at": now,
    }
    try:
        with db.transaction() as tx:
            rows.add(tx, values)
            note(tx, by, now, "user.add", name, role.value)
    except IntegrityError:
        told = f"there is a user {name} already: change its password or role"
        raise Conflict(told) from None


def remove(db: Database, name: str, now: datetime, by: Actor = SHELL) -> None:
    """Remove an operator and end all logins. Raises NotFound, and Conflict for the last admin."""
    _check_known(name)
    with db.transaction() as tx:
        _keep_an_admin(tx, name, "removed")
        if not rows.remove(tx, name):
            raise _unknown(name)
        note(tx, by, now, "user.remove", name)


def change_role(db: Database, name: str, role: Role, now: datetime, by: Actor = SHELL) -> None:
    """Change a role; logins stay, and have it at once.

    Raises NotFound, and Conflict for the last admin.
    """
    _check_known(name)
    with db.transaction() as tx:
        if role is not Role.ADMIN:
            _keep_an_admin(tx, name, f"made {role.value}")
        if not rows.set_role(tx, name, role.value):
            raise _unknown(name)
        note(tx, by, now, "user.role", name, role.value)


def _keep_an_admin(tx: Connection, name: str, act: str) -> None:
    """Refuse to lose the last admin. Locks the admins' rows: two could remove each other."""
    if rows.lock_of_role(tx, Role.ADMIN.value) == [name]:
        raise Conflict(f"{name} is the last admin and cannot be {act}: make another admin first")


def _check_known(name: str) -> None:
    """Refuse what nobody can be called: PostgreSQL takes no NUL. Raises NotFound."""
    try:
        check_name(name)
    except Invalid:
        raise _unknown(name) from None


def _unknown(name: str) -> NotFound:
    shown = "".join(char for char in name[:_MOST_NAME] if char.isprintable())
    return NotFound(f"there is no user {shown}")


def change_password(
    db: Database, name: str, password: str, now: datetime, by: Actor = SHELL
) -> None:
    """Change a password and end all logins. Raises Invalid and NotFound."""
    _check_known(name)
    hashed = _hash(password)
    with db.transaction() as tx:
        if not rows.set_password(tx, name, hashed):
            raise _unknown(name)
        note(tx, by, now, "user.passwd", name)


def change_own_password(
    ctx: Context, name: str, old: str, password: str, token: str, address: str
) -> None:
    """Change the password of a person who knows it. It ends all logins, and begins one by `token`.

    Raises Invalid, WrongPassword and TooManyTries: a wrong old password is a failed login, and so
    is one that was changed meanwhile.
    """
    hashed = _hash(password)
    now, by = ctx.now(), Actor(name, address)
    tried = _check(ctx, by, old, now)
    with ctx.db.transaction() as tx:
        if not rows.set_password(tx, name, hashed, tried.hashed):
            raise WrongPassword
        _begin_session(tx, name, token, now, tried.act)
        note(tx, by, now, "user.passwd", name)


def log_in(ctx: Context, name: str, password: str, token: str, address: str) -> None:
    """Start a session with a browser's token. Raises WrongPassword and TooManyTries."""
    now = ctx.now()
    name = "".join(char for char in name[:_MOST_NAME] if char.isprintable())
    by = Actor(name, address)
    tried = _check(ctx, by, password, now)
    with ctx.db.transaction() as tx:
        # it may have been changed while it was compared, to end all logins
        if rows.lock_password(tx, name) != tried.hashed:
            raise WrongPassword
        _begin_session(tx, name, token, now, tried.act)


def _check(ctx: Context, by: Actor, password: str, now: datetime) -> _Tried:
    """Check a password. Raises WrongPassword, TooManyTries."""
    with ctx.db.transaction() as tx:
        closed = _is_closed(tx, by, now)
        tried = None if closed else note(tx, by, now, rows.FAILED_LOGIN)
        found = rows.get(tx, by.name)
    if closed:
        raise TooManyTries
    if not _is_right(found["password"] if found is not None else _nobodys_hash(), password):
        raise WrongPassword
    if found is None:
        raise WrongPassword
    return _Tried(tried, found["password"])


def _begin_session(tx: Connection, name: str, token: str, now: datetime, tried: str | None) -> None:
    rows.forget_sessions(tx, now)
    ends = now + SESSION
    values = {"id": _session_id(token), "name": name, "created_at": now, "expires_at": ends}
    rows.add_session(tx, values)
    if tried is not None:
        rows.rename_act(tx, tried, "login")


def _is_closed(tx: Connection, by: Actor, now: datetime) -> bool:
    """Say whether a name or an address has used up its tries.

    Only the first refusal of each window is logged: guessing must not fill the audit log.
    """
    since, who = now - _WINDOW, {"name": by.name, "address": by.address}
    by_name, by_address = rows.count_acts(tx, rows.FAILED_LOGIN, since, **who)
    if by_name >= _MOST_BY_NAME:
        action, noted = (
            "login.name_closed",
            rows.count_acts(tx, "login.name_closed", since, **who)[0],
        )
    elif by_address >= _MOST_BY_ADDRESS:
        action, noted = (
            "login.address_closed",
            rows.count_acts(tx, "login.address_closed", since, **who)[1],
        )
    else:
        return False
    if not noted:
        note(tx, by, now, action)
        observe.event("login.closed", level=30, act=action, who=by.name, address=by.address)
    return True


def _is_right(hashed: str, password: str) -> bool:
    if len(password) > _MOST_PASSWORD:
        return False
    try:
        return _HASHER.verify(hashed, password.encode(errors="surrogatepass"))
    except (VerificationError, InvalidHashError):
        return False


def who(ctx: Context, token: str) -> tuple[str, Role] | None:
    """Return the name and role of the operator with a browser's token; None if nobody has it."""
    with ctx.db.reading() as tx:
        found = rows.session(tx, _session_id(token), ctx.now())
    return None if found is None else (found["name"], Role(found["role"]))


def role_of(ctx: Context, name: str) -> Role | None:
    """Return an operator's role; None for an unknown one."""
    with ctx.db.reading() as tx:
        found = rows.get(tx, name)
    return None if found is None else Role(found["role"])


def every(db: Database) -> list[Account]:
    """List the operators by name."""
    with db.reading() as tx:
        return [_account(row) for row in rows.every(tx)]


def get(db: Database, name: str) -> Account:
    """Find an operator. Raises NotFound."""
    _check_known(name)
    with db.reading() as tx:
        found = rows.get(tx, name)
    if found is None:
        raise _unknown(name)
    return _account(found)


def _account(row: RowMapping) -> Account:
    return Account(row["name"], Role(row["role"]), row["created_at"])


def any_known(ctx: Context) -> bool:
    """Say whether there is any operator."""
    with ctx.db.reading() as tx:
        return bool(rows.every(tx))


def log_out(ctx: Context, token: str, address: str) -> None:
    """End a session, if there is one."""
    now = ctx.now()
    with ctx.db.transaction() as tx:
        found = rows.session(tx, _session_id(token), now)
        rows.drop_session(tx, _session_id(token))
        note(tx, Actor(found["name"], address) if found else None, now, "logout")


def _session_id(token: str) -> str:
    # hashed: a reader of the database must not be able to take over a session
    return hashlib.sha256(f"session:{token}".encode()).hexdigest()
