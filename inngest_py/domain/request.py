"""Requests to the SDK: body and headers, exactly (protocol: execution.md §1).

Stored JSON is canonical and is spliced in as it is, so the whole body is canonical (RFC 8785)
without being parsed again: the bytes that are signed are the bytes that are sent.
"""

from collections.abc import Mapping, Sequence

import orjson

from . import canonical, ids, signing, urls
from .items import Item
from .limits import MAX_REQUEST_BYTES, USE_API_ABOVE_BYTES
from .runs import Run

DISCOVERY = "step"


def body(
    run: Run,
    item: Item,
    memo: Mapping[str, str],
    *,
    max_attempts: int,
    request_id: str,
    events: Sequence[str] = (),
) -> bytes:
    """Build the canonical body; `memo` is in the order of the stack.

    `ctx.fn_id` is left out, which keeps SDKs from checkpointing (checkpointing.md §1.1).
    Over the size limit the state is left for the SDK to fetch (execution.md §1.3).
    """
    stack = list(memo)
    state = sum(map(len, memo.values())) + len(run.event)
    whole = events or (run.event,)
    for use_api, shown, sent in (
        (False, memo, whole),
        (True, {}, whole),
        (True, {}, ()),
    ):
        if not use_api and state > USE_API_ABOVE_BYTES:
            continue
        built = _join(run, item, stack, shown, sent, use_api, max_attempts, request_id)
        if len(built) <= MAX_REQUEST_BYTES:
            return built
    return built


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
    current = len(stack) if item.current is None else min(item.current, len(stack))
    context = {
        "attempt": item.attempt,
        "disable_immediate_execution": run.force_plan,
        "env": "",
        "job_id": item.id,
        "max_attempts": max_attempts,
        "request_id": request_id,
        "run_id": run.id,
        "stack": {"current": current, "stack": stack},
        "step_id": DISCOVERY,
        "use_api": use_api,
    }
    flag = "true" if use_api else "false"
    steps = ",".join(f"{_key(step)}:{memo[step]}" for step in sorted(memo, key=_utf16))
    return (
        f'{{"ctx":{orjson.dumps(context, option=orjson.OPT_SORT_KEYS).decode()}'
        f',"event":{run.event},"events":[{",".join(events)}],"steps":{{{steps}}}'
        f',"use_api":{flag},"version":{run.request_version}}}'
    ).encode()


def _key(step: str) -> str:
    return canonical.dumps(step).decode()


def _utf16(step: str) -> bytes:
    return step.encode("utf-16-be")


def headers(
    run: Run, item: Item, sent: bytes, *, request_id: str, now_s: int, signing_key: str | None
) -> dict[str, str]:
    """Build the headers (execution.md §1.1); signed when there is a key."""
    built = {
        "Content-Type": "application/json",
        "User-Agent": "Inngest",
        "X-Inngest-Step-ID": item.step or DISCOVERY,
        "X-Run-ID": run.id,
        "account-id": ids.DEV_ACCOUNT_ID,
        "traceparent": traceparent(run.id, request_id),
        "x-inngest-job-id": item.id,
        "x-inngest-req-version": str(run.request_version),
        "x-request-id": request_id,
    }
    if signing_key is not None:
        built["X-Inngest-Signature"] = signing.sign(signing_key, sent, now_s)
    return built


def traceparent(run_id: str, request_id: str) -> str:
    """Name the W3C trace of a run, the same in every request, and the span of one request."""
    return f"00-{ids.ulid_hex(run_id)}-{ids.ulid_hex(request_id)[16:]}-01"


def url(function_url: str, item: Item) -> str:
    """Build the URL of the item's request: the registered one with `stepId` replaced."""
    return urls.with_step(function_url, item.step or DISCOVERY)
