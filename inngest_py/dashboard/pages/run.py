"""The page of a run: its waterfall, the inputs and outputs of its parts, and its forms."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask import Response, request
from sqlalchemy import Connection, RowMapping
from werkzeug.wrappers import Response as AnyResponse

from ...domain.access.roles import Role
from ...domain.errors import Conflict, Invalid, NotFound
from ...domain.reports.timeline import Output, Span, StepOp
from ...domain.reports.why import Reason
from ...domain.runs import outputs
from ...domain.runs import rerun as rules
from ...domain.runs.runs import ENDED, RunStatus
from ...domain.steps import tasks
from ...domain.values import canonical, ids
from ...engine.admin import why_run_waits
from ...engine.admin.skip_wait import skip, waiting_steps
from ...engine.work.end_run import cancel
from ...storage.queries import event_lookups, run_detail, run_lookups, timeline_rows, timelines
from ..deps import context, deps, read
from ..parts import words
from ..parts.notices import leave
from ..rendering import page, url
from ..routes import route
from ..run_page import headline, history, waterfall
from ..run_page.headline import Facts
from .audit import actor

MOST_OF_BATCH = 100


@dataclass(frozen=True, slots=True)
class Value:
    """A stored value as a page shows it: its head, its whole length, and the URL of all of it."""

    title: str
    text: str
    size: int
    href: str
    error: outputs.ErrorParts | None = None

    @property
    def is_cut(self) -> bool:
        """Whether there is more than the head."""
        return self.size > words.MOST_SHOWN


@dataclass(frozen=True, slots=True)
class Related:
    """Runs that belong to this one, with a title that says how."""

    title: str
    runs: list[RowMapping]


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
class BatchEvents:
    """The first events of the batch that started a run, and how many there are in all."""

    events: list[RowMapping]
    size: int


def _run(tx: Connection, run_id: str) -> RowMapping:
    found = run_lookups.get(tx, ids.check_ulid(run_id, "a run id"))
    if found is None:
        raise NotFound(f"run {run_id} does not exist: it never did, or it has been deleted")
    return found


def _why_waiting(run_id: str) -> list[Reason]:
    """Say in words what a live run waits for; empty once it has ended or is deleted."""
    try:
        explained = why_run_waits.of_run(context(), run_id)
    except NotFound:
        return []
    return [] if RunStatus(explained.status) in ENDED else explained.reasons


@route("/runs/<run_id>", Role.VIEWER)
def run(run_id: str) -> Response:
    """Show a run; `span` chooses the part whose values are shown."""
    return show(run_id)


def show(run_id: str, problem: str | None = None, status: int = 200) -> Response:
    """Show a run's page, with a problem of its forms."""
    now = context().now()

    def load(tx: Connection) -> dict[str, Any]:
        row = _run(tx, run_id)
        head = run_detail.run_output(tx, run_id, 1)
        root = timelines.of_run(tx, row, has_output=head is not None)
        facts = _facts(tx, row, root)
        chosen = _chosen(root, facts)
        return {
            "run": row,
            "facts": facts,
            "log": history.history(root),
            "fall": waterfall.waterfall(root, now),
            "root": root,
            "chosen": chosen,
            "values": _values(tx, row, chosen),
            "related": _related(tx, row, root),
            "language": run_detail.sdk_language(tx, row["function_id"]),
            "batch": None if row["batch_id"] is None else _batch(tx, row["batch_id"]),
        }

    found = read(load)
    chosen, live = found["chosen"], RunStatus(found["run"]["status"]) not in ENDED
    waiting = _why_waiting(run_id) if live else []
    can_skip = deps().settings.dev and any(reason.item is not None for reason in waiting)
    return page(
        "run.html",
        status,
        **found,
        live=live,
        lead=headline.headline(found["facts"], waiting),
        own_code=headline.OWN_CODE,
        most=history.MOST_LINES,
        most_of_batch=MOST_OF_BATCH,
        waiting=waiting,
        skips=waiting_steps(context(), run_id) if can_skip else {},
        can_skip=can_skip,
        problem=problem,
        form=_form(found["language"], chosen, found["values"]),
        taken_over=_taken_over(found["run"], found["root"]),
        missing=_missing(found["run"], found["root"]),
        here=url("run", run_id=run_id, span=_asked()),
    )


