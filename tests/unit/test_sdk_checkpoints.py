"""Checkpointing's options are checked, and versions of the SDK that do not fit are left alone."""

import json
import os
import shutil
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import flask
import inngest
import inngest.flask
import pytest

import inngest_py.sdk
from inngest_py.sdk.checkpoints import dispatches, options
from tests.processes import ROOT

_PATH = "/api/inngest?fnId=app-f&stepId=step"
_EVENT = {"name": "e", "data": {}}
# the first request of a run whose steps may be checkpointed
_REQUEST = {
    "ctx": {
        "attempt": 0,
        "disable_immediate_execution": False,
        "run_id": "r",
        "fn_id": "f",
        "qi_id": "q",
        "stack": {"stack": []},
    },
    "event": _EVENT,
    "events": [_EVENT],
    "steps": {},
    "use_api": False,
}
# an app that is called once, at a run whose steps could be checkpointed
_CALLED = """
import json, logging, sys
import flask, inngest, inngest.flask
import inngest_py.sdk

logging.basicConfig(level=logging.WARNING)
client = inngest.Inngest(
    app_id="app", is_production=False, middleware=[inngest_py.sdk.checkpointing()]
)
@client.create_function(fn_id="f", trigger=inngest.TriggerEvent(event="e"))
def f(ctx: inngest.ContextSync) -> int:
    return ctx.step.run("a", lambda: 1)

app = flask.Flask(__name__)
inngest.flask.serve(app, client, [f])
for _ in range(2):
    answer = app.test_client().post(sys.argv[1], json=json.loads(sys.argv[2]))
    print(answer.status_code, json.dumps(answer.json[0]["data"]))
"""


def ran(script: str, sdk: Path) -> "subprocess.CompletedProcess[str]":
    """Run an app, with the SDK of a folder, that sends itself the request."""
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script, _PATH, json.dumps(_REQUEST)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(sdk)},
    )


def test_a_version_without_what_is_needed_runs_as_before(tmp_path: Path) -> None:
    """The installed SDK, in which one internal class has another name."""
    installed = Path(inngest.__file__).parent
    shutil.copytree(installed, tmp_path / "inngest")
    for file in (tmp_path / "inngest").rglob("*.py"):
        file.write_text(file.read_text().replace("ResponseInterrupt", "AnswerInterrupt"))
    done = ran(_CALLED, tmp_path)
    assert done.stdout == "206 1\n206 1\n", done.stderr
    assert done.stderr.count("Checkpointing is off") == 1, done.stderr
    assert "cannot import name 'ResponseInterrupt' from" in done.stderr


# what 0.5.20 has in place of `_in_step`, and how it keeps what steps defer
_NEWER = """
import contextvars
current_step = contextvars.ContextVar("inngest_step", default=None)
"""
_DEFERRING = """
import json, sys
import flask, inngest, inngest.flask
import inngest_py.sdk
from inngest_py.sdk import internals

client = inngest.Inngest(
    app_id="app", is_production=False, middleware=[inngest_py.sdk.checkpointing(buffered_steps=9)]
)
@client.create_function(fn_id="f", trigger=inngest.TriggerEvent(event="e"))
def f(ctx: inngest.ContextSync) -> bool:
    inside = ctx.step.run("in", lambda: bool(internals.in_step.get()))
    ctx.step.run("defer", lambda: vars(ctx).update(_defer_ops={"a": 1}))
    return ctx.step.run("after", lambda: inside)

app = flask.Flask(__name__)
inngest.flask.serve(app, client, [f])
answer = app.test_client().post(sys.argv[1], json=json.loads(sys.argv[2]))
print([(one["displayName"], one["data"]) for one in answer.json])
"""


def test_the_next_version_says_otherwise_what_step_is_under_way(tmp_path: Path) -> None:
    """The installed SDK with what has changed in 0.5.20; a step that defers is answered."""
    shutil.copytree(Path(inngest.__file__).parent, tmp_path / "inngest")
    internal = tmp_path / "inngest" / "_internal"
    if (internal / "run_context.py").exists():
        pytest.skip("this version is installed: the tests of the SDK have tried it")
    (internal / "run_context.py").write_text(_NEWER)
    models = internal / "execution_lib" / "models.py"
    text = models.read_text().replace(
        '_in_step = contextvars.ContextVar("in_step", default=False)',
        "from inngest._internal.run_context import current_step",
    )
    models.write_text(text.replace("_in_step.", "current_step."))
    done = ran(_DEFERRING, tmp_path)
    assert done.stdout == "[('in', True), ('defer', None)]\n", done.stderr


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the SDK's own use of pydantic
def test_the_log_says_what_of_a_result_is_not_json(caplog: pytest.LogCaptureFixture) -> None:
    client = inngest.Inngest(
        app_id="app", is_production=False, middleware=[inngest_py.sdk.checkpointing()]
    )

    @client.create_function(fn_id="f", trigger=inngest.TriggerEvent(event="e"))
    def function(ctx: inngest.ContextSync) -> Any:
        return ctx.step.run("thing", lambda: {"a": [1, {2}]})

    app = flask.Flask("app")
    inngest.flask.serve(app, client, [function])
    answer = app.test_client().post(_PATH, json=_REQUEST)
    assert answer.json["message"] == '"thing" returned unserializable data'
    assert 'step "thing": result.a[1] is a set, which JSON has not' in caplog.text


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"enabled": 1}, "enabled must be True or False, not 1"),
        ({"buffered_steps": 0}, "buffered_steps must be a whole number of steps, 1 or more, not 0"),
        ({"buffered_steps": True}, "buffered_steps must be a whole number"),
        ({"buffered_steps": 2.5}, "buffered_steps must be a whole number"),
        ({"max_interval": -1}, "max_interval must be 0"),
        ({"max_interval": "5s"}, "max_interval must be a timedelta or milliseconds, not '5s'"),
        ({"max_runtime": float("nan")}, "max_runtime must be 0"),
        ({"max_runtime": timedelta(seconds=-1)}, "max_runtime must be 0"),
    ],
)
def test_wrong_options_are_named(given: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        inngest_py.sdk.checkpointing(**given)


def test_times_are_milliseconds_or_timedeltas() -> None:
    assert options.read(True, 3, 250, timedelta(minutes=1)) == options.Options(True, 3, 0.25, 60.0)


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{", b'{"ctx": 1}', b'{"ctx": {}}', b'{"ctx": {"fn_id": "f", "qi_id": ""}}'],
)
def test_requests_without_a_dispatch_are_none(body: bytes) -> None:
    class Request:
        def __init__(self) -> None:
            self.body = body

    assert dispatches.read(Request()) is None
    assert dispatches.read(None) is None


def test_a_dispatch_is_read() -> None:
    class Request:
        body = json.dumps({"ctx": {"fn_id": "f", "qi_id": "q", "generation_id": 2}}).encode()

    assert dispatches.read(Request()) == dispatches.Dispatch("f", "q", 2, None)


def test_an_unknown_name_of_the_package_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'chekpointing'"):
        inngest_py.sdk.chekpointing  # type: ignore[attr-defined]  # noqa: B018
