"""One request to the app, whose new steps are checkpointed.

Written against inngest 0.5. The SDK ends a request at a new step by raising ResponseInterrupt, a
BaseException that the user's code does not catch. For a step that succeeded, it is caught here: the
hooks of middleware run as they would for the answer, the step goes to the server, and the function
gets its result. Once the request has to end, `Call.answer` holds what is answered.

What is the same for blocking and asyncio functions is a generator. It yields what hooks and flushes
return, which is awaited for asyncio.
"""

import asyncio
import contextlib
import dataclasses
import functools
import json
import time
from collections.abc import Awaitable, Callable, Generator
from typing import NoReturn, TypeVar

import inngest

from .. import json_values
from ..internals import (
    CallResult,
    EmptySentinel,
    Op,
    Opcode,
    ReportedInfo,
    ResponseInterrupt,
    StepInfo,
    StepMemos,
    StepResponse,
    hash_of,
)
from . import leaving, sending
from .buffers import Buffer, Finished, senders
from .dispatches import Dispatch
from .options import Options
from .sending import Outcome

T = TypeVar("T")
Steps = Generator[object, object, T]
Context = inngest.Context | inngest.ContextSync


class Call:
    """The state of a request; `answer` is None while the function may go on."""

    def __init__(
        self,
        client: inngest.Inngest,
        ctx: Context,
        function: "inngest.Function[object]",
        options: Options,
        dispatch: Dispatch,
    ) -> None:
        """Prepare it; nothing of the SDK is changed yet."""
        self._client, self._ctx, self._function = client, ctx, function
        self._options = options
        self._ends_at = time.monotonic() + options.max_runtime if options.max_runtime else None
        self._manager = ctx.step._middleware
        self._memos = ctx.step._execution._memos  # type: ignore[union-attr]
        self._is_async = isinstance(ctx, inngest.Context)
        ending = "" if self._is_async else "_sync"
        self._hooks = {
            name: getattr(self._manager, f"{name}{ending}")
            for name in ("before_execution", "after_execution", "transform_output")
        }
        send = functools.partial(_send, client, ctx.run_id, _head(ctx.run_id, dispatch))
        self.buffer = Buffer(send, options.buffered_steps, options.max_interval)
        self.answer: CallResult | None = None
        self._hooks_ran = False  # for the step that is answered
        self._went_on = False

    def _flush(self) -> object:
        return self._in_thread(self.buffer.flush) if self.buffer.steps else self.buffer.outcome

    def _in_thread(self, call: Callable[[], object]) -> object:
        """Call what may block: an event loop must go on meanwhile."""
        if not self._is_async:
            return call()
        return asyncio.get_running_loop().run_in_executor(senders(), call)

    def before(self) -> None:
        """Check before a step that the request may go on."""
        if self.answer is not None:
            raise _interrupt()
        if self.buffer.outcome is not Outcome.STORED:
            self._end(CallResult(multi=[]), hooks_ran=False)
        if self._went_on and self._is_over():
            # the SDK then plans a new step instead of running it
            self._ctx.step._execution._request.ctx.disable_immediate_execution = True

    def succeeded(self, interrupt: ResponseInterrupt) -> StepResponse | None:
        """Return the step that ended the request, if the function may go on after it."""
        response = interrupt.responses[0]
        ran = response.step.op is Opcode.STEP_RUN and response.original_error is None
        # what was retried is answered, so that the server counts attempts anew (§2.1)
        if len(interrupt.responses) != 1 or not ran or self._ctx.attempt or self._is_over():
            return None
        return response

    def go_on(
        self, response: StepResponse, output_type: object, began_ns: int, took_ns: int
    ) -> Steps[object]:
        """Run the hooks for a step, pass it on, and return its result as a replay would."""
        result = CallResult(output=response.output, step=response.step)
        error = yield self._hooks["after_execution"]()
        if error is None:
            error = yield self._hooks["transform_output"](result)
        if isinstance(error, Exception):
            self._end(CallResult(error))
        data = None if result.error is not None else _json(result.output)
        if data is None and result.error is None:
            _say_what_is_not_json(self._client, response.step.display_name, result.output)
        # the SDK answers what is wrong with it
        # or, from 0.5.20 on, what the step has deferred: a replay would not run it again
        if data is None or getattr(self._ctx, "_defer_ops", None):
            self._end(CallResult(multi=[result]))
        due = self.buffer.add(Finished(response.step, result.output, data, began_ns, took_ns))
        if (due or leaving.begun()) and (yield self._flush()) is not Outcome.STORED:
            self._end(CallResult(multi=[]))
        value = yield from self._replayed(response, result.output, data)
        self._went_on = True
        if self._memos.size == 0:
            self._manager._disabled_hooks.discard("before_execution")
            yield self._hooks["before_execution"]()
        return self._client._deserialize(value, output_type)

    def _replayed(self, response: StepResponse, output: object, data: str) -> Steps[object]:
        """Return the output as the server would give it back: decrypted by middleware, for one."""
        value = json.loads(data)
        if output is response.output:
            return value
        memos = StepMemos.from_raw({response.step.id: {"data": value}})
        event, events = self._ctx.event.model_copy(), [one.model_copy() for one in self._ctx.events]
        ctx = dataclasses.replace(self._ctx, event=event, events=events)
        try:
            for one in self._manager.middleware:
                if _overrides(one, "transform_output") and _overrides(one, "transform_input"):
                    yield one.transform_input(ctx, self._function, memos)
        except Exception as error:
            self._end(CallResult(error))
        memo = memos.pop(response.step.id)
        return value if isinstance(memo, EmptySentinel) else memo.data

    def finish(self, answered: CallResult) -> Steps[Exception | None]:
        """Send the rest, and put what has to be answered in place of what the SDK answers."""
        error = None
        if self.answer is None:
            error = yield self._hooks["transform_output"](answered)
        else:
            vars(answered).update(vars(self.answer))
        if error is None and self._is_result(answered):
            taken = yield from self._taken()
            leaving.forget(self.buffer)
            _answer_with(answered, taken, completes=True)
            return None
        outcome = yield self._flush()
        leaving.forget(self.buffer)
        if outcome is Outcome.STALE:
            vars(answered).update(vars(CallResult(_stale(self._ctx.run_id))))
            return None
        if not self.buffer.steps:
            return error if isinstance(error, Exception) else None
        _answer_with(answered, self.buffer.steps)
        return None

    def _taken(self) -> Steps[list[Finished]]:
        done: list[list[Finished]] = []
        yield self._in_thread(lambda: done.append(self.buffer.take()))
        return done[0]

    def _is_result(self, answered: CallResult) -> bool:
        """Whether the function's result can be answered together with steps that were not sent."""
        return (
            bool(self.buffer.steps)
            and self.buffer.outcome is not Outcome.STALE
            and (answered.error, answered.step, answered.multi) == (None, None, None)
            and not isinstance(answered.output, EmptySentinel)
            and _json(answered.output) is not None
        )

    def end_of_request(self) -> Steps[object]:
        """Call `after_execution`, but for a step whose hooks ran."""
        return None if self._hooks_ran else (yield self._hooks["after_execution"]())

    def _is_over(self) -> bool:
        return self._ends_at is not None and time.monotonic() >= self._ends_at

    def _end(self, answer: CallResult, *, hooks_ran: bool = True) -> NoReturn:
        self.answer, self._hooks_ran = answer, hooks_ran
        raise _interrupt()


