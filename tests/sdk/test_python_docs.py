"""The code in docs/patterns.md, and of the steps in docs/python.md, does what the pages say."""

import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import inngest
import pytest
import requests
from flask import Flask
from werkzeug.serving import make_server

from tests.processes import LOOPBACK, ROOT, Server, wait_until
from tests.provider import Answer, Provider, Received

from .client import Api

pytestmark = [
    # the SDK's own use of pydantic warns
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.parametrize("server", ["embedded"], indirect=True),
]


def _blocks(text: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


class _Supplier:
    """The API of the page: busy at first, and its job takes two questions."""

    def __init__(self) -> None:
        self.asked = 0
        self.busy = True

    def __call__(self, got: Received) -> Answer:
        if got.path == "/rates":
            return Answer(body=b'{"EUR": 1.5}')
        if got.path == "/orders" and self.busy:
            self.busy = False
            return Answer(429, headers={"retry-after": "1"})
        if got.path == "/orders":
            return Answer(body=json.dumps({"number": len(json.loads(got.body)["part"])}).encode())
        if got.path == "/jobs":
            return Answer(body=b'{"id": 7}')
        self.asked += 1
        return Answer(body=json.dumps({"done": self.asked > 1, "result": "film"}).encode())


@pytest.fixture(scope="module")
def supplier() -> Iterator[str]:
    with Provider(_Supplier()) as provider:
        yield provider.url


class Page:
    """The code of a page as an app that is served and registered."""

    def __init__(self, server: Server, text: str) -> None:
        self.names: dict[str, Any] = {"__name__": "page"}
        for code in _blocks(text):
            exec(compile(code, "page.md", "exec"), self.names)
        self.api, self._client = Api(server.url), self.names["client"]
        app = self.names.setdefault("app", Flask("page"))
        made = [one for one in self.names.values() if isinstance(one, inngest.Function)]
        from inngest import flask  # warns

        flask.serve(app, self._client, made)
        self._http = make_server(LOOPBACK, 0, app, threaded=True)
        threading.Thread(target=self._http.serve_forever, daemon=True).start()
        self.url = f"http://{LOOPBACK}:{self._http.port}"
        reply = requests.put(f"{self.url}/api/inngest", timeout=20)
        assert reply.ok, reply.text

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._client._http_client._http_client_sync.close()

    def output(self, event: str, **data: Any) -> Any:
        """What the run ends with that the event starts."""
        return self.ended(self.api.send(event, data))

    def ended(self, event_id: str) -> Any:
        run = self.api.run(event_id)
        assert run["status"] == "Completed", run
        return run["output"]

    def failed(self, event: str, **data: Any) -> Any:
        run = self.api.run(self.api.send(event, data))
        assert run["status"] == "Failed", run
        return run["output"]["message"]

    def run_id(self, event_id: str) -> str:
        runs = wait_until(lambda: self.api.runs(event_id), 20, "the run has begun")
        return str(runs[0]["run_id"])

    def signal(self, name: str, data: Any) -> None:
        """Send a signal as soon as a run waits for it."""
        body = {"signal": name, "data": data}
        wait_until(
            lambda: requests.post(f"{self.api.url}/v1/signals", json=body, timeout=10).ok,
            20,
            "the signal was taken",
        )


def _page(server: Server, text: str, monkeypatch: pytest.MonkeyPatch) -> Page:
    monkeypatch.setenv("INNGEST_DEV", server.url)
    return Page(server, text)


@pytest.fixture
def page(
    server: Server, supplier: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[Page]:
    """The page of patterns, or the section of steps of the page of Python."""
    monkeypatch.setenv("SUPPLIER_API", supplier)
    name, section = request.param
    text = Path(ROOT, "docs", name).read_text()
    if section:
        text = text.split(f"\n## {section}\n", 1)[1].split("\n## ", 1)[0]
    made = _page(server, text, monkeypatch)
    yield made
    made.close()


@pytest.mark.parametrize("page", [("python.md", "No round trip a step")], indirect=True)
def test_a_run_of_a_hundred_steps_is_one_call(page: Page) -> None:
    calls, served = [], page.names["app"].wsgi_app

    def counted(environ: dict[str, Any], start: Any) -> Any:
        calls.append(environ["REQUEST_METHOD"])
        return served(environ, start)

    page.names["app"].wsgi_app = counted
    assert page.output("shop/ordered") == [number * 2 for number in range(100)]
    assert calls.count("POST") == 1


@pytest.mark.parametrize("page", [("python.md", "Steps that the SDK lacks")], indirect=True)
def test_steps(page: Page, supplier: str) -> None:
    packed = page.api.send("shop/order.paid", {"order": "o-1"})
    closed = page.api.send("shop/order.closed", {"order": "o-2"})
    page.signal("packed/o-1", {"by": "ann"})
    assert page.ended(packed) == {"by": "ann"}
    assert page.output("shop/cart.filled") == "mailed"
    assert page.output("shop/charge") is True
    assert page.output("shop/convert", rates_url=f"{supplier}/rates") == {"EUR": 1.5}
    assert page.output("shop/photos.added", photos=["b", "a", "b"]) == [
        "small b",
        "small a",
        "small b",
    ]
    assert page.output("shop/order.packed", order="o-3") == "late"
    assert page.failed("shop/trip.booked") == "no room left"
    assert page.ended(closed) is None
    url = f"{page.api.url}/v2/runs/{page.run_id(closed)}/trace"
    [note] = requests.get(url, timeout=10).json()["data"]["rootSpan"]["metadata"]
    assert note["values"] == {"boxes": 2}
    thanked = wait_until(lambda: _runs_of(page, "thank"), 20, "the deferred function ran")
    assert [run["output"] for run in thanked] == ['"thanks for order o-2"']


def _runs_of(page: Page, function: str) -> list[dict[str, Any]]:
    query = """{ runs(filter: {from: "2020-01-01T00:00:00Z"}, orderBy: []) {
        edges { node { status output function { slug } } } } }"""
    edges = page.api.gql(query)["edges"]
    return [
        edge["node"]
        for edge in edges
        if edge["node"]["function"]["slug"].endswith(f"-{function}")
        and edge["node"]["status"] == "COMPLETED"
    ]


@pytest.mark.parametrize("page", [("patterns.md", None)], indirect=True)
def test_patterns(page: Page) -> None:
    refund = page.api.send("refund/wanted")
    refused, parts = page.api.send("refund/wanted"), ["bolt", "nut", "washer"]
    ordered = page.api.send("parts/wanted", {"parts": parts})
    assert requests.post(f"{page.url}/refunds/{page.run_id(refund)}/yes", timeout=10).ok
    assert requests.post(f"{page.url}/refunds/{page.run_id(refused)}/no", timeout=10).ok
    assert page.failed("trip/wanted", price=5000) == "too expensive"
    assert page.names["reservations"] == set()
    assert page.output("trip/wanted", price=500) == {"flight": "flight", "hotel": "hotel"}
    assert page.names["reservations"] == {"flight", "hotel"}
    assert page.output("month/ended") == 5 * len("customer 1")
    assert page.output("news/written") == 3
    assert page.output("report/wanted") == 4
    assert page.output("report/wanted") == 0
    assert page.output("film/cut") == "film"
    assert page.ended(refund) == "paid"
    assert page.ended(refused) == "refused"
    assert page.ended(ordered) == [len(part) for part in parts]