def _facts(tx: Connection, row: RowMapping, root: Span) -> Facts:
    """Read what the page leads with."""
    error, code, cancelled = None, None, None
    status = RunStatus(row["status"])
    if status is RunStatus.FAILED:
        head = run_detail.run_output(tx, row["id"], words.MOST_OF_ERROR)
        if head is not None and head[1] <= words.MOST_OF_ERROR:
            error, code = outputs.shown_error(head[0])["error"], outputs.error_code(head[0])
    why = headline.cancellation(root) if status is RunStatus.CANCELLED else None
    place = None if why is None or why.output is None else why.output.attempt_id
    if place is not None:
        head = run_detail.attempt_error(tx, row["id"], place, words.MOST_OF_ERROR)
        cancelled = outputs.shown_error(head[0])["error"]["message"] if head else None
    config = canonical.loads(run_detail.config(tx, row["function_id"]) or "{}")
    attempts = config.get("retries", 0) + 1
    skipped = row["skip_reason"], row["existing_run_id"]
    return Facts(root, status, attempts, error, code, cancelled, *skipped)


def _form(language: str, chosen: Span, values: list[Value]) -> StepForm | None:
    """Make the forms of the step that is shown; None for another part of the run."""
    if chosen.step is None:
        return None
    is_task = chosen.type == tasks.OP
    stored = next((one for one in values if one.title == "Output" and not one.is_cut), None)
    waits = chosen.op in waterfall.WAITS and chosen.op is not StepOp.INVOKE
    return StepForm(
        takes_input=language in rules.TAKE_INPUT and not waits,
        is_task=is_task,
        may_be_given=not waits and not is_task,
        input=request.form.get("input", ""),
        result=request.form.get("result", stored.text if stored is not None else ""),
        is_giving="result" in request.form,
    )


def _taken_over(run: RowMapping, root: Span) -> set[str | None]:
    """Find the steps whose results a rerun took over: they ended when it was queued."""
    if run["original_run_id"] is None:
        return set()
    ended = [child for child in root.children if child.ended_at == run["queued_at"]]
    return {child.step for child in ended if child.step and child.given_by is None}


def _missing(run: RowMapping, root: Span) -> str | None:
    """Return the step that got new input and did not run, since the SDK took it for the result."""
    step: str | None = run["input_step"]
    ended = RunStatus(run["status"]) is RunStatus.COMPLETED
    return step if ended and all(child.step != step for child in root.children) else None


def _batch(tx: Connection, batch_id: str) -> BatchEvents:
    return BatchEvents(
        event_lookups.first_of_batch(tx, batch_id, MOST_OF_BATCH),
        event_lookups.size_of_batch(tx, batch_id),
    )


def _asked() -> str | None:
    """Return the part of the run that the URL or a form chooses; None without one."""
    return request.args.get("span") or request.form.get("span")


def _chosen(root: Span, facts: Facts) -> Span:
    """Find the part that is shown: the one that was asked for, or the one that failed."""
    span_id = _asked()
    found = waterfall.find(root, span_id) if span_id else None
    if found is None and facts.status is RunStatus.FAILED:
        found = headline.failed_part(root, facts.error_code)
    return found or root


def _values(tx: Connection, row: RowMapping, span: Span) -> list[Value]:
    """Read the inputs and outputs of a part: only their heads, however long they are."""
    run_id, most = row["id"], words.MOST_SHOWN
    made: list[Value] = []
    if span.output is not None:
        made += _output(tx, row, span.output)
    given = run_detail.run_input(tx, run_id, most)
    if given is not None and given[0] == span.step:
        href = url("run_value", run_id=run_id, of="input")
        made.append(_value("Input of the rerun", given[1], href))
    if span.error is not None:
        text = canonical.dumps(span.error).decode()
        made.append(_value("Error", (text, len(text)), "", failed=True))
    if span.info and span.given_by is None:
        text = canonical.dumps(_plain(span.info)).decode()
        made.append(Value("Waits for", words.pretty(text), len(text), ""))
    if span.is_root:
        event = run_detail.event_payload(tx, row["event_id"], most)
        if event is not None:
            title = "Event" if row["batch_id"] is None else "First event of the batch"
            made.append(_value(title, event, url("event_raw", event_id=row["event_id"])))
    return made


def _plain(info: dict[str, object]) -> dict[str, object]:
    return {
        name: words.stamp(value) if isinstance(value, datetime) else value
        for name, value in info.items()
    }


