"""What operators say of an error group: that it is muted, resolved, or open."""

from datetime import datetime

from sqlalchemy import Connection

from ...domain.errors import Invalid, NotFound
from ...domain.reports.error_groups import ErrorState
from ...storage.db.row_types import RowValues
from ...storage.operations import error_groups
from ..runtime import audit
from ..runtime.audit import Actor
from ..runtime.context import Context


def change(
    ctx: Context,
    error_id: str,
    state: ErrorState,
    by: Actor,
    muted_until: datetime | None = None,
) -> None:
    """Set a group's state, and write it to the audit log.

    `muted_until` belongs to `muted` alone; None mutes for ever. Raises NotFound for an unknown
    group, and Invalid for a time that has passed.
    """
    now = ctx.now()
    if muted_until is not None and state is not ErrorState.MUTED:
        why = f"muted_until goes with the state muted alone, not with {state}: leave it out"
        raise Invalid(why, field="muted_until")
    if muted_until is not None and muted_until <= now:
        why = f"muted_until is {muted_until.isoformat()}, which has passed: give a later time"
        raise Invalid(why, field="muted_until")
    values: RowValues = {
        "state": state.value,
        "muted_until": muted_until,
        "resolved_at": now if state is ErrorState.RESOLVED else None,
        "regressed_at": None,
        "changed_by": by.claim or by.name,
    }

    def write(tx: Connection) -> None:
        if not error_groups.set_state(tx, error_id, values):
            raise NotFound(f"error {error_id} does not exist")
        detail = f"until {muted_until.isoformat()}" if muted_until is not None else ""
        audit.note(tx, by, now, f"error.{_ACTS[state]}", error_id, detail)

    ctx.committer.run_alone(write)


_ACTS = {ErrorState.OPEN: "open", ErrorState.MUTED: "mute", ErrorState.RESOLVED: "resolve"}
