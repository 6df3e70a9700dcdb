"""The audit log: who changed what, written in the transaction of the change.

Invariant: an act of an operator and its row are stored together or not at all.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from ...storage.operations import operators as rows
from .context import new_ulid

_MOST_DETAIL = 1000


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts, and from which address; a command on the server has none.

    `claim` is the name that users of a shared key give themselves; it proves nothing.
    """

    name: str
    address: str = ""
    claim: str = ""

    @property
    def shown(self) -> str:
        """Name it on pages, with its claim."""
        return f"{self.name} (as {self.claim})" if self.claim else self.name


SHELL = Actor("command line")


def note(
    tx: Connection, by: Actor | None, now: datetime, action: str, target: str = "", detail: str = ""
) -> str | None:
    """Write an act's row; return its id. Without an actor (the server itself) none is written.

    Only inserts, so nobody waits for its locks. Longer texts are cut.
    """
    if by is None:
        return None
    act_id = new_ulid(now)
    if by.claim:
        detail = f"{detail[: _MOST_DETAIL - 100]} (as {by.claim})".lstrip()
    values = {
        "id": act_id,
        "at": now,
        "name": by.name,
        "action": action,
        "target": target[:_MOST_DETAIL],
        "detail": detail[:_MOST_DETAIL],
        "address": by.address,
    }
    rows.add_act(tx, values)
    return act_id
