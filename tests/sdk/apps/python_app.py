"""The Python SDK app: `python -m tests.sdk.apps.python_app flask|fastapi PORT`.

Flask serves the blocking functions, FastAPI the asyncio ones; EFFECTS names the effects log.
"""

import logging
import os
import sys

import inngest

from . import async_functions, async_waits, sync_functions, sync_waits
from .effects import Effects

HOST = "127.0.0.1"


def _client(framework: str) -> inngest.Inngest:
    return inngest.Inngest(app_id=f"python-{framework}", logger=logging.getLogger("sdk"))


def flask_app(port: int, effects: Effects) -> None:
    """Serve with Flask until killed."""
    import flask
    import inngest.flask

    client = _client("flask")
    app = flask.Flask(__name__)
    functions = [*sync_functions.define(client, effects), *sync_waits.define(client)]
    inngest.flask.serve(app, client, functions)
    app.run(host=HOST, port=port, threaded=True)


def fastapi_app(port: int, effects: Effects) -> None:
    """Serve with FastAPI until killed."""
    import fastapi
    import inngest.fast_api
    import uvicorn

    client = _client("fastapi")
    app = fastapi.FastAPI()
    functions = [*async_functions.define(client, effects), *async_waits.define(client)]
    inngest.fast_api.serve(app, client, functions)
    uvicorn.run(app, host=HOST, port=port, log_level="warning")


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    serve = {"flask": flask_app, "fastapi": fastapi_app}[sys.argv[1]]
    serve(int(sys.argv[2]), Effects(os.environ["EFFECTS"]))
