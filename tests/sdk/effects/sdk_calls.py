"""A request of a server to an app's function, made to the SDK in this process."""

import json
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import inngest

with warnings.catch_warnings():  # the SDK's own use of pydantic warns
    warnings.simplefilter("ignore")
    from inngest._internal import comm_lib, const, server_lib


class Reply(NamedTuple):
    """What the SDK answers."""

    status: int
    body: Any

    @property
    def step(self) -> dict[str, Any]:
        """The only step in it."""
        (found,) = self.body
        return dict(found)

    @property
    def result(self) -> Any:
        """The result of that step, which has succeeded."""
        assert self.step["op"] == "StepRun", self
        return self.step["data"]


def client() -> inngest.Inngest:
    """The client of an app that no server knows."""
    return inngest.Inngest(app_id="tests", is_production=False)


class App:
    """An app with one function, blocking or async by its body."""

    def __init__(self, body: Callable[..., Any], made: inngest.Inngest | None = None) -> None:
        self.client = made or client()
        trigger = inngest.TriggerEvent(event="tests/go")
        self._handler = comm_lib.CommHandler(
            client=self.client,
            enable_unauthed_sync=None,
            framework=server_lib.Framework.FLASK,
            functions=[self.client.create_function(fn_id="go", trigger=trigger)(body)],
            streaming=const.Streaming.DISABLE,
        )

    def call(self, run_id: str, attempt: int = 0, **more: Any) -> Reply:
        """Make the request that asks a blocking function for its next step."""
        return _read(self._handler.post_sync(_request(run_id, attempt, **more)))

    async def call_async(self, run_id: str, attempt: int = 0, **more: Any) -> Reply:
        """Make it to an async function."""
        return _read(await self._handler.post(_request(run_id, attempt, **more)))


def _request(
    run_id: str,
    attempt: int,
    steps: dict[str, Any] | None = None,
    step: str = "step",
    data: Any = None,
) -> comm_lib.CommRequest:
    event = {"name": "tests/go", "data": data or {}, "id": "1", "ts": 1}
    ctx = {
        "run_id": run_id,
        "attempt": attempt,
        "max_attempts": 4,
        "disable_immediate_execution": False,
        "stack": {"stack": []},
    }
    body = {"ctx": ctx, "event": event, "events": [event], "steps": steps or {}, "use_api": False}
    return comm_lib.CommRequest(
        body=json.dumps(body).encode(),
        headers={},
        public_path=None,
        query_params={"fnId": "tests-go", "stepId": step},
        raw_request=None,
        request_url="http://127.0.0.1/api/inngest",
        serve_origin=None,
        serve_path=None,
    )


def _read(answer: comm_lib.CommResponse) -> Reply:
    return Reply(answer.status_code, json.loads(answer.body_bytes()))
