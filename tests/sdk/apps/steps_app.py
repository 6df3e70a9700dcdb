"""An app of `inngest_py.sdk.steps`: `python -m tests.sdk.apps.steps_app KIND PORT`.

Flask serves the blocking functions, FastAPI the async ones, with checkpoints if the kind
ends so; EFFECTS names the effects log.
"""

import logging
import os
import sys

import fastapi
import flask
import inngest
import inngest.fast_api
import inngest.flask
import uvicorn

import inngest_py.sdk

from . import groups_async, groups_blocking, steps_async, steps_blocking
from .effects import Effects

HOST = "127.0.0.1"


def main(kind: str, port: int) -> None:
    """Serve until killed."""
    middleware = [inngest_py.sdk.checkpointing()] if kind.endswith("-checkpoints") else []
    client = inngest.Inngest(app_id=kind, logger=logging.getLogger("sdk"), middleware=middleware)
    effects = Effects(os.environ["EFFECTS"])
    if "flask" in kind:
        app = flask.Flask(__name__)
        functions = [
            *steps_blocking.define(client, effects),
            *groups_blocking.define(client, effects),
        ]
        inngest.flask.serve(app, client, functions)
        app.run(host=HOST, port=port, threaded=True)
    else:
        served = fastapi.FastAPI()
        functions = [*steps_async.define(client, effects), *groups_async.define(client, effects)]
        inngest.fast_api.serve(served, client, functions)
        uvicorn.run(served, host=HOST, port=port, log_level="warning")


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    main(sys.argv[1], int(sys.argv[2]))
