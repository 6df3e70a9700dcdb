"""Save and delete views of the list of runs."""

from collections.abc import Sequence

from sqlalchemy import Connection, RowMapping
from sqlalchemy.exc import IntegrityError

from ... import observe
from ...domain.errors import Conflict, Invalid, NotFound
from ...domain.runs import saved_views as rules
from ...storage.operations import saved_views as rows
from ..runtime import audit
from ..runtime.audit import Actor
from ..runtime.context import Context


def every(tx: Connection) -> Sequence[RowMapping]:
    """List the views by name."""
    return rows.every(tx)


def add(ctx: Context, name: object, query: object, by: Actor) -> str:
    """Save a view for all users; return its id.

    Raises Invalid, which names the field, and Conflict for a name in use.
    """
    now = ctx.now()
    values = {
        "id": ctx.new_id(now),
        "name": rules.check_name(name),
        "query": rules.check_query(query),
        "owner": by.shown,
        "created_at": now,
    }

    def write(tx: Connection) -> None:
        if rows.count(tx) >= rules.MOST_VIEWS:
            raise Invalid(f"{rules.MOST_VIEWS} views are saved: delete one first", field="name")
        rows.add(tx, values)
        audit.note(tx, by, now, "view.save", str(values["name"]), str(values["query"]))

    try:
        with ctx.db.transaction() as tx:
            write(tx)
    except IntegrityError:
        raise Conflict(f"a view is named {values['name']!r}: give another name") from None
    observe.event("view.saved", view=values["name"])
    return str(values["id"])


def remove(ctx: Context, view_id: str, by: Actor, *, any_owner: bool) -> None:
    """Delete a view. Raises NotFound, and Conflict for one of another owner unless allowed."""
    with ctx.db.transaction() as tx:
        gone = rows.remove(tx, view_id, None if any_owner else by.shown)
        if gone is None:
            if rows.exists(tx, view_id):
                raise Conflict("the view is another user's: its owner or an admin may delete it")
            raise NotFound(f"view {view_id[:64]} does not exist: it may have been deleted")
        audit.note(tx, by, ctx.now(), "view.delete", gone["name"], gone["query"])
    observe.event("view.deleted", view=gone["name"])
