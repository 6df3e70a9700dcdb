"""The API as Flask serves it, over SQLite and over PostgreSQL."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.serving import make_server

from inngest_py.api.app import create_app
from inngest_py.config import Settings
from inngest_py.storage.db.session import Database
from tests.databases import copied
from tests.engine.harness import Engine, sequence
from tests.processes import LOOPBACK


class Service:
    """An engine with its API."""

    def __init__(self, db: Database, **settings: Any) -> None:
        self.engine = Engine(db, sequence("one", "two"))
        self.settings = Settings(dev=True, database_url=str(db.url))
        self.client = self.with_settings(**settings)

    def with_settings(self, **changes: Any) -> FlaskClient:
        """Make a client of the same engine under other settings."""
        app = create_app(replace(self.settings, **changes), self.engine.ctx)
        self.app = app
        return app.test_client()

    def send(self, payload: Any, **options: Any) -> Any:
        """Post JSON to /e; return its answer."""
        return self.client.post("/e/key", json=payload, **options)

    def function_of(self, app: str, slug: str) -> Any:
        """Find a function as /v1 lists it."""
        listed = self.client.get(f"/v1/apps/{app}/functions").json
        return next(item for item in listed if item["id"] == slug)


@pytest.fixture
def service(db: Database) -> Service:
    """A dev server with one app of one function, which runs on a/b."""
    return Service(db)


@contextmanager
def serving(app: Flask) -> Iterator[str]:
    """Serve an API over HTTP; give its URL."""
    server = make_server(LOOPBACK, 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://{LOOPBACK}:{server.port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def served(service: Service) -> Iterator[str]:
    """Serve the API over HTTP, for the command line; return its URL."""
    with serving(service.app) as url:
        yield url


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def lasting(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """A dev server that the tests of a module share."""
    with copied(request, request.param, tmp_path_factory.mktemp("api")) as made:
        yield Service(made, test_api=True)
