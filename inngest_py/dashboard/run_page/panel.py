"""What the panel beside a timeline shows of the chosen part: facts, attempts, values, forms."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Connection, RowMapping

from ...domain.reports.timeline import Span, StepOp
from ...domain.runs import outputs
from ...domain.runs import rerun as rules
from ...domain.steps import tasks
from ...engine.work.celery_tasks import run_canvases
from ...storage.queries import run_detail
from ..deps import context
from . import values
from .nodes import Kind, Node
from .values import Value
from .waterfall import WAITS

_MOST_ATTEMPTS = 30
_MOST_OF_ERROR = 2_000


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt of the chosen step.

    `pause` is the time since the one before ended, None for the first. `said` is its error, in one
    line.
    """

    span: Span
    pause: timedelta | None
    said: str


@dataclass(frozen=True, slots=True)
class StepForm:
    """What the forms of a step offer, and what was typed into them."""

    takes_input: bool
    is_task: bool
    may_be_given: bool
    input: str
    result: str
    is_giving: bool


@dataclass(frozen=True, slots=True)
class Panel:
    """What is shown of the chosen part; `left_out` counts attempts that are not listed."""

    span: Span
    name: str
    values: list[Value]
    attempts: list[Attempt]
    left_out: int
    form: StepForm | None

    @property
    def version(self) -> str:
        """Change with what is shown, so that the page replaces the panel only then."""
        tried = [f"{one.span.status.value}" for one in self.attempts]
        sizes = [str(one.size) for one in self.values]
        parts = [self.span.id, self.span.status.value, self.span.started_at, *tried, *sizes]
        return "-".join(map(str, parts))


def of_node(
    tx: Connection, row: RowMapping, node: Node | None, span: Span, typed: Mapping[str, str]
) -> Panel:
    """Read what the panel shows of a span; `node` is its row, None if the timeline has none.

    `typed` is what a form has sent.
    """
    is_step = node is not None and node.kind is Kind.STEP
    called_with = None
    if is_step and span.step is not None and span.type == tasks.OP:
        called_with = run_canvases.arguments(tx, context(), row["id"], span.step)
    shown = values.of_span(tx, row, span, called_with)
    tried = span.children if is_step and span.step is not None else []
    told = tried[-_MOST_ATTEMPTS:]
    places = [one.output.attempt_id for one in told if one.output and one.output.attempt_id]
    errors = run_detail.attempt_errors(tx, row["id"], places, _MOST_OF_ERROR)
    before = [None, *told][: len(told)]
    made = [
        Attempt(one, _pause(earlier, one), _said(errors, one))
        for earlier, one in zip(before, told, strict=True)
    ]
    name = "The run" if span.is_root else (node.name if node is not None else span.name)
    form = _form(tx, row, span, shown, typed)
    return Panel(span, name, shown, made, len(tried) - len(told), form)


def _pause(before: Span | None, span: Span) -> timedelta | None:
    if before is None or before.ended_at is None or span.started_at is None:
        return None
    return max(span.started_at - before.ended_at, timedelta(0))


def _said(errors: Mapping[int, str], span: Span) -> str:
    place = None if span.output is None else span.output.attempt_id
    stored = errors.get(place) if place is not None else None
    if stored is None:
        return ""
    return outputs.one_line(stored)


def _form(
    tx: Connection, row: RowMapping, span: Span, shown: list[Value], typed: Mapping[str, str]
) -> StepForm | None:
    """Make the forms of the step that is shown; None for another part of the run."""
    if span.step is None:
        return None
    language = run_detail.sdk_language(tx, row["function_id"])
    is_task = span.type == tasks.OP
    stored = next((one for one in shown if one.title == "Output" and not one.is_cut), None)
    waits = span.op in WAITS and span.op is not StepOp.INVOKE
    return StepForm(
        takes_input=language in rules.TAKE_INPUT and not waits,
        is_task=is_task,
        may_be_given=not waits and not is_task,
        input=typed.get("input", _called_with(shown) if is_task else ""),
        result=typed.get("result", stored.text if stored is not None else ""),
        is_giving="result" in typed,
    )


def _called_with(shown: list[Value]) -> str:
    """Write a task's arguments, for the field in which they are edited."""
    found = next((one for one in shown if one.title == "Input" and not one.is_cut), None)
    return "" if found is None else found.text
