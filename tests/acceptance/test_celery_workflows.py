"""Workflows of the config file, with a real worker that knows nothing of us."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from inngest_py.domain.steps import tasks
from tests.acceptance.celery_shop import Client, Shop, shop_on
from tests.processes import Server, wait_until
from tests.servers import Valkey

FILE = """
celery_apps:
  shop:
    broker: ${SHOP_BROKER}
    queue: shop
    workflows:
      flow:
        on:
          - event: shop/flow
        concurrency: 10
        tasks:
          - task: shop.add
            name: first
            args: "[event.data.a, event.data.b]"
          - group:
              - task: shop.add
                name: plus
                args: "[result, 10]"
              - sequence:
                  - task: shop.add
                    name: more
                    args: "[result, 100]"
                  - task: shop.note
                    name: noted
                    kwargs: '{"key": event.data.key}'
              - task: shop.total
                name: risky
                args: "[event.data.numbers]"
                when: event.data.numbers != null
          - task: shop.total
            args: "[result.filter(n, n != null)]"
            when: size(result) == 3
          - task: shop.charge
            args: "[event.data.order]"
            kwargs: '{"amount": result + steps.first}'
"""
CHANGED = """
celery_apps:
  shop:
    broker: ${SHOP_BROKER}
    queue: shop
    workflows:
      flow:
        tasks:
          - task: shop.add
            args: "[1000, 1]"
"""


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """The app, with a worker."""
    with shop_on(Valkey(), tmp_path) as made, made.worker():
        yield made


def server(shop: Shop, text: str, name: str) -> Server:
    """A server on SQLite with this config file."""
    file = shop.folder / "inngest.yaml"
    file.write_text(text)
    env = {
        "INNGEST_DEV": "1",
        "DATABASE_URL": f"sqlite:///{shop.folder}/server.db",
        "SHOP_BROKER": shop.broker.url,
    }
    log = shop.folder / f"{name}.log"
    return Server("dev", "--config", str(file), log=log, env=env)


def started(client: Client, known: int = 0, **data: Any) -> str:
    """Start the workflow by its event; return the run's id."""
    client.send("shop/flow", **data)
    path = f"/api/v1/runs?limit={known + 1}&function=shop-flow"

    def found() -> Any:
        runs = client.get(path)
        return runs if len(runs) > known else None

    return str(wait_until(found, 30, "the run")[0]["id"])


def rerun(client: Client, run_id: str, **body: Any) -> str:
    url = f"{client.url}/v2/runs/{run_id}/rerun"
    answer = requests.post(url, json=body, timeout=30)
    assert answer.ok, answer.text
    return str(answer.json()["data"]["runId"])


def test_workflow_of_the_file_runs_and_a_rerun_keeps_it(shop: Shop) -> None:
    data = {"a": 1, "b": 2, "key": "k1", "order": "A1"}
    with server(shop, FILE, "one") as first:
        client = Client(first.start().url)
        good = started(client, **data)
        assert client.output(good) == {"order": "A1", "paid": 116 + 3}
        statuses = {one["name"]: one["status"] for one in client.run(good)["attempts"]}
        assert statuses["risky"] == "skipped"
        assert {
            statuses[name] for name in ("first", "plus", "more", "noted", "total", "charge")
        } == {"completed"}
        bad = started(client, known=1, **data | {"numbers": "x", "key": "k2"})
        failed = client.ended(bad)
        assert failed["status"] == "failed", failed
        first.terminate()
    with server(shop, CHANGED, "two") as second:
        client = Client(second.start().url)
        step = tasks.step_of("1.2.0")
        again = rerun(client, bad, fromStep={"stepId": step, "input": [[1, 2]]})
        assert client.output(again) == {"order": "A1", "paid": 119 + 3}
        step = tasks.step_of("3")
        last = rerun(client, good, fromStep={"stepId": step, "input": ["B2"]})
        assert client.output(last) == {"order": "B2", "paid": 119}
        anew = rerun(client, good)
        assert client.output(anew) == 1001
        answer = requests.post(
            f"{client.url}/v1/celery/shop/runs", json={"signature": {"task": "flow"}}, timeout=30
        )
        assert answer.status_code == 404
    assert shop.effects.count("k1") == 1
    assert shop.effects.count("k2") in (1, 2)  # it may have run while its run failed


def test_workflow_is_invoked_by_the_page_and_given_by_the_api(shop: Shop) -> None:
    with server(shop, FILE.partition("    workflows:")[0], "one") as one:
        client = Client(one.start().url)
        tasks_ = [{"task": "shop.add", "args": "[event.data.a, 5]"}, {"group": ["shop.note"]}]
        bad = requests.put(
            f"{client.url}/v1/celery/shop/workflows/api",
            json={"tasks": [{"task": "shop.add", "args": "[evnt.data.a]"}]},
            timeout=30,
        )
        assert bad.status_code == 400
        assert "tasks[0].args is no expression that works here" in bad.text
        tasks_[1] = {"group": [{"task": "shop.note", "kwargs": '{"key": "api"}'}]}
        made = client.put("/v1/celery/shop/workflows/api", {"tasks": tasks_})
        assert made == {"function": "shop-api"}
        [shown] = client.get("/v1/celery/shop/workflows")
        assert shown["settings"]["tasks"] == {"value": tasks_, "from": "api"}
        answer = requests.post(
            f"{client.url}/v2/apps/shop/functions/api/invoke",
            json={"data": {"a": 3}},
            timeout=30,
        )
        assert answer.ok, answer.text
        run_id = answer.json()["data"]["runId"]
        assert client.output(run_id) == [8]
        gone = requests.delete(f"{client.url}/v1/celery/shop/workflows/api", timeout=30)
        assert gone.status_code == 200
        assert client.get("/v1/celery/shop/workflows") == []
