"""The Python SDK app: `python -m tests.sdk.apps.python_app KIND PORT`.

Flask serves the blocking functions, FastAPI the asyncio ones, with checkpoints if the kind ends so;
EFFECTS names the effects log.
"""

import logging
import os
import sys

import inngest

import inngest_py.sdk

from . import async_functions, async_waits, sync_functions, sync_waits
from .effects import Effects

HOST = "127.0.0.1"


def _client(kind: str) -> inngest.Inngest:
    middleware = [inngest_py.sdk.checkpointing()] if kind.endswith("-checkpoints") else []
    return inngest.Inngest(app_id=kind, logger=logging.getLogger("sdk"), middleware=middleware)


def flask_app(kind: str, port: int, effects: Effects) -> None:
    """Serve with Flask until killed."""
    import flask
    import inngest.flask

    client = _client(kind)
    app = flask.Flask(__name__)
    functions = [*sync_functions.define(client, effects), *sync_waits.define(client)]
    inngest.flask.serve(app, client, functions)
    app.run(host=HOST, port=port, threaded=True)


def fastapi_app(kind: str, port: int, effects: Effects) -> None:
    """Serve with FastAPI until killed."""
    import fastapi
    import inngest.fast_api
    import uvicorn

    client = _client(kind)
    app = fastapi.FastAPI()
    functions = [*async_functions.define(client, effects), *async_waits.define(client)]
    inngest.fast_api.serve(app, client, functions)
    uvicorn.run(app, host=HOST, port=port, log_level="warning")


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    serve = {"flask": flask_app, "fastapi": fastapi_app}[sys.argv[1].split("-")[1]]
    serve(sys.argv[1], int(sys.argv[2]), Effects(os.environ["EFFECTS"]))
