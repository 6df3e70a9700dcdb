"""The JSON Schema of `celery_apps:` agrees with what the config file's reader takes."""

import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from click.testing import CliRunner

from inngest_py import yaml_reading
from inngest_py.api.native.config_schema import schema
from inngest_py.cli import cli
from inngest_py.config_reading import load
from inngest_py.domain.errors import Invalid
from inngest_py.domain.functions import task_settings, workflow_settings
from tests.processes import ROOT
from tests.unit.test_declared_apps import GOOD, SHOWN

FILE = ROOT / "docs" / "inngest.schema.json"
CHECK = jsonschema_rs.validator_for(schema())
APP = {"broker": "redis://host:1/0"}
ALL: dict[str, Any] = {
    "on": [{"event": "a/b", "if": "event.data.x"}, {"cron": "0 6 * * *", "jitter": "1m"}],
    "retries": 3,
    "backoff": {"initial": "5s", "factor": 2, "maximum": "10m", "jitter": 0.2},
    "timeout": "30m",
    "on_lost": "fail",
    "queue": "slow",
    "concurrency": {"limit": 2, "key": "event.data.x", "scope": "env"},
    "throttle": {"limit": 5, "period": "1m", "burst": 2, "key": "event.data.x"},
    "rateLimit": {"limit": 5, "period": "1m"},
    "debounce": {"period": "10s", "timeout": "5m"},
    "priority": {"run": "event.data.vip ? 60 : 0"},
    "singleton": {"mode": "skip"},
    "timeouts": {"start": "10m", "finish": "1h"},
    "cancelOn": [{"event": "a/c", "timeout": "1h"}],
}
ENTRIES: list[Any] = [
    "shop.a",
    {"task": "shop.b", "name": "b", "args": "[result]", "kwargs": '{"x": 1}', "when": True},
    {"task": "shop.c", "queue": "q", "countdown": 1.5, "expires": 60, "priority": 3},
    {"task": "shop.d", "time_limit": 60, "soft_time_limit": 50},
    {"group": ["shop.e", {"sequence": ["shop.f"], "when": "result"}], "name": "g", "when": "true"},
    {"BOTH": {"type": "group", "tasks": ["shop.h", {"C": {"type": "chain", "tasks": ["shop.i"]}}]}},
]


def taken(app: dict[str, Any], folder: Path) -> bool:
    """Whether the reader takes an app of the file."""
    file = folder / "inngest.yaml"
    file.write_text(json.dumps({"celery_apps": {"shop": APP | app}}))
    try:
        return not load({}, {}, file).errors()
    except Invalid:
        return False


def valid(app: dict[str, Any]) -> bool:
    return bool(CHECK.is_valid({"celery_apps": {"shop": APP | app}}))


def test_schema_in_the_documents_is_the_one_that_the_command_prints() -> None:
    done = CliRunner().invoke(cli, ["celery", "schema"])
    assert (done.exit_code, json.loads(done.output)) == (0, schema())
    written = json.dumps(schema(), indent=2) + "\n"
    assert written == FILE.read_text(), "write it anew: inngest-py celery schema"


@pytest.mark.parametrize("text", [*SHOWN, GOOD], ids=range(len(SHOWN) + 1))
def test_examples_are_valid(text: str) -> None:
    CHECK.validate(yaml_reading.load(text))


def test_schema_knows_every_setting() -> None:
    shop = schema()["properties"]["celery_apps"]["anyOf"][0]["additionalProperties"]["properties"]
    tasks, flows = (
        shop[name]["additionalProperties"]["properties"] for name in ("tasks", "workflows")
    )
    assert set(tasks) == set(task_settings.NAMES)
    assert set(flows) == set(task_settings.NAMES) - {"args", "kwargs"} | {workflow_settings.TASKS}


GOODS: list[dict[str, Any]] = [
    {},
    {"queue": "shop", "options": {"visibility_timeout": 60}},
    {"tasks": {"shop.a": None}},
    {"tasks": {"shop.a": ALL | {"args": "[1]", "kwargs": '{"x": 1}'}}},
    *({"tasks": {"shop.a": {name: value}}} for name, value in ALL.items()),
    {"tasks": {"shop.a": {"concurrency": 3}}},
    {"tasks": {"shop.a": {"on": {"event": "a/b"}}}},
    {"tasks": {"shop.a": {"idempotency": "event.data.id"}}},
    {"tasks": {"shop.a": {"batchEvents": {"maxSize": 10, "timeout": "5s"}}}},
    {"workflows": {"flow": {"tasks": ENTRIES} | ALL}},
    *({"workflows": {"flow": {"tasks": [entry]}}} for entry in ENTRIES),
]
BADS: list[dict[str, Any]] = [
    {"brokers": "x"},
    {"broker": 5},
    {"queue": ["a"]},
    {"tasks": ["shop.a"]},
    {"tasks": {"shop.a": 5}},
    {"tasks": {"shop.a": {"retrys": 1}}},
    {"tasks": {"shop.a": {"retries": "many"}}},
    {"tasks": {"shop.a": {"args": [1]}}},
    {"tasks": {"shop.a": {"on_lost": "wait"}}},
    {"tasks": {"shop.a": {"on": [{"events": "a"}]}}},
    {"tasks": {"shop.a": {"throttle": {"limit": 5}}}},
    {"tasks": {"shop.a": {"tasks": ["shop.b"]}}},
    {"workflows": {"flow": {}}},
    {"workflows": {"flow": {"tasks": []}}},
    {"workflows": {"flow": {"tasks": "shop.a"}}},
    {"workflows": {"flow": {"tasks": ["shop.a"], "args": "[1]"}}},
    *(
        {"workflows": {"flow": {"tasks": [entry]}}}
        for entry in (
            5,
            "",
            {},
            {"task": "shop.a", "arg": "[1]"},
            {"task": "shop.a", "args": ["event.data.x"]},
            {"task": "shop.a", "group": ["shop.b"]},
            {"group": []},
            {"group": ["shop.a"], "queue": "q"},
            {"sequence": ["shop.a"], "name": "x"},
            {"G": {"type": "set", "tasks": ["shop.a"]}},
            {"G": {"type": "group"}},
        )
    ),
]


@pytest.mark.parametrize("app", GOODS, ids=range(len(GOODS)))
def test_what_the_reader_takes_is_valid(app: dict[str, Any], tmp_path: Path) -> None:
    assert (taken(app, tmp_path), valid(app)) == (True, True)


@pytest.mark.parametrize("app", BADS, ids=range(len(BADS)))
def test_what_the_reader_refuses_is_not(app: dict[str, Any], tmp_path: Path) -> None:
    assert (taken(app, tmp_path), valid(app)) == (False, False)
