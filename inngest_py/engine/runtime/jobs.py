"""Jobs: what a worker has in hand for a request of a run."""

from ...domain.runs.items import Item
from ...domain.runs.runs import Run
from ...domain.steps.wait_results import Answer
from .catalog import Function


class Job:
    """A leased item with all that its request needs: run, function and memo.

    `answer` is what has ended the wait of an item of kind `pause`, None for its time-out.
    """

    __slots__ = ("answer", "function", "item", "memo", "run")

    def __init__(
        self,
        item: Item,
        run: Run,
        function: Function,
        memo: dict[str, str],
        answer: Answer | None = None,
    ) -> None:
        self.item, self.run, self.function, self.memo = item, run, function, memo
        self.answer = answer
