"""What a run's timeline shows: its spans without those that tell nothing, and in groups. Pure.

Steps of one name, such as those of a loop or of parallel branches, are a group, which is folded.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from ...domain.reply.timeouts import CANCELLATION
from ...domain.reports import spans
from ...domain.reports.timeline import Span, SpanStatus, StepOp
from ..parts import words
from .headline import OWN_CODE

LEAST_OF_GROUP = 5
# a number at the end of a name, with what joins it to the name: fetch-12, fetch[3], fetch (4)
_NUMBER = re.compile(r"^(.*?[^\s_:#./\[(-])[\s_:#./\[(-]*\d+[\])]?$", re.DOTALL)
_WORST = (
    "failed",
    "running",
    "received",
    "sent",
    "retrying",
    "queued",
    "waiting",
    "sleeping",
    "cancelled",
    "skipped",
)


class Kind(StrEnum):
    """What a node shows."""

    RUN = "run"
    STEP = "step"
    ATTEMPT = "attempt"
    GROUP = "group"


@dataclass(frozen=True, slots=True)
class Invoked:
    """A run that a step invoked."""

    id: str
    function: str
    status: str


@dataclass(slots=True, eq=False)
class Node:
    """A span with its name for people, or a group of steps, whose `span` is its first member.

    `invoked` is the run that the step invoked, if it is known. Its steps become children when the
    viewer unfolds them.
    """

    id: str
    kind: Kind
    span: Span
    name: str
    children: list["Node"] = field(default_factory=list)
    invoked: "Invoked | None" = None

    @property
    def can_load(self) -> bool:
        """Whether it has the steps of an invoked run to unfold."""
        return self.kind is Kind.STEP and self.span.op is StepOp.INVOKE

    @property
    def status(self) -> str:
        """Return its status; a group has the worst of its members."""
        if self.kind is not Kind.GROUP:
            retries = self.kind is Kind.STEP and self.span.attempts and self.span.task is None
            waits = self.span.status is SpanStatus.QUEUED
            return "retrying" if retries and waits else words.state(self.span)
        found = {child.status for child in self.children}
        return next((one for one in _WORST if one in found), "completed")

    @property
    def failed(self) -> bool:
        """Whether it failed, or an attempt of it did."""
        mine = self.kind is not Kind.GROUP and self.span.status is SpanStatus.FAILED
        return mine or any(child.failed for child in self.children)

    @property
    def done(self) -> int:
        """How many members of a group are over."""
        return sum(spans.is_over(child.span) for child in self.children)

    def is_of(self, span: Span) -> bool:
        """Say whether it is the row of this span; a group's row is of none."""
        return self.span is span and self.kind is not Kind.GROUP

    def walk(self) -> Iterator["Node"]:
        """Yield it and all under it, in order."""
        yield self
        for child in self.children:
            yield from child.walk()


def of_run(root: Span, failed: Span | None = None) -> Node:
    """Make the nodes of a run; `failed` is the part whose failure ended it."""
    shown = [child for child in root.children if _tells(child, failed)]
    steps = [_step(child) for child in shown]
    return Node(root.id, Kind.RUN, root, "The run", _grouped(root, steps))


def _tells(span: Span, failed: Span | None) -> bool:
    """Say whether a part means something to people.

    An answer of the function's own code does if an attempt of it failed, unless it only raised the
    error of its step.
    """
    if span.step is not None:
        return True
    if span.name == CANCELLATION:
        return False
    if span is failed or span.ended_at is None:
        return True
    bad = [one for one in span.children if one.status is SpanStatus.FAILED]
    raised_again = span.type == spans.FINAL and failed is not None
    return bool(bad) and not (raised_again and len(bad) == 1)


def _step(span: Span) -> Node:
    name = OWN_CODE.capitalize() if span.step is None else span.name
    made = Node(span.id, Kind.STEP, span, name)
    made.children = [_attempt(one) for one in span.children]
    if len(made.children) == 1 and not made.children[0].children:
        made.children = []  # the only attempt says what its step says
    return made


def _attempt(span: Span) -> Node:
    made = Node(span.id, Kind.ATTEMPT, span, words.part(span))
    made.children = [_attempt(one) for one in span.children]
    return made


def _grouped(root: Span, steps: list[Node]) -> list[Node]:
    by_name: dict[str, list[Node]] = {}
    for step in steps:
        if step.span.step is not None:
            by_name.setdefault(_base(step.name), []).append(step)
    made: list[Node] = []
    for step in steps:
        members = by_name.get(_base(step.name), []) if step.span.step is not None else []
        if len(members) < LEAST_OF_GROUP:
            made.append(step)
        elif step is members[0]:
            name = _base(step.name)
            group_id = spans.span_id(root.run_id, f"group-{name}")
            made.append(Node(group_id, Kind.GROUP, step.span, name, members))
    return made


def _base(name: str) -> str:
    """Return a name without the number at its end."""
    found = _NUMBER.match(name)
    return name if found is None else found.group(1)
