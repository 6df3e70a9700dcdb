"""Send Celery tasks and canvases as durable runs, from a Celery app's own code.

    from inngest_py import canvas

    run = canvas.send(chain(fetch.s(url), parse.s()), idempotency_key=f"page-{url}")
    run.result(timeout=60)

It needs only Celery and requests: neither the server nor its database is imported. The server is
found by INNGEST_BASE_URL. INNGEST_API_TOKEN, or else INNGEST_SIGNING_KEY, says who asks.
"""

import json
import os
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import requests
from kombu.utils.json import dumps

from .domain.access import signatures
from .domain.errors import Invalid

DEFAULT_URL = "http://127.0.0.1:8288"
_TIMEOUT = 30.0
_AWAY_SECONDS = 60.0
_AWAY = (502, 503, 504)  # of a proxy, or of a server whose database is away
_OTHER_SERVER = "is no address of this server: set INNGEST_BASE_URL to it"
_ENDED = frozenset({"completed", "failed", "cancelled", "skipped"})
_NO_KEY = "set INNGEST_API_TOKEN, or INNGEST_SIGNING_KEY to the server's signing key"
# a short task's result is not held up by much more than its own time
_FIRST_PAUSE, _LONGEST_PAUSE, _GROWTH = 0.005, 1.0, 1.5
_Json = dict[str, Any]  # the data of an answer


class CanvasError(Exception):
    """The server cannot be reached, or refuses what was asked; says why."""


class ServerAway(CanvasError):
    """The server does not answer now, as while it restarts: send again, with an idempotency_key."""


class RunFailed(CanvasError):
    """A run ended without a result.

    `error` has the exception's name, message and stack, as its worker told them; `step` is the task
    that has failed, None for a run that was cancelled or skipped.
    """

    def __init__(
        self, run_id: str, status: str, error: dict[str, object], step: str | None = None
    ) -> None:
        where = "" if step is None else f" at step {step!r}"
        told = ": ".join(str(error[key]) for key in ("name", "message") if error.get(key))
        super().__init__(f"run {run_id} is {status}{where}" + (f": {told}" if told else ""))
        self.run_id, self.status, self.error, self.step = run_id, status, error, step


@dataclass(frozen=True, slots=True)
class Run:
    """A run that was started; it can be asked for from any process by its id."""

    run_id: str
    url: str = ""

    def status(self) -> str:
        """Ask for the run's status: queued, running, completed, failed, cancelled or skipped."""
        return str(self._read()["status"])

    def result(self, timeout: float | None = None) -> object:
        """Wait for the run's end and return its output.

        `timeout` is in seconds, None waits without end. Raises RunFailed for a run that ended
        without a result, TimeoutError when it has not ended in time. A server that restarts is
        waited for, up to a minute; then ServerAway says that it does not answer.
        """
        begun = heard = time.monotonic()
        pause = _FIRST_PAUSE
        with requests.Session() as session:  # keeps its connection for the next look
            while True:
                problem: Exception
                try:
                    found = self._read(session)
                    if found["status"] in _ENDED:
                        break
                    heard = time.monotonic()
                    problem = TimeoutError(
                        f"run {self.run_id} is {found['status']} after {timeout} s"
                    )
                except ServerAway as away:
                    problem = away
                    if time.monotonic() - heard > _AWAY_SECONDS:
                        raise
                left = pause if timeout is None else min(pause, begun + timeout - time.monotonic())
                if left <= 0:
                    raise problem
                time.sleep(left)
                pause = min(_GROWTH * pause, _LONGEST_PAUSE)
        if found["status"] != "completed":
            output = found["output"] if isinstance(found["output"], dict) else {}
            error = output.get("error") or output
            raise RunFailed(self.run_id, found["status"], error, _failed_step(found))
        return found["output"]

    def cancel(self, *, terminate: bool = False) -> None:
        """Cancel the run; tasks that have not begun are revoked. An ended run stays as it is.

        With `terminate` tasks that run are killed, which only workers of the pool prefork can do.
        """
        query = "?terminate=true" if terminate else ""
        _call("DELETE", f"{_base(self.url)}/api/v1/runs/{self.run_id}{query}")

    def _read(self, session: requests.Session | None = None) -> _Json:
        return _call("GET", f"{_base(self.url)}/api/v1/runs/{self.run_id}", session=session)


