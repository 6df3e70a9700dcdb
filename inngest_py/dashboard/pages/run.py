"""The page of a run: what it leads with, its timeline, and a panel with the part that is chosen."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from flask import Response, request
from sqlalchemy import Connection, RowMapping
from werkzeug.wrappers import Response as AnyResponse

from ...domain.access.roles import Role
from ...domain.errors import Conflict, Invalid, NotFound
from ...domain.reports.timeline import Span
from ...domain.reports.why import Reason
from ...domain.runs import outputs
from ...domain.runs.runs import ENDED, RunStatus
from ...domain.values import canonical, ids
from ...engine.admin import why_run_waits
from ...engine.admin.skip_wait import skip, waiting_steps
from ...engine.work.celery_tasks import run_canvases
from ...engine.work.end_run import cancel
from ...storage.queries import event_lookups, run_detail, run_lookups, timeline_rows, timelines
from ...storage.queries.errors import failed_runs
from ...storage.queries.operations import operation_list
from ..deps import context, deps, read
from ..parts import words
from ..parts.notices import leave
from ..rendering import page, url
from ..routes import route
from ..run_page import headline, history, invoked, nodes, panel, view, waterfall
from ..run_page.headline import Facts
from ..run_page.panel import StepForm
from .audit import actor

MOST_OF_BATCH = 100
PART = "Run-Part"  # a header: the page asks for a part of itself alone


@dataclass(frozen=True, slots=True)
class Related:
    """Runs that belong to this one, with a title that says how."""

    title: str
    runs: list[RowMapping]


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


def show(
    run_id: str,
    problem: str | None = None,
    status: int = 200,
    *,
    wrong: Mapping[str, str] | None = None,
) -> Response:
    """Show a run's page, with a problem of its forms; or the part of it that the page asks for.

    `wrong` says it by field, for the fields that the page shows.
    """
    part = request.headers.get(PART)
    found = read(lambda tx: _load(tx, run_id, part))
    live = RunStatus(found["run"]["status"]) not in ENDED
    waiting = _why_waiting(run_id) if live and part is None else []
    dev = deps().settings.dev
    can_skip = dev and any(reason.item is not None for reason in waiting)
    fields = _fields(found["panel"].form)
    return page(
        {"panel": "run_panel.html", "view": "run_view.html"}.get(part or "", "run.html"),
        status,
        **found,
        live=live,
        lead=headline.headline(found["facts"], waiting),
        own_code=headline.OWN_CODE,
        most=history.MOST_LINES,
        most_rows=waterfall.MOST_ROWS,
        most_of_batch=MOST_OF_BATCH,
        waiting=waiting,
        skips=waiting_steps(context(), run_id) if dev and live else {},
        can_skip=can_skip,
        problem=problem,
        wrong={name: said for name, said in (wrong or {}).items() if name in fields},
        here=found["view"].link(),
    )


def _fields(form: StepForm | None) -> set[str]:
    """List the fields of the chosen step's forms."""
    if form is None:
        return set()
    shown = {"input": form.takes_input, "result": form.may_be_given}
    return {name for name, is_shown in shown.items() if is_shown}


def _load(tx: Connection, run_id: str, part: str | None) -> dict[str, Any]:
    """Read what the page, or its `part`, shows."""
    now = context().now()
    row = _run(tx, run_id)
    head = run_detail.run_output(tx, run_id, 1)
    root = timelines.of_run(tx, row, has_output=head is not None)
    facts = _facts(tx, row, root)
    asked = request.args.get("span") or request.form.get("span")
    shown = view.read(run_id, request.args, asked)
    failed = None
    if facts.status is RunStatus.FAILED:
        failed = headline.failed_part(root, facts.error_code)
    chosen = (waterfall.find(root, asked) if asked else None) or failed
    chosen = chosen or headline.retried_part(root) or root
    tree = nodes.of_run(root, failed)
    node = next((one for one in tree.walk() if one.is_of(chosen)), None)
    found: dict[str, object] = {
        "run": row,
        "facts": facts,
        "view": replace(shown, span=asked),
        "root": root,
        "chosen": chosen,
        "panel": panel.of_node(tx, row, node, chosen, request.form),
        "taken_over": _taken_over(row, root),
    }
    if part == "panel":
        return found
    invoked.unfold(tx, tree, shown)
    fall = waterfall.waterfall(tree, shown, now, chosen)
    invoked.name(tx, fall)
    found["fall"] = fall
    found["log"] = history.history(root) if shown.log else []
    if part == "view":
        return found
    has_failed = facts.status is RunStatus.FAILED
    found["error_id"] = failed_runs.error_of(tx, run_id) if has_failed else None
    found["related"] = _related(tx, row)
    found["operation"] = operation_list.of_run(tx, run_id)
    found["batch"] = None if row["batch_id"] is None else _batch(tx, row["batch_id"])
    found["missing"] = _missing(row, root)
    return found


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


def _related(tx: Connection, row: RowMapping) -> list[Related]:
    found: list[Related] = []
    parent = (row["correlation_id"] or "").partition(".")[0]
    for title, run_id in (("Invoked by", parent), ("Repeats", row["original_run_id"])):
        if run_id and (other := run_lookups.get(tx, run_id)) is not None:
            found.append(Related(title, [other]))
    for title, runs in (
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
        if of == "step-input":
            return timeline_rows.step_input(tx, run_id, step or "") or _task_input(tx, run_id, step)
        if attempt is not None:
            return timeline_rows.attempt_error(tx, run_id, attempt)
        if step is not None:
            return timeline_rows.step_output(tx, run_id, step)
        return run_lookups.outputs(tx, [run_id]).get(run_id)

    text = read(load)
    if text is None:
        raise NotFound("this value is not stored any more")
    return download(text, f"{run_id}-{'input' if of in ('input', 'step-input') else 'output'}.json")


_WHOLE = 2**30


def _task_input(tx: Connection, run_id: str, step: str | None) -> str | None:
    found = run_canvases.arguments(tx, context(), run_id, step or "")
    return None if found is None else canonical.dumps(found).decode()


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
