"""The client of Celery apps: what it says of bad signatures, keys and addresses."""

import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from celery import Celery

from inngest_py import canvas
from inngest_py.domain.access import signatures

app = Celery("shop", set_as_current=False)


@app.task(name="shop.add", shared=False)
def add(a: object, b: object) -> object: ...


@pytest.mark.parametrize(
    ("argument", "problem"),
    [
        (float("nan"), "Out of range float values"),
        ({1, 2}, "Object of type set is not JSON serializable"),
        ({(1, 2): 3}, "keys must be str"),
    ],
)
def test_argument_that_has_no_json_is_named(argument: object, problem: str) -> None:
    with pytest.raises(canvas.CanvasError, match=f"cannot be written as JSON: {problem}"):
        canvas.send(add.s(argument, 1), url="http://127.0.0.1:1")


def test_signature_that_is_nested_too_deep_is_named() -> None:
    nested: object = {"task": "shop.add"}
    for _ in range(5000):
        nested = {"task": "celery.group", "kwargs": {"tasks": [nested]}}
    with pytest.raises(canvas.CanvasError, match="nested too deep: make it flatter"):
        canvas.send(nested, app="shop", url="http://127.0.0.1:1")


@pytest.mark.parametrize("given", [add, add.delay, "shop.add", None, [add.s(1, 1)]])
def test_what_is_no_signature_is_said(given: object) -> None:
    with pytest.raises(canvas.CanvasError, match=r"must be Celery's, such as charge\.s"):
        canvas.send(given, app="shop", url="http://127.0.0.1:1")


@pytest.mark.parametrize("url", ["127.0.0.1:8288", "localhost", "http://"])
def test_address_that_is_no_url_is_named(url: str) -> None:
    with pytest.raises(canvas.CanvasError, match="is no URL of a server: set INNGEST_BASE_URL"):
        canvas.send(add.s(1, 1), url=url)


def test_bad_signing_key_is_named_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INNGEST_SIGNING_KEY", "hidden-word")
    with pytest.raises(canvas.CanvasError, match=r"INNGEST_SIGNING_KEY: .* hex") as found:
        canvas.send(add.s(1, 1), url="http://127.0.0.1:1")
    assert "hidden-word" not in str(found.value)


class _Other(BaseHTTPRequestHandler):
    """A server of another kind, which notes who asks."""

    def __init__(self, answers: list[bytes | None], asked: list[str | None], *args: object) -> None:
        self.answers, self.asked = answers, asked
        super().__init__(*args)  # type: ignore[arg-type]

    def do_POST(self) -> None:
        """Give the next answer; None is none, and empty that of a proxy whose server is away."""
        self.asked.append(self.headers["Authorization"])
        answer = self.answers.pop(0)
        if answer is not None:
            self.send_response(200 if answer else 503)
            self.end_headers()
            self.wfile.write(answer)

    do_GET = do_POST  # noqa: N815 - the name is that of the base class

    def log_message(self, *_: object) -> None:
        """Stay silent."""


@pytest.fixture
def asked() -> list[str | None]:
    return []


@pytest.fixture
def answers() -> list[bytes | None]:
    return []


@pytest.fixture
def other(answers: list[bytes | None], asked: list[str | None]) -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), partial(_Other, answers, asked)) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize("answer", [b"<html>", b"[]", b'{"ok": true}', b'{"data": null}'])
def test_server_of_another_kind_is_named(
    other: str, answers: list[bytes | None], answer: bytes
) -> None:
    answers.append(answer)
    with pytest.raises(canvas.CanvasError, match="is no address of this server"):
        canvas.send(add.s(1, 1), url=other)


def test_api_token_goes_before_the_signing_key(
    monkeypatch: pytest.MonkeyPatch,
    other: str,
    answers: list[bytes | None],
    asked: list[str | None],
) -> None:
    answers += [b'{"data": {"run_id": "01J"}}'] * 3
    canvas.send(add.s(1, 1), url=other)
    monkeypatch.setenv("INNGEST_SIGNING_KEY", "00")
    canvas.send(add.s(1, 1), url=other)
    monkeypatch.setenv("INNGEST_API_TOKEN", "ipt_word\n")
    canvas.send(add.s(1, 1), url=other)
    assert asked == [None, f"Bearer {signatures.bearer('00')}", "Bearer ipt_word"]


def test_result_outlasts_a_restart_of_the_server(other: str, answers: list[bytes | None]) -> None:
    running, ended = (
        f'{{"data": {{"status": "{status}", "output": 3}}}}'.encode()
        for status in ("running", "completed")
    )
    answers += [None, running, b"", None, running, ended]
    assert canvas.Run("01J", other).result(timeout=30) == 3
    assert answers == []
    answers += [running] * 99
    with pytest.raises(TimeoutError, match=r"run 01J is running after 0\.05 s"):
        canvas.Run("01J", other).result(timeout=0.05)


def test_server_that_stays_away_is_told_at_the_deadline() -> None:
    with pytest.raises(canvas.ServerAway, match="does not answer"):
        canvas.Run("01J", "http://127.0.0.1:1").result(timeout=0.05)


def test_send_to_a_server_that_is_away_says_what_to_do(
    other: str, answers: list[bytes | None]
) -> None:
    answers.append(b"")
    with pytest.raises(
        canvas.ServerAway, match=r"away \(503\): send again, with an idempotency_key"
    ):
        canvas.send(add.s(1, 1), url=other)
