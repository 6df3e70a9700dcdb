"""The replay check of a run: ask code that is not deployed yet, and run none of its steps.

Nothing is stored, the run is only read, and no database connection is held while the app is asked.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from ...domain.errors import Invalid, NotFound
from ...domain.functions.function_config import FunctionConfig
from ...domain.limits import MAX_REQUEST_BYTES
from ...domain.replay import answers, history
from ...domain.replay.answers import Answer, NotServed, TooLarge
from ...domain.replay.findings import Finding, KnownStep
from ...domain.replay.history import QueuedStep, StoredStep
from ...domain.replay.walk import Question, Walked, walk
from ...domain.reply import request
from ...domain.reply.plans import Policy
from ...domain.runs.runs import ENDED, Run, RunStatus
from ...domain.values import urls
from ...storage.queries import run_lookups, timeline_rows
from ...storage.queue import load_runs
from ..apps import reaching
from ..runtime import signed_requests
from ..runtime.catalog import Function
from ..runtime.context import Context

OF_CELERY = "it is of a Celery app, whose tasks run whole: there is no code between steps"
CALL_TIMEOUT = timedelta(seconds=10)
LONGEST = timedelta(seconds=60)  # for all requests about one run


class CannotCheck(Invalid):
    """The run cannot be checked; `reason` is the same for all such runs."""

    def __init__(self, run_id: str, reason: str) -> None:
        super().__init__(f"run {run_id} cannot be checked: {reason}", field="run")
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Subject:
    """A run that is to be checked."""

    run: Run
    function: Function
    steps: Sequence[KnownStep]


@dataclass(frozen=True, slots=True)
class Checked:
    """What new code would change for a run; see Walked for `unseen` and `more`."""

    run_id: str
    function: str
    status: RunStatus
    findings: tuple[Finding, ...]
    unseen: str | None = None
    more: int = 0

    @property
    def has_ended(self) -> bool:
        """Whether the run had ended already, so that a deploy does not touch it."""
        return self.status in ENDED

    def sentences(self) -> list[str]:
        """Say what was found, and what could not be judged; nothing if nothing would change."""
        told = [": ".join(filter(None, (one.text, one.detail))) for one in self.findings]
        told += [f"and {self.more} more"] if self.more else []
        return told if self.unseen is None else [*told, self.unseen]


def of_run(ctx: Context, run_id: str, app: str | None = None) -> Checked:
    """Check a run, live or ended, against the app at a serve endpoint; None: where it is now.

    Takes a request for each step that the run has. Raises NotFound; Invalid if the run cannot be
    checked or the app lacks its function; and what check() raises.
    """
    url = None if app is None else endpoint(ctx, app)
    subject = read(ctx, run_id)
    try:
        return check(ctx, subject, url)
    except NotServed:
        raise not_served(subject.function.slug) from None


def not_served(slugs: str) -> Invalid:
    """Make the error for an app that lacks the functions."""
    problem = f"the app there has no function {slugs}: give the URL of the app that has it"
    return Invalid(problem, field="app")


def endpoint(ctx: Context, app: str) -> str:
    """Return a serve endpoint in its one spelling. Raises Invalid, also if it is out of reach."""
    try:
        url = urls.serve_endpoint(app)
        reaching.check(ctx.tuning.reach, [url])
    except Invalid as error:
        problem = error.message.removeprefix("url ")
        raise Invalid(f"app: {problem}", field="app", code=error.code) from None
    return url


def read(ctx: Context, run_id: str) -> Subject:
    """Read a run with its steps. Raises NotFound and CannotCheck."""
    with ctx.db.reading() as tx:
        found = load_runs.load(tx, [run_id]).get(run_id)
        if found is None:
            if run_lookups.function_of(tx, run_id) is None:
                raise NotFound(f"run {run_id} does not exist")
            raise CannotCheck(run_id, "its event has been deleted")
        run, revision = found
        function = ctx.catalog.get(tx, run.function_id, revision)
        _refuse_others(run, function.config)
        # items first: a step that ends meanwhile is found twice, and not missed
        queued = timeline_rows.queued_for(tx, run_id)
        stored = timeline_rows.steps_of(tx, run_id)
    steps = history.known(
        [StoredStep(row["hash"], row["name"], row["op"], row["output"]) for row in stored],
        [QueuedStep(row["kind"], row["step"], row["step_name"], row["opts"]) for row in queued],
    )
    return Subject(run, function, steps)


def _refuse_others(run: Run, config: FunctionConfig) -> None:
    """Raise Invalid for runs that no request with a memo can repeat."""
    if config.celery is not None:
        reason = OF_CELERY
    elif run.endpoint is not None:
        reason = "it is of a durable endpoint, which is called with its caller's own request"
    else:
        return
    raise CannotCheck(run.id, reason)


def check(ctx: Context, subject: Subject, url: str | None) -> Checked:
    """Ask the app at a serve endpoint, or the function's own for None, what it would do.

    Raises AppAway, TookTooLong, NotServed, RanAStep, and CannotCheck if the run or an answer is too
    large, or the run takes too long.
    """
    run = subject.run
    ends_at = time.monotonic() + LONGEST.total_seconds()
    walking = walk(subject.steps, run.status)
    answer: Answer | None = None
    while True:
        try:
            question = next(walking) if answer is None else walking.send(answer)
        except StopIteration as done:
            walked: Walked = done.value
            found = walked.findings, walked.unseen, walked.more
            return Checked(run.id, run.function_slug, run.status, *found)
        if time.monotonic() > ends_at:
            raise CannotCheck(run.id, f"the app took over {LONGEST.seconds} s for its steps")
        answer = _ask(ctx, subject, question, url)


def is_served(ctx: Context, subject: Subject, url: str) -> bool:
    """Say whether the app has the run's function. Raises what check() raises for an answer."""
    try:
        _ask(ctx, subject, Question({}), url)
    except NotServed:
        return False
    return True


def _ask(ctx: Context, subject: Subject, question: Question, url: str | None) -> Answer:
    run, function, request_id = subject.run, subject.function, ctx.new_id()
    item = request.replay_item(run)
    most_attempts = Policy(function.config.retries).max_attempts
    body = request.replay_body(
        run,
        question.memo,
        attempt=most_attempts - 1 if question.last_attempt else 0,
        max_attempts=most_attempts,
        request_id=request_id,
    )
    if body is None:
        most = f"{MAX_REQUEST_BYTES // 1024**2} MiB"
        raise CannotCheck(run.id, f"its event and results are over {most}")
    called = function.url
    if url is not None:
        called = urls.at_endpoint(called, url, function.slug)
    headers = request.replay_headers(run, request_id=request_id)
    reply = signed_requests.send(
        ctx, "POST", request.url(called, item), headers, body, CALL_TIMEOUT
    )
    try:
        return answers.understood(reply, ctx.now())
    except TooLarge as error:
        raise CannotCheck(run.id, error.message) from None
