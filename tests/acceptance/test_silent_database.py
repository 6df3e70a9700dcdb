"""An API whose database hangs answers in time, and says what is wrong."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from flask import Flask

from inngest_py.api.app import REQUEST_SECONDS
from inngest_py.dashboard.app import blueprint
from tests.processes import Server, wait_until
from tests.servers import Postgres

REQUESTS = 400
HEALTH, METRICS, EVENTS = 2.0, 5.0, 15.0  # seconds, as documented in operating.md
SLACK = 2.0  # of a loaded machine
ULID = "01JD0000000000000000000000"
# a stream, which waits for news, and a page that shows a dev server's viewer alone
STREAM, ACCOUNT = "/ui/live", "/account"
CLOCK = "/clock"  # of servers with a virtual clock alone
USER = "/users/edit"  # of the user whom its query names
QUESTION = "/operations/new"  # says what it would do to the runs that its query chooses


@pytest.fixture
def frozen(tmp_path: Path) -> Iterator[tuple[Postgres, Server]]:
    """An API that was in use, on a PostgreSQL that this test may stop."""
    postgres = Postgres(durable=False).start()
    env = {"DATABASE_URL": postgres.url(), "INNGEST_DEV": "1"}
    try:
        with Server("api", log=tmp_path / "api.log", env=env) as api:
            api.start()
            assert send(api)[0] == 200
            postgres.suspend()
            yield postgres, api
    finally:
        postgres.resume()
        postgres.close()


def took(api: Server, path: str) -> tuple[int, str, float]:
    """Ask the API; give status, body and seconds."""
    begun = time.monotonic()
    answered = requests.get(f"{api.url}{path}", timeout=60)
    return answered.status_code, answered.text, time.monotonic() - begun


def send(api: Server) -> tuple[int, float]:
    """Send an event; give status and seconds."""
    begun = time.monotonic()
    answered = requests.post(f"{api.url}/e/key", json={"name": "a/b"}, timeout=120)
    return answered.status_code, time.monotonic() - begun


def test_api_answers_in_time_while_its_database_hangs(
    frozen: tuple[Postgres, Server],
) -> None:
    """Slow: each answer comes as late as its limit allows."""
    postgres, api = frozen
    for _ in range(3):
        status, body, seconds = took(api, "/health")
        assert (status, seconds < HEALTH + SLACK) == (503, True), seconds
        assert "does not answer" in body
    status, body, seconds = took(api, "/metrics")
    assert (status, seconds < METRICS + SLACK) == (200, True), seconds
    assert "inngest_database_up 0.0" in body
    with ThreadPoolExecutor(REQUESTS) as pool:
        sent = list(pool.map(lambda _: send(api), range(REQUESTS)))
    assert {status for status, _ in sent} == {503}
    assert max(seconds for _, seconds in sent) < EVENTS + SLACK
    postgres.resume()
    wait_until(lambda: took(api, "/health")[0] == 200, 30, "health")
    assert send(api)[0] == 200


def pages() -> list[str]:
    """Give an address of every page of the dashboard that shows what is stored."""
    app = Flask(__name__)
    app.register_blueprint(blueprint)
    with app.test_request_context() as request:
        found = [
            request.url_adapter.build(
                rule.endpoint, dict.fromkeys(rule.arguments, ULID) | {"kind": "csv"}
            )
            for rule in app.url_map.iter_rules()
            if "GET" in (rule.methods or ()) and "filename" not in rule.arguments
        ]
    paths = {path.partition("?")[0] for path in found} - {STREAM, ACCOUNT, CLOCK, QUESTION}
    paths = {f"{USER}?name=ann" if path == USER else path for path in paths}
    return sorted({*paths, f"{QUESTION}?kind=rerun&status=failed"})


def test_each_page_says_in_time_that_the_database_stands_still(
    frozen: tuple[Postgres, Server],
) -> None:
    """Slow: each answer comes as late as its bound allows."""
    postgres, api = frozen
    paths = pages()
    assert {"/", "/runs", f"/runs/{ULID}", "/queues", "/audit"} <= set(paths)
    with ThreadPoolExecutor(len(paths)) as pool:
        answers = list(pool.map(lambda path: took(api, path), paths))
    for path, (status, body, seconds) in zip(paths, answers, strict=True):
        assert (status, seconds < REQUEST_SECONDS + SLACK) == (503, True), (path, status, seconds)
        assert "the database does not answer" in body, path
        assert "<title>" in body, path
        assert "Traceback" not in body, path
    status, _, seconds = took(api, ACCOUNT)
    assert (status, seconds < SLACK) == (200, True), seconds
    postgres.resume()
    wait_until(lambda: took(api, "/health")[0] == 200, 30, "health")
    assert {took(api, path)[0] for path in paths} <= {200, 204, 404}
