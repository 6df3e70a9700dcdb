"""What is seen of the tasks of a Celery app, with a real worker, on each broker."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
from celery import chain

from tests.acceptance import shop as tasks
from tests.acceptance.celery_shop import BROKERS, Client, Shop, connected, shop_on
from tests.command import command
from tests.metrics import value
from tests.processes import wait_until

_SECONDS = 60


@pytest.fixture(scope="module", params=BROKERS)
def shop(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shop]:
    with shop_on(request.param(), tmp_path_factory.mktemp("seen")) as made:
        yield made


@pytest.fixture(scope="module")
def client(shop: Shop) -> Iterator[Client]:
    """A server on SQLite that is connected to the app, whose worker has one process."""
    with shop.worker(concurrency=1), connected(shop) as made:
        yield made


def test_time_in_the_brokers_queue_is_told_from_running(client: Client, shop: Shop) -> None:
    first = client.start(tasks.nap.s(2.5, "one"))
    wait_until(lambda: "begin one" in shop.effects, _SECONDS, "the first task to begin")
    second = client.start(tasks.nap.s(0.5, "two"))
    ahead, behind = client.told(first), client.told(second)
    assert behind["task"]["worker"] == "one@shop"
    queued = datetime.fromisoformat(behind["task"]["sent_at"])
    began, ended = (datetime.fromisoformat(behind[name]) for name in ("started_at", "ended_at"))
    first_ended = datetime.fromisoformat(ahead["ended_at"])
    # the worker has one process: the second waited for the end of the first, a moment before its
    # answer was here
    assert queued < first_ended
    assert began > first_ended - timedelta(seconds=1)
    assert ended - began >= timedelta(seconds=0.45)  # a clock may be set meanwhile
    assert behind["task"]["id"].endswith("-0")
    times = [behind["task"][name] for name in ("sent_at", "received_at", "started_at")]
    assert times == sorted(times)


def test_failed_task_is_shown_with_its_error_and_its_arguments(client: Client) -> None:
    run_id = client.start(chain(tasks.add.s(1, 2), tasks.refuse.si("no money")))
    client.ended(run_id)
    page = requests.get(f"{client.url}/runs/{run_id}", headers={"Run-Part": "panel"}, timeout=30)
    for shown in ("Traceback", "raise ValueError(text)", 'aria-label="Input"', "no money"):
        assert shown in page.text
    [failed] = [one for one in client.run(run_id)["attempts"] if one["name"] == "refuse"]
    asked = {"of": "step-input", "step": failed["step"]}
    whole = requests.get(f"{client.url}/runs/{run_id}/value", params=asked, timeout=30)
    assert whole.json() == {"args": ["no money"], "kwargs": {}}


def test_celerys_own_retries_are_shown(client: Client) -> None:
    run_id = client.start(tasks.retrying.s("seen"))
    attempt = client.told(run_id, executions=3)
    errors = [one["error"] for one in attempt["task"]["executions"]]
    assert [error and error["message"] for error in errors] == ["Retry in 0s", "Retry in 0s", None]
    assert "Traceback" in errors[0]["stack"]
    answer = requests.get(f"{client.url}/v2/runs/{run_id}/trace", timeout=30)
    step = answer.json()["data"]["rootSpan"]["children"][0]
    [shown] = step["children"]
    names = [(one["name"], one["status"]) for one in shown["children"]]
    assert names == [
        ("Celery attempt 1", "FAILED"),
        ("Celery attempt 2", "FAILED"),
        ("Celery attempt 3", "COMPLETED"),
    ]
    assert shown["task"]["worker"] == "one@shop"


def test_live_task_shows_where_it_is(client: Client) -> None:
    first = client.start(tasks.nap.s(8, "live"))
    second = client.start(chain(tasks.add.s(1, 2), tasks.add.s(3)))

    def task(run_id: str) -> dict[str, Any]:
        queued = client.run(run_id)["queued"]
        return (queued[0]["Raw"]["task"] if queued else None) or {}

    wait_until(lambda: task(first).get("started_at"), _SECONDS, "the worker to begin")
    wait_until(lambda: task(second).get("received_at"), _SECONDS, "the worker to receive")
    waiting = task(second)
    assert (waiting["queue"], waiting["worker"], waiting["started_at"]) == (
        "shop",
        "one@shop",
        None,
    )
    assert datetime.fromisoformat(waiting["sent_at"]) <= datetime.now(UTC)
    assert client.output(second) == 6


def test_metrics_are_by_task(client: Client) -> None:
    def page() -> str:
        return requests.get(f"{client.url}/metrics", timeout=30).text

    def ran(text: str) -> float:
        return value(text, "inngest_task_run_seconds_sum", task="shop-shop.nap") or 0.0

    before = ran(page())
    client.output(client.start(chain(tasks.nap.s(0.5, "measured"), tasks.add.si(1, 2))))
    wait_until(lambda: ran(page()) >= before + 0.5, _SECONDS, "the task to be measured")
    attempts = {"task": "shop-shop.nap", "outcome": "completed"}
    assert (value(page(), "inngest_task_attempts_total", **attempts) or 0) >= 1
    assert (value(page(), "inngest_task_queue_seconds_count", task="shop-shop.nap") or 0) >= 1


def test_why_says_what_a_task_waits_for(client: Client) -> None:
    """The worker takes one task to run and four to hold; the others wait in the broker."""
    runs = [client.start(tasks.nap.s(12, "why"))]
    runs += [client.start(tasks.add.s(n, 1)) for n in range(7)]

    def said(run_id: str) -> str:
        answer = requests.get(f"{client.url}/v1/runs/{run_id}/why", timeout=30)
        return str(answer.json()["data"]["reasons"][0]["text"])

    def is_said(text: str) -> bool:
        return any(text in said(run_id) for run_id in runs)

    for text in (
        "; worker one@shop runs it since ",
        "; worker one@shop holds it until a process of its own is free.",
        "; 1 worker, busy; ",
    ):
        wait_until(lambda text=text: is_said(text), _SECONDS, text)  # type: ignore[misc]
    for run_id in runs:
        client.ended(run_id)


def test_workers_are_asked_for_their_tasks_on_a_command(client: Client) -> None:
    # by itself that happens every half a minute, and the command waits for 20 seconds
    for _ in range(2):
        asked = command("celery", "refresh", "shop", "--url", client.url)
        assert asked.exit_code == 0, asked.stderr
        assert " tasks of 1 workers that answer" in asked.stdout
    unknown = command("celery", "refresh", "nowhere", "--url", client.url)
    assert (unknown.exit_code, "nowhere" in unknown.stderr) == (1, True)
