"""Start runs of tasks and canvases of Celery apps; the same send again starts nothing."""

from dataclasses import dataclass

from ...domain.errors import Conflict, TooDeep
from ...domain.functions import task_inputs
from ...domain.values import canonical
from ...domain.values.json_types import JsonObject
from ...storage.queries import event_lookups, run_lookups
from ..intake import invoke
from ..runtime.audit import Actor
from ..runtime.context import Context
from . import celery_apps

_NO_RUN = (
    "no run was started: the function is paused and skips new events, or it batches, debounces or"
    " limits their rate"
)


@dataclass(frozen=True, slots=True)
class Sent:
    """The run of a signature, and whether this send has started it or an earlier one."""

    run_id: str
    is_new: bool


def start(
    ctx: Context,
    app_name: str,
    signature: JsonObject,
    *,
    id: str | None = None,
    idempotency_key: str | None = None,
    by: Actor | None = None,
) -> Sent:
    """Start a run of a signature; a second send with the same id or key finds the run of the first.

    Raises what function_of_signature() does, Invalid for a signature that cannot be stored, and
    Conflict when the first send had another signature, or when the function starts no run now.
    """
    function = celery_apps.function_of_signature(ctx, app_name, signature)
    given: JsonObject = {} if id is None else {"id": id}

    def send(written: object) -> Sent:
        payload = given | {"data": {"signature": written}}
        size = len(canonical.dumps(payload))
        try:
            found = invoke.invoke_function(
                ctx, function, payload, size, idempotency_key=idempotency_key, by=by
            )
        except invoke.Repeated as repeated:
            return _first(ctx, repeated, written)
        if found.run_id is None:
            raise Conflict(_NO_RUN)
        return Sent(found.run_id, is_new=True)

    try:
        return send(signature)
    except TooDeep:  # for an event
        return send(task_inputs.as_text(signature))


def _first(ctx: Context, repeated: invoke.Repeated, signature: object) -> Sent:
    run_id = repeated.run_id
    if not _is_same(ctx, run_id, signature):
        text = f"the id or idempotency key was used for run {run_id} with another signature"
        raise Conflict(f"{text}: send this one with a new one", code=repeated.code)
    return Sent(run_id, is_new=False)


def _is_same(ctx: Context, run_id: str, signature: object) -> bool:
    """Say whether a run has this signature; one whose event is gone counts as the same."""
    with ctx.db.reading() as tx:
        run = run_lookups.get(tx, run_id)
        payloads = {} if run is None else event_lookups.payloads(tx, [run["event_id"]])
    known = [canonical.loads(text)["data"].get("signature") for text in payloads.values()]
    return all(canonical.dumps_event(one) == canonical.dumps_event(signature) for one in known)
