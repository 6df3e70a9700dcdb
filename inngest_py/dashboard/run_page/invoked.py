"""Invoked runs inside the timeline of the run that invoked them."""

from sqlalchemy import Connection, RowMapping

from ...domain.steps.waits import correlation_id
from ...storage.queries import run_detail, run_lookups, timelines
from . import nodes
from .nodes import Invoked, Node
from .view import View
from .waterfall import Waterfall

_MOST_UNFOLDED = 10
_MOST_LEVELS = 5


def unfold(tx: Connection, tree: Node, view: View) -> None:
    """Read the steps of the invoked runs that the viewer has unfolded, also of those in them."""
    left = _MOST_UNFOLDED
    level = [tree]
    for _ in range(_MOST_LEVELS):
        opened = [
            node for top in level for node in top.walk() if _invokes(node) and node.id in view.open
        ][:left]
        if not opened:
            return
        _name(tx, opened)
        for node in opened:
            _add_steps(tx, node)
        left -= len(opened)
        level = [child for node in opened for child in node.children]


def name(tx: Connection, fall: Waterfall) -> None:
    """Find the runs of the steps that are shown."""
    shown = [row.node for row in fall.rows if _invokes(row.node) and row.node.invoked is None]
    _name(tx, shown)


def _invokes(node: Node) -> bool:
    return node.can_load and node.span.step is not None


def _name(tx: Connection, steps: list[Node]) -> None:
    known = {correlation_id(one.span.run_id, one.span.step or ""): one for one in steps}
    if not known:
        return
    for row in run_detail.answering(tx, list(known), len(known)):
        status = row["phase"] or row["status"]
        known[row["correlation_id"]].invoked = Invoked(row["id"], row["function_slug"], status)


def _add_steps(tx: Connection, node: Node) -> None:
    found: RowMapping | None = None
    if node.invoked is not None:
        found = run_lookups.get(tx, node.invoked.id)
    if found is not None:
        root = timelines.of_run(tx, found, has_output=False)
        node.children += nodes.of_run(root).children
