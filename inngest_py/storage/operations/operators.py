"""Operators of the dashboard, their logins, and the audit log."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import (
    Connection,
    ForeignKey,
    Index,
    RowMapping,
    Text,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.orm import Mapped, mapped_column

from ...domain.values import ids
from ..db.columns import Base, Timestamp, table_of
from ..db.session import skip_locked
from ..db.statements import Insert

FAILED_LOGIN = "login.failed"


class Operator(Base):
    """An operator; `password` is an argon2 hash."""

    __tablename__ = "operators"
    name: Mapped[str] = mapped_column(Text, primary_key=True)
    password: Mapped[str] = mapped_column(Text)
    role: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(Timestamp)


class OperatorSession(Base):
    """A login; `id` is the hash of the token that the browser holds."""

    __tablename__ = "operator_sessions"
    # serves forget_sessions()
    __table_args__ = (Index("operator_sessions_expires_idx", "expires_at"),)
    id: Mapped[str] = mapped_column(Text, primary_key=True)
    name: Mapped[str] = mapped_column(ForeignKey("operators.name", ondelete="CASCADE"))
    created_at: Mapped[datetime] = mapped_column(Timestamp)
    expires_at: Mapped[datetime] = mapped_column(Timestamp)


class AuditRow(Base):
    """What an operator did, or an attempt that was refused."""

    __tablename__ = "audit"
    # serves count_acts(), and queries.audit_log
    __table_args__ = (Index("audit_action_idx", "action", "at"),)
    id: Mapped[str] = mapped_column(Text, primary_key=True)  # ULID
    at: Mapped[datetime] = mapped_column(Timestamp)
    name: Mapped[str] = mapped_column(Text)
    action: Mapped[str] = mapped_column(Text)
    target: Mapped[str] = mapped_column(Text)
    detail: Mapped[str] = mapped_column(Text)
    address: Mapped[str] = mapped_column(Text)


_operators, _sessions, _audit = (
    table_of(Operator),
    table_of(OperatorSession),
    table_of(AuditRow),
)
_add_act = Insert(_audit)


def add(tx: Connection, values: Mapping[str, object]) -> None:
    """Write a new operator."""
    tx.execute(insert(_operators), dict(values))


def get(tx: Connection, name: str) -> RowMapping | None:
    """Find an operator; None when there is none."""
    return tx.execute(select(_operators).where(_operators.c.name == name)).mappings().first()


def every(tx: Connection) -> list[RowMapping]:
    """List the operators by name."""
    return list(tx.execute(select(_operators).order_by(_operators.c.name)).mappings())


def remove(tx: Connection, name: str) -> bool:
    """Delete an operator with all logins; say whether there was one."""
    drop_sessions(tx, name)
    return tx.execute(delete(_operators).where(_operators.c.name == name)).rowcount == 1


def set_password(tx: Connection, name: str, password: str, old: str | None = None) -> bool:
    """Replace an operator's hash and end all logins; say whether there is such an operator.

    With `old`, only while that is the hash. The operator's row is locked before the logins are
    read: a login at the same time, which locks it too, has ended or begins with the new password.
    """
    mine = [_operators.c.name == name]
    if old is not None:
        mine.append(_operators.c.password == old)
    if tx.execute(update(_operators).where(*mine).values(password=password)).rowcount != 1:
        return False
    drop_sessions(tx, name)
    return True


def lock_password(tx: Connection, name: str) -> str | None:
    """Read an operator's hash, and lock the row until the transaction ends; None without one."""
    query = select(_operators.c.password).where(_operators.c.name == name)
    found: str | None = tx.execute(query.with_for_update()).scalar()
    return found


def set_role(tx: Connection, name: str, role: str) -> bool:
    """Change an operator's role; say whether there is such an operator."""
    changed = update(_operators).where(_operators.c.name == name).values(role=role)
    return tx.execute(changed).rowcount == 1


def lock_of_role(tx: Connection, role: str) -> list[str]:
    """List the operators of a role by name, and lock their rows until the transaction ends."""
    mine = select(_operators.c.name).where(_operators.c.role == role)
    return list(tx.execute(mine.order_by(_operators.c.name).with_for_update()).scalars())


def drop_sessions(tx: Connection, name: str) -> None:
    """End all of an operator's logins."""
    tx.execute(delete(_sessions).where(_sessions.c.name == name))


def add_session(tx: Connection, values: Mapping[str, object]) -> None:
    """Write a login."""
    tx.execute(insert(_sessions), dict(values))


def session(tx: Connection, session_id: str, now: datetime) -> RowMapping | None:
    """Find the operator of a login, with the current role; None when the login is not valid."""
    query = (
        select(_operators.c.name, _operators.c.role)
        .join(_sessions, _sessions.c.name == _operators.c.name)
        .where(_sessions.c.id == session_id, _sessions.c.expires_at > now)
    )
    return tx.execute(query).mappings().first()


def drop_session(tx: Connection, session_id: str) -> None:
    """End a login."""
    tx.execute(delete(_sessions).where(_sessions.c.id == session_id))


def forget_sessions(tx: Connection, now: datetime) -> None:
    """Delete expired logins."""
    tx.execute(delete(_sessions).where(_sessions.c.expires_at <= now))


def add_act(tx: Connection, values: Mapping[str, object]) -> None:
    """Write an audit row."""
    _add_act.run(tx, [values])


def rename_act(tx: Connection, act_id: str, action: str) -> None:
    """Change the action of an audit row, when the act ended differently."""
    tx.execute(update(_audit).where(_audit.c.id == act_id).values(action=action))


def count_acts(
    tx: Connection, action: str, since: datetime, *, name: str, address: str
) -> tuple[int, int]:
    """Count audit rows of an action since a time: of a name, and of an address."""
    recent = (_audit.c.action == action, _audit.c.at >= since)
    counts = [
        tx.execute(select(func.count()).select_from(_audit).where(*recent, same)).scalar_one()
        for same in (_audit.c.name == name, _audit.c.address == address)
    ]
    return counts[0], counts[1]


def forget_acts(tx: Connection, before: datetime, limit: int) -> int:
    """Delete audit rows before a time, oldest first; return how many. Ids sort by time."""
    query = select(_audit.c.id).where(_audit.c.id < ids.lowest_ulid(before))
    oldest = skip_locked(tx, query.order_by(_audit.c.id).limit(limit))
    return tx.execute(delete(_audit).where(_audit.c.id.in_(oldest))).rowcount
