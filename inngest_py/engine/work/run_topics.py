"""Tells those who follow a run that it begins, ends, or has stored a step's result.

The reference names these topics (`$run`, `$step`, and a step's own id) and publishes nothing to
them. A message is only made if somebody follows the run.
"""

from blinker import NamedSignal

from ... import observe
from ...domain.realtime import messages, topics
from ...domain.realtime.messages import Kind, Message
from ...domain.runs.runs import RunStatus
from ...domain.values import canonical
from ...domain.values.json_types import JsonObject
from ..runtime.context import Context


class RunTopics:
    """Listens to what happens to runs in this process. Its messages leave after the commit.

    It listens only while some run is followed: a step costs nothing more otherwise. A child of a
    fork is not told when that is, and always listens: 2 µs a step on a loaded machine.
    """

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._listens = False

    def connect(self) -> None:
        """Listen from now on, whenever a run is followed."""
        followed = self._ctx.hub.followed
        if followed.is_inherited:
            self._listen(True)
        else:
            followed.changed = self._listen
            self._listen(followed.any_run)

    def disconnect(self) -> None:
        """Listen no more."""
        self._ctx.hub.followed.changed = lambda any_run: None
        self._listen(False)

    def _listen(self, wanted: bool) -> None:
        if wanted == self._listens:
            return
        self._listens = wanted
        change = observe.listen if wanted else observe.stop_listening
        for signal, listener in self._listeners():
            change(signal, listener)

    def _listeners(self) -> list[tuple[NamedSignal, observe.Listener]]:
        return [
            (observe.run_started, self._on_started),
            (observe.step_finished, self._on_step),
            (observe.run_finished, self._on_finished),
        ]

    def _on_started(self, *, run_id: str, function_id: str, **_: object) -> None:
        if self._ctx.hub.followed.includes(run_id):
            data: JsonObject = {"status": RunStatus.RUNNING.value}
            self._send(Kind.RUN, topics.RUN, run_id, function_id, data)

    def _on_step(
        self, *, run_id: str, function_id: str, name: str, failed: bool, value: str, **_: object
    ) -> None:
        if not self._ctx.hub.followed.includes(run_id):
            return
        status = RunStatus.FAILED if failed else RunStatus.COMPLETED
        data: JsonObject = {"step": name, "status": status.value}
        if len(value) <= messages.MOST_BYTES:
            data |= _outcome(canonical.loads(value))
        else:
            data["too_large"] = True
        self._send(Kind.STEP, name, run_id, function_id, data)

    def _on_finished(
        self, *, run_id: str, function_id: str, status: str, output: str | None, **_: object
    ) -> None:
        if not self._ctx.hub.followed.includes(run_id):
            return
        data: JsonObject = {"status": status}
        if output is not None and len(output) > messages.MOST_BYTES:
            data["too_large"] = True
        elif output is not None:
            key = "error" if status == RunStatus.FAILED else "result"
            data[key] = canonical.loads(output)
        self._send(Kind.RUN, topics.RUN, run_id, function_id, data)

    def _send(
        self, kind: Kind, topic: str, run_id: str, function_id: str, data: JsonObject
    ) -> None:
        ctx = self._ctx
        made = Message(
            kind,
            canonical.dumps(data),
            ctx.now(),
            channel=run_id,
            topic=topic,
            run_id=run_id,
            fn_id=function_id,
            fn_slug=ctx.catalog.slug_of(function_id),
        )
        ctx.hub.publish_soon(made.delivery())


def _outcome(memo: object) -> JsonObject:
    """Read a stored result: as `result` or `error`, as a run has them."""
    if not isinstance(memo, dict):
        return {"result": memo}
    if "error" in memo:
        return {"error": memo["error"]}
    return {"result": memo["data"]} if "data" in memo else {"result": memo}