def _output(tx: Connection, row: RowMapping, place: Output) -> list[Value]:
    most = words.MOST_SHOWN
    href = url(
        "run_value", run_id=row["id"], of="output", step=place.step, attempt=place.attempt_id
    )
    if place.attempt_id is not None:
        head = run_detail.attempt_error(tx, row["id"], place.attempt_id, most)
    elif place.step is not None:
        head = run_detail.step_output(tx, row["id"], place.step, most)
    else:
        head = run_detail.run_output(tx, row["id"], most)
    if head is None:
        return []
    failed = place.attempt_id is not None or (
        place.step is None and row["status"] == RunStatus.FAILED.value
    )
    return [_value("Error" if failed else "Output", head, href, failed=failed)]


def _value(title: str, head: run_detail.Head, href: str, *, failed: bool = False) -> Value:
    text, size = head
    error: outputs.ErrorParts | None = None
    if size <= words.MOST_SHOWN:
        if failed:
            error = outputs.shown_error(text)["error"]
        elif title == "Output":
            shown = outputs.shown(text)
            error = shown.get("error")
            title = "Error" if error else title
            text = shown.get("data", shown.get("input", text))
        text = words.pretty(text)
    return Value(title, text, size, href, error)


def _related(tx: Connection, row: RowMapping, root: Span) -> list[Related]:
    found: list[Related] = []
    parent = (row["correlation_id"] or "").partition(".")[0]
    for title, run_id in (("Invoked by", parent), ("Repeats", row["original_run_id"])):
        if run_id and (other := run_lookups.get(tx, run_id)) is not None:
            found.append(Related(title, [other]))
    steps = [f"{row['id']}.{child.step}" for child in root.children if child.step]
    for title, runs in (
        ("Invokes", run_detail.answering(tx, steps) if steps else []),
        ("Repeated by", run_detail.reruns(tx, row["id"])),
        ("Started by the same event", run_detail.siblings(tx, row["event_id"], row["id"])),
    ):
        if runs:
            found.append(Related(title, runs))
    return found


@route("/runs/<run_id>/value", Role.VIEWER)
def run_value(run_id: str) -> Response:
    """Send a whole stored value as a file."""
    of, step = request.args.get("of"), request.args.get("step")
    attempt = request.args.get("attempt", type=int)

    def load(tx: Connection) -> str | None:
        _run(tx, run_id)
        if of == "input":
            found = run_detail.run_input(tx, run_id, _WHOLE)
            return found[1][0] if found else None
        if attempt is not None:
            return timeline_rows.attempt_error(tx, run_id, attempt)
        if step is not None:
            return timeline_rows.step_output(tx, run_id, step)
        return run_lookups.outputs(tx, [run_id]).get(run_id)

    text = read(load)
    if text is None:
        raise NotFound("this value is not stored any more")
    return download(text, f"{run_id}-{'input' if of == 'input' else 'output'}.json")


_WHOLE = 2**30


def download(text: str, name: str) -> Response:
    """Send JSON as a file, so that a browser never shows it as a page."""
    answered = Response(text, mimetype="application/json")
    answered.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return answered


@route("/runs/<run_id>/cancel", Role.OPERATOR, methods=("POST",))
def run_cancel(run_id: str) -> AnyResponse:
    """Cancel a run."""
    before = cancel(context(), ids.check_ulid(run_id, "a run id"), actor())
    done = "ended" if before in ENDED else "cancelled"
    return leave(url("run", run_id=run_id), done)


@route("/runs/<run_id>/skip", Role.OPERATOR, methods=("POST",))
def run_skip(run_id: str) -> AnyResponse:
    """Skip a wait of a run, given by its queue item. On dev servers alone."""
    if not deps().settings.dev:
        raise NotFound("waits are skipped on dev servers alone")
    span = request.form.get("span") or None
    try:
        run_id = ids.check_ulid(run_id, "a run id")
        skip(context(), run_id, request.form.get("item", ""), actor())
    except Conflict as error:
        return show(run_id, f"nothing was skipped: {error.message}", 409)
    except Invalid:  # no step of an item, and a person knows no items
        return show(run_id, "nothing was skipped: that part of the run waits no more", 409)
    return leave(url("run", run_id=run_id, span=span), "skipped")