def install(
    client: inngest.Inngest,
    ctx: Context,
    function: "inngest.Function[object]",
    options: Options,
    dispatch: Dispatch,
) -> None:
    """Put a call between the function and the SDK, in the objects of this one request."""
    call = Call(client, ctx, function, options, dispatch)
    if options.buffered_steps > 1:
        leaving.watch(call, call.buffer)
    if isinstance(ctx, inngest.ContextSync):
        _install_sync(ctx, call)
    else:
        _install_async(ctx, call)


def _install_sync(ctx: inngest.ContextSync, call: Call) -> None:
    original = ctx.step.run

    def run(
        step_id: str,
        handler: Callable[..., object],
        *args: object,
        output_type: object = EmptySentinel,
    ) -> object:
        call.before()
        began, clock = time.time_ns(), time.perf_counter_ns()
        try:
            return original(step_id, handler, *args, output_type=output_type)
        except ResponseInterrupt as interrupt:
            response = call.succeeded(interrupt)
            if response is None:
                raise
        took = time.perf_counter_ns() - clock
        return _driven(call.go_on(response, output_type, began, took))

    vars(ctx.step)["run"] = run
    manager = vars(ctx.step._middleware)
    manager["after_execution_sync"] = lambda: _driven(call.end_of_request())
    manager["transform_output_sync"] = lambda answered: _driven(call.finish(answered))


