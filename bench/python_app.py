"""The real Python SDK's app under measurement: the same runs with checkpointing and without.

`fastapi_app` has async functions and `flask_app` blocking ones; neither does anything in its steps.
"""

import gc
import os
import threading
import time
from collections.abc import Callable
from typing import Any

import inngest

import inngest_py.sdk
from inngest_py.sdk.checkpoints import leaving

WAYS = ("plain", "sent", "buffered")  # without checkpointing, by a step, by ten
APP = os.environ.get("BENCH_APP", "python-bench")


class Record:
    """What was seen since the last reset; runs are [event index, first call, finished]."""

    def __init__(self) -> None:
        """Start with nothing."""
        self.lock = threading.Lock()
        self.runs: dict[str, list[Any]] = {}
        self.reset()

    def reset(self) -> dict[str, Any]:
        """Forget what was seen, but for the runs that have not ended; count those that have."""
        with self.lock:
            before = len(self.runs)
            self.calls, self.repeated = 0, 0
            self.runs = {key: run for key, run in self.runs.items() if run[2] is None}
            self.last_step: dict[str, float] = {}
            self.gaps: list[float] = []
            return {"finished": before - len(self.runs)}

    def began(self, ctx: inngest.Context | inngest.ContextSync) -> None:
        """Note a call."""
        with self.lock:
            self.calls += 1
            self.runs.setdefault(ctx.run_id, [ctx.event.data["i"], time.time(), None])

    def step(self, run_id: str) -> int:
        """Note a step: the time since the one before."""
        now = time.time()
        with self.lock:
            if (before := self.last_step.get(run_id)) is not None:
                self.gaps.append(now - before)
            self.last_step[run_id] = time.time()
        return 1

    def ended(self, run_id: str, result: int) -> int:
        """Note a result."""
        with self.lock:
            self.repeated += self.runs[run_id][2] is not None
            self.runs[run_id][2] = time.time()
        return result

    def stats(self) -> dict[str, Any]:
        """Return what was seen."""
        done = [run for run in list(self.runs.values()) if run[2] is not None]
        return {
            "calls": self.calls,
            "repeated": self.repeated,
            "finished": len(done),
            "runs": done,
            "gaps": self.gaps,
        }

    def count(self) -> dict[str, Any]:
        """Count the runs that have ended."""
        return {"finished": sum(run[2] is not None for run in list(self.runs.values()))}

    def held(self) -> dict[str, Any]:
        """Count what a process may keep: buffers of steps, threads, Python's objects."""
        buffers, threads = len(leaving._buffers), threading.active_count()
        return {"buffers": buffers, "threads": threads, "objects": len(gc.get_objects())}


record = Record()


def _blocking(ctx: inngest.ContextSync) -> int:
    record.began(ctx)
    steps = range(_steps(ctx.event.data))
    done = [ctx.step.run(f"s{number}", record.step, ctx.run_id) for number in steps]
    return record.ended(ctx.run_id, sum(done))


async def _async(ctx: inngest.Context) -> int:
    record.began(ctx)

    async def step() -> int:
        return record.step(ctx.run_id)

    steps = range(_steps(ctx.event.data))
    done = [await ctx.step.run(f"s{number}", step) for number in steps]
    return record.ended(ctx.run_id, sum(done))


def _steps(data: Any) -> int:
    return int(data.get("steps", 5))


def _functions(handler: Callable[..., Any]) -> tuple[inngest.Inngest, list[Any]]:
    client = inngest.Inngest(
        app_id=APP, is_production=False, middleware=[inngest_py.sdk.checkpointing()]
    )
    own = {
        "plain": [inngest_py.sdk.checkpointing(enabled=False)],
        "buffered": [inngest_py.sdk.checkpointing(buffered_steps=10)],
    }
    return client, [
        client.create_function(
            fn_id=way,
            trigger=inngest.TriggerEvent(event=f"bench/python-{way}"),
            middleware=own.get(way),
        )(handler)
        for way in WAYS
    ]


def fastapi_app() -> Any:
    """Make the app for uvicorn."""
    import fastapi
    import inngest.fast_api

    app = fastapi.FastAPI()
    inngest.fast_api.serve(app, *_functions(_async))
    for name in ("count", "stats", "reset", "held"):
        app.get(f"/{name}")(getattr(record, name))
    return app


def flask_app() -> Any:
    """Make the app for gunicorn."""
    import flask
    import inngest.flask

    app = flask.Flask(__name__)
    inngest.flask.serve(app, *_functions(_blocking))
    for name in ("count", "stats", "reset", "held"):
        app.get(f"/{name}")(getattr(record, name))
    return app
