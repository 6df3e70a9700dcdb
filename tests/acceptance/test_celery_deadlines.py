"""Tasks of a Celery app that are not waited for any longer: dropped, killed or expired."""

from collections.abc import Iterator

import pytest
import requests

from tests.acceptance import shop as tasks
from tests.acceptance.celery_shop import BROKERS, Client, Shop, connected, shop_on
from tests.processes import Process, wait_until

_SECONDS = 60.0


@pytest.fixture(scope="module", params=BROKERS)
def shop(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shop]:
    with shop_on(request.param(), tmp_path_factory.mktemp("shop")) as made:
        yield made


@pytest.fixture(scope="module")
def worker(shop: Shop) -> Iterator[Process]:
    with shop.worker(concurrency=1) as process:
        yield process


@pytest.fixture(scope="module")
def client(shop: Shop, worker: Process) -> Iterator[Client]:
    with connected(shop) as made:
        yield made


def begun(shop: Shop, key: str) -> None:
    wait_until(lambda: f"begin {key}" in shop.effects, _SECONDS, f"{key} to begin")


def is_free(client: Client) -> None:
    """Wait until the worker's one process runs another task: what it ran before is over."""
    assert client.output(client.start(tasks.add.s(1, 2))) == 3


def test_cancelled_run_kills_what_runs_if_it_is_asked_to(client: Client, shop: Shop) -> None:
    run_id = client.start(tasks.nap.s(300, "asked"))
    begun(shop, "asked")
    path = f"{client.url}/api/v1/runs/{run_id}?terminate=true"
    requests.delete(path, timeout=30).raise_for_status()
    assert client.ended(run_id)["status"] == "cancelled"
    is_free(client)
    assert "end asked" not in shop.effects


def test_time_out_of_a_run_kills_its_task_by_its_setting(client: Client, shop: Shop) -> None:
    settings = {"terminate": True, "timeouts": {"finish": "3s"}}
    client.put("/v1/celery/shop/tasks/shop.nap", settings)
    run_id = client.start(tasks.nap.s(300, "finish"))
    begun(shop, "finish")
    assert client.ended(run_id)["status"] == "cancelled"
    is_free(client)
    client.put("/v1/celery/shop/tasks/shop.nap", {"timeouts": None, "timeout": "2s"})
    run_id = client.start(tasks.nap.s(300, "limit"))
    begun(shop, "limit")
    run = client.ended(run_id)
    assert (run["status"], run["output"]["error"]["name"]) == ("failed", "TaskTimeout")
    is_free(client)
    assert not {"end finish", "end limit"}.intersection(shop.effects)
    client.put("/v1/celery/shop/tasks/shop.nap", {"timeout": None, "terminate": None})


def test_task_behind_a_busy_worker_expires_at_its_deadline(client: Client, shop: Shop) -> None:
    busy = client.start(tasks.nap.s(300, "busy"))
    begun(shop, "busy")
    run_id = client.start(tasks.note.s(1, "expired").set(expires=3))
    run = client.ended(run_id, 30)
    assert run["output"]["error"]["name"] == "TaskExpired"
    requests.delete(f"{client.url}/api/v1/runs/{busy}?terminate=true", timeout=30)
    is_free(client)
    assert "expired" not in shop.effects


def test_task_expires_without_any_worker(client: Client, shop: Shop, worker: Process) -> None:
    worker.terminate()
    run = client.ended(client.start(tasks.note.s(1, "nobody").set(expires=3)), 30)
    assert run["output"]["error"]["name"] == "TaskExpired"
    assert "no worker had begun" in run["output"]["error"]["message"]