def _install_async(ctx: inngest.Context, call: Call) -> None:
    original = ctx.step.run

    async def run(
        step_id: str,
        handler: Callable[..., Awaitable[object]],
        *args: object,
        output_type: object = EmptySentinel,
    ) -> object:
        call.before()
        began, clock = time.time_ns(), time.perf_counter_ns()
        try:
            return await original(step_id, handler, *args, output_type=output_type)
        except ResponseInterrupt as interrupt:
            response = call.succeeded(interrupt)
            if response is None:
                raise
        took = time.perf_counter_ns() - clock
        return await _awaited(call.go_on(response, output_type, began, took))

    vars(ctx.step)["run"] = run
    manager = vars(ctx.step._middleware)
    manager["after_execution"] = lambda: _awaited(call.end_of_request())
    manager["transform_output"] = lambda answered: _awaited(call.finish(answered))


def _driven(steps: Steps[T]) -> T:
    sent: object = None
    while True:
        try:
            sent = steps.send(sent)
        except StopIteration as done:
            found: T = done.value
            return found


async def _awaited(steps: Steps[T]) -> T:
    sent: object = None
    with contextlib.closing(steps):
        while True:
            try:
                waited = steps.send(sent)
            except StopIteration as done:
                found: T = done.value
                return found
            sent = await waited if isinstance(waited, Awaitable) else waited


def _head(run_id: str, dispatch: Dispatch) -> str:
    """Write the part of a checkpoint that is the same for all of a request, without its end."""
    known = {
        "run_id": run_id,
        "fn_id": dispatch.function_id,
        "qi_id": dispatch.queue_item,
        "generation_id": dispatch.generation,
        "request_id": dispatch.request_id,
        "request_started_at": time.time_ns() // 1_000_000,
    }
    return json.dumps({name: value for name, value in known.items() if value is not None})[:-1]


def _answer_with(answered: CallResult, steps: list[Finished], *, completes: bool = False) -> None:
    """Put steps before the steps that are answered, or before the run's result if it completes.

    Otherwise they are answered alone: they do not go with an error of the function.
    """
    answer = [CallResult(output=step.output, step=step.info) for step in steps]
    if not answer:
        return
    if answered.multi is not None:
        answer += answered.multi
    elif completes:
        hashed = hash_of("complete")
        done = ReportedInfo(display_name="complete", id=hashed, name="", op=Op.RUN_COMPLETE)
        answer.append(CallResult(output=answered.output, step=done))
    vars(answered).update(vars(CallResult(multi=answer)))


def _send(
    client: inngest.Inngest, run_id: str, head: str, steps: list[Finished], tries: int
) -> Outcome:
    ops = ", ".join(step.op() for step in steps)
    body = f'{head}, "ts": {time.time_ns() // 1_000_000}, "steps": [{ops}]}}'
    return sending.send(client, run_id, body.encode(), tries)


def _json(output: object) -> str | None:
    try:
        return json.dumps(output, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return None


def _say_what_is_not_json(client: inngest.Inngest, step_id: str, output: object) -> None:
    """The SDK's own error names the step alone."""
    try:
        json_values.check_result(step_id, output)
    except json_values.NotJson as error:
        client.logger.error("%s", error)


def _overrides(middleware: object, hook: str) -> bool:
    own = getattr(type(middleware), hook, None)
    return own not in (getattr(inngest.Middleware, hook), getattr(inngest.MiddlewareSync, hook))


def _interrupt() -> ResponseInterrupt:
    """End the user's code; what is answered stands in the call. Parallel groups pass it on, too."""
    step = StepInfo(display_name="checkpoint", id="", op=Opcode.PLANNED)
    return ResponseInterrupt(StepResponse(step=step))


def _stale(run_id: str) -> Exception:
    text = f"run {run_id} has ended, or another request has taken over: this one stopped"
    return inngest.NonRetriableError(text, quiet=True)
