"""Canvases and workflows that are nested deep: up to 100 levels run, deeper ones are refused."""

from typing import Any

import pytest

from tests.api.conftest import Service
from tests.api.test_celery_apps import connect, see


def _nested(levels: int) -> dict[str, Any]:
    """Signatures within each other."""
    found: dict[str, Any] = {"task": "shop.add", "args": [1, 2]}
    for _ in range(levels - 1):
        last = {"task": "shop.add", "args": [1]}
        found = {"task": "celery.chain", "kwargs": {"tasks": [found, last]}}
    return found


@pytest.mark.parametrize("levels", [40, 60, 80, 100])
def test_signatures_are_nested_up_to_100_deep(service: Service, levels: int) -> None:
    see(service, connect(service).json["data"]["id"], ["shop.add"])
    body = {"signature": _nested(levels)}
    answer = service.client.post("/v1/celery/shop/runs", json=body)
    assert answer.status_code == 201, answer.text
    service.engine.drain()
    run = service.client.get(f"/api/v1/runs/{answer.json['data']['run_id']}").json["data"]
    assert (run["status"], run["output"]) == ("running", None)  # its broker is away


@pytest.mark.parametrize("levels", [101, 160, 250, 400])
def test_deeper_signatures_have_one_error(service: Service, levels: int) -> None:
    see(service, connect(service).json["data"]["id"], ["shop.add"])
    text = '{"task": "celery.chain", "kwargs": {"tasks": [' * (levels - 1)
    text = f'{{"signature": {text}{{"task": "shop.add"}}{"]}}" * (levels - 1)}}}'
    answer = service.client.post("/v1/celery/shop/runs", data=text, content_type="application/json")
    assert answer.status_code == 400
    assert "is nested deeper than 100 signatures: make it flatter" in answer.json["error"]


def test_arguments_are_not_as_deep_as_signatures(service: Service) -> None:
    see(service, connect(service).json["data"]["id"], ["shop.add"])
    deep = "[" * 160 + "]" * 160
    body = f'{{"signature": {{"task": "shop.add", "args": [{deep}]}}}}'
    answer = service.client.post("/v1/celery/shop/runs", data=body, content_type="application/json")
    assert answer.status_code == 400
    assert "'shop.add' has arguments that are nested deeper than 150 levels" in answer.json["error"]


def test_workflows_are_nested_up_to_100_deep(service: Service) -> None:
    connect(service)
    for levels, status in ((100, 200), (101, 400)):
        tasks: Any = ["shop.add"]
        for _ in range(levels - 1):
            tasks = [{"sequence": tasks}]
        answer = service.client.put("/v1/celery/shop/workflows/deep", json={"tasks": tasks})
        assert answer.status_code == status, answer.text
    assert "is nested deeper than 100 levels: make it flatter" in answer.json["error"]
    assert len(service.client.get("/v1/celery/shop/workflows").json["data"]) == 1
