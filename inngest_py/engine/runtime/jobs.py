"""Jobs: a leased item of a run, with all that its request needs."""

from ...domain.runs.items import Item
from ...domain.runs.runs import Run
from ...domain.steps.wait_results import EndedBy
from .catalog import Function


class Job:
    """A leased item with its run, function and memo.

    For an item of kind WAIT, `ended_by` is what has ended the wait; None for a time-out.
    """

    __slots__ = ("ended_by", "function", "item", "memo", "run")

    def __init__(
        self,
        item: Item,
        run: Run,
        function: Function,
        memo: dict[str, str],
        ended_by: EndedBy | None = None,
    ) -> None:
        self.item, self.run, self.function, self.memo = item, run, function, memo
        self.ended_by = ended_by
