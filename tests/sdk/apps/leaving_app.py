"""An app that buffers its steps: `python -m tests.sdk.apps.leaving_app KIND PORT`.

FRAMEWORK is flask, fastapi, or gunicorn with its options; EFFECTS names the effects log. The last
step waits for the file GATE.
"""

import asyncio
import logging
import os
import sys
import time
from pathlib import Path
from typing import Any

import inngest

import inngest_py.sdk

from .effects import Effects

HOST, STEPS = "127.0.0.1", 4
KIND = os.environ.get("KIND") or sys.argv[1]  # gunicorn has arguments of its own
client = inngest.Inngest(
    app_id=KIND,
    logger=logging.getLogger("sdk"),
    middleware=[inngest_py.sdk.checkpointing(buffered_steps=100)],
)
effects, gate = Effects(os.environ["EFFECTS"]), Path(os.environ["GATE"])
# a second apart: after SIGTERM the app may need many to start again on a loaded machine
create = client.create_function(
    fn_id="held", trigger=inngest.TriggerEvent(event=f"{client.app_id}/held"), retries=20
)


@create
def blocking(ctx: inngest.ContextSync) -> int:
    def body(number: int) -> int:
        effects.note(ctx.run_id, f"s{number}", ctx.attempt)
        while number == STEPS - 1 and not gate.exists():
            time.sleep(0.02)
        return number

    return sum(ctx.step.run(f"s{number}", body, number) for number in range(STEPS))


@create
async def asynchronous(ctx: inngest.Context) -> int:
    async def body(number: int) -> int:
        effects.note(ctx.run_id, f"s{number}", ctx.attempt)
        while number == STEPS - 1 and not gate.exists():
            await asyncio.sleep(0.02)
        return number

    return sum([await ctx.step.run(f"s{number}", body, number) for number in range(STEPS)])


def wsgi() -> Any:
    """Make the Flask app."""
    import flask
    import inngest.flask

    app = flask.Flask(__name__)
    inngest.flask.serve(app, client, [blocking])
    return app


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    name, *options = os.environ["FRAMEWORK"].split()
    if name == "flask":
        wsgi().run(host=HOST, port=int(sys.argv[2]), threaded=True)
    elif name == "gunicorn":
        argv = [sys.executable, "-m", "gunicorn", "-b", f"{HOST}:{sys.argv[2]}", "--threads", "4"]
        where = "tests.sdk.apps.leaving_app:wsgi()"
        os.execve(sys.executable, [*argv, *options, where], {**os.environ, "KIND": KIND})
    else:
        import fastapi
        import inngest.fast_api
        import uvicorn

        api = fastapi.FastAPI()
        inngest.fast_api.serve(api, client, [asynchronous])
        uvicorn.run(api, host=HOST, port=int(sys.argv[2]), log_level="warning")