def _failed_step(run: _Json) -> str | None:
    """Name the task whose failure ended a run; its errbacks come after it."""
    failed = (one for one in run["attempts"] if one["status"] == "failed" and one["step"])
    return next((str(one["name"]) for one in failed), None)


def send(
    signature: object,
    *,
    app: str | None = None,
    id: str | None = None,
    idempotency_key: str | None = None,
    url: str = "",
) -> Run:
    """Start a task or a canvas as a run of a connected Celery app.

    `signature` is Celery's, such as `charge.s("A1")` or a chain. `app` is the name under which the
    app is connected; without it, that of the Celery app of the signature. `id` is the id of
    the run's event. A second send with the same `id` or `idempotency_key` within 24 hours starts
    nothing and returns the first one's run; with another signature it raises CanvasError.
    """
    if not isinstance(signature, dict):  # Celery's signatures are
        raise CanvasError("the signature must be Celery's, such as charge.s('A1') or a chain")
    name = app or getattr(getattr(signature, "app", None), "main", None)
    if not name:
        raise CanvasError("app is missing: name the connected Celery app, such as app='shop'")
    given = {"id": id, "idempotency_key": idempotency_key}
    body: dict[str, object] = {"signature": _as_json(signature)}
    body |= {key: value for key, value in given.items() if value is not None}
    found = _call("POST", f"{_base(url)}/v1/celery/{quote(name, safe='')}/runs", body)
    return Run(str(found["run_id"]), url)


def _as_json(signature: object) -> object:
    """Write a signature as Celery does. Raises CanvasError for arguments that have no JSON."""
    try:
        text = dumps(signature, allow_nan=False)  # type: ignore[no-untyped-call]
        return json.loads(text)
    except RecursionError as error:
        raise CanvasError("the signature is nested too deep: make it flatter") from error
    except (TypeError, ValueError) as error:
        text = f"the signature cannot be written as JSON: {error}: change its arguments"
        raise CanvasError(text) from error


def _base(url: str) -> str:
    return (url or os.environ.get("INNGEST_BASE_URL") or DEFAULT_URL).rstrip("/")


def _call(
    method: str, url: str, body: object = None, session: requests.Session | None = None
) -> _Json:
    headers = _authorization()
    try:
        request = requests.request if session is None else session.request
        answer = request(method, url, json=body, headers=headers, timeout=_TIMEOUT)
    except requests.RequestException as error:
        away = isinstance(error, requests.ConnectionError | requests.Timeout)
        raise (ServerAway if away else CanvasError)(f"{url} {_problem(error)}") from error
    return _data(url, answer)


def _data(url: str, answer: requests.Response) -> _Json:
    """Read the data of an answer. Raises CanvasError for a refusal."""
    try:
        found = answer.json()
    except requests.JSONDecodeError:
        found = None  # of a proxy, of another server, or for a caller without a key
    told = found if isinstance(found, dict) else {}
    status, said = answer.status_code, told.get("error")
    if status == 401:
        raise CanvasError(f"{url} refuses this caller (401): {said or _NO_KEY}")
    if status in _AWAY:
        raise ServerAway(
            f"{url} is away ({status}): {said or 'send again, with an idempotency_key'}"
        )
    if status >= 400 and said:
        raise CanvasError(str(said))
    data = told.get("data")
    if not isinstance(data, dict):
        raise CanvasError(f"{url} {_OTHER_SERVER}")
    return data


def _authorization() -> dict[str, str]:
    token, key = os.environ.get("INNGEST_API_TOKEN"), os.environ.get("INNGEST_SIGNING_KEY")
    if token:
        return {"Authorization": f"Bearer {token.strip()}"}
    try:
        return {"Authorization": f"Bearer {signatures.bearer(key)}"} if key else {}
    except Invalid as error:
        raise CanvasError(f"INNGEST_SIGNING_KEY: {error.message}") from None


def _problem(error: requests.RequestException) -> str:
    """Say why a call has no usable answer, with the fix."""
    kinds = requests.exceptions
    if isinstance(error, kinds.MissingSchema | kinds.InvalidSchema | kinds.InvalidURL):
        return "is no URL of a server: set INNGEST_BASE_URL to one such as http://127.0.0.1:8288"
    if isinstance(error, kinds.Timeout):
        return f"has not answered within {_TIMEOUT:g} s: send again, with an idempotency_key"
    return f"does not answer ({type(error).__name__}): set INNGEST_BASE_URL to the server"
