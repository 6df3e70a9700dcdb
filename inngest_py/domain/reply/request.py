"""Requests to the SDK: URL, headers and the exact bytes of the body (protocol: execution.md §1).

Stored JSON is canonical and is spliced in as it is. So the whole body is canonical (RFC 8785)
without being parsed again, and the bytes that are signed are the bytes that are sent.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import orjson

from ..limits import MAX_REQUEST_BYTES, USE_API_ABOVE_BYTES
from ..runs import traces
from ..runs.items import Item, ItemKind
from ..runs.runs import Run
from ..values import canonical, ids, urls
from . import checkpoint

DISCOVERY = "step"
# the job's id in requests of the replay check; sdk/internals.py knows them by it, too
REPLAY_CHECK = "replay-check"
_OF_ITEMS = frozenset({"traceparent", "x-inngest-generation-id"})


def body(
    run: Run,
    item: Item,
    memo: Mapping[str, str],
    *,
    max_attempts: int,
    request_id: str,
) -> bytes:
    """Build the canonical body; `memo` is in the order of the stack.

    `ctx.fn_id` and `ctx.qi_id` let SDKs checkpoint (checkpointing.md §1, §2). They are left out
    until the step to which a rerun gives new input has a result. When the body would be over the
    size limit, the state is left out, and the SDK fetches it (execution.md §1.3).
    """
    stack = list(memo)
    entries = with_input(run, memo)
    event = canonical.for_sdks(run.event)
    whole = tuple(map(canonical.for_sdks, run.events)) if run.events else (event,)
    state = sum(map(len, entries.values())) + sum(map(len, whole))
    for use_api, shown, sent in (
        (False, entries, whole),
        (True, {}, whole),
        (True, {}, ()),
    ):
        if not use_api and state > USE_API_ABOVE_BYTES:
            continue
        built = _join(run, item, stack, shown, (event, *sent), use_api, max_attempts, request_id)
        if len(built) <= MAX_REQUEST_BYTES:
            return built
    return built


def replay_body(
    run: Run, memo: Mapping[str, str], *, attempt: int, max_attempts: int, request_id: str
) -> bytes | None:
    """Build the body of a request that runs no step; None if it is over the size limit.

    The SDK plans what it finds. Without `ctx.fn_id` and `ctx.qi_id` it sends no checkpoint. Without
    the new input of a rerun it plans that step, too: TypeScript never answers if it may not run it.
    """
    planned = replace(run, force_plan=True)
    event = canonical.for_sdks(run.event)
    events = (event, *(map(canonical.for_sdks, run.events) if run.events else (event,)))
    item = replace(replay_item(run), attempt=attempt)
    built = _join(planned, item, list(memo), memo, events, False, max_attempts, request_id)
    return built if len(built) <= MAX_REQUEST_BYTES else None


def replay_item(run: Run) -> Item:
    """Make what stands for a queue item in requests of the replay check."""
    return Item(REPLAY_CHECK, ItemKind.EDGE, run.id, "", 0, run.queued_at, run.queued_at)


def with_input(run: Run, memo: Mapping[str, str]) -> Mapping[str, str]:
    """Add the input that a rerun gives a step, until that has a result (execution.md §1.2)."""
    if run.input_step is None or run.input is None or run.input_step in memo:
        return memo
    return {**memo, run.input_step: canonical.for_sdks(run.input)}


def _join(
    run: Run,
    item: Item,
    stack: list[str],
    memo: Mapping[str, str],
    events: Sequence[str],
    use_api: bool,
    max_attempts: int,
    request_id: str,
) -> bytes:
    """Join the parts of a body; `events` are the run's event, then all of its batch."""
    current = len(stack) if item.current is None else min(item.current, len(stack))
    context = {
        "attempt": item.attempt,
        "disable_immediate_execution": run.force_plan,
        "env": "",
        "fn_id": run.function_id,
        "generation_id": item.generation,
        "job_id": item.id,
        "max_attempts": max_attempts,
        "qi_id": checkpoint.token(item),
        "request_id": request_id,
        "run_id": run.id,
        "stack": {"current": current, "stack": stack},
        "step_id": DISCOVERY,
        "use_api": use_api,
    }
    if item.id == REPLAY_CHECK or (run.input_step is not None and run.input_step not in stack):
        # an SDK that checkpoints (TypeScript 4) would take the step with new input for a done one;
        # in a replay check nothing may be stored
        del context["fn_id"], context["qi_id"]
    defers = f'"defers":{run.defers},' if run.defers else ""
    flag = "true" if use_api else "false"
    steps = ",".join(f"{_key(step)}:{memo[step]}" for step in sorted(memo, key=_utf16))
    return (
        f'{{"ctx":{orjson.dumps(context, option=orjson.OPT_SORT_KEYS).decode()}'
        f',{defers}"event":{events[0]},"events":[{",".join(events[1:])}],"steps":{{{steps}}}'
        f',"use_api":{flag},"version":{run.request_version}}}'
    ).encode()


def _key(step: str) -> str:
    return canonical.dumps(step).decode()


def _utf16(step: str) -> bytes:
    return step.encode("utf-16-be")


def headers(run: Run, item: Item, *, request_id: str) -> dict[str, str]:
    """Build the headers (execution.md §1.1); the sender adds the signature."""
    return {
        "Content-Type": "application/json",
        "User-Agent": "Inngest",
        "X-Inngest-Step-ID": item.step or DISCOVERY,
        "X-Run-ID": run.id,
        "account-id": ids.DEV_ACCOUNT_ID,
        "traceparent": traces.of_request(run.id, run.traceparent, request_id),
        "x-inngest-generation-id": str(item.generation),
        "x-inngest-job-id": item.id,
        "x-inngest-req-version": str(run.request_version),
        "x-request-id": request_id,
    }


def replay_headers(run: Run, *, request_id: str) -> dict[str, str]:
    """Build the headers of a request of the replay check; it is no part of the run's trace."""
    built = headers(run, replay_item(run), request_id=request_id)
    return {name: text for name, text in built.items() if name not in _OF_ITEMS}


def url(function_url: str, item: Item) -> str:
    """Build the URL of the item's request: the registered one with `stepId` replaced."""
    return urls.with_step(function_url, item.step or DISCOVERY)
