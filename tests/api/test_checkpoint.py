"""`POST /v1/checkpoint/{runId}/async`: its answers, as SDKs distinguish them."""

from typing import Any

import pytest

from inngest_py.domain.access import signatures
from inngest_py.domain.limits import MAX_RESPONSE_BYTES
from inngest_py.domain.reply import checkpoint
from inngest_py.engine.work import claims
from tests.factories import op, step

from .conftest import Service

PATHS = ("/v1/checkpoint/{}/async", "/v1/http/runs/{}/async")
OTHER = "01JD0000000000000000000009"


@pytest.fixture
def held(service: Service) -> dict[str, Any]:
    """What a request in flight would send back."""
    run_id = service.engine.start()
    [(_, item_id)] = service.engine.hinted.hints
    [job] = claims.claim(service.engine.ctx, [item_id])
    return {"run_id": run_id, "qi_id": checkpoint.token(job.item), "fn_id": job.run.function_id}


def post(service: Service, held: dict[str, Any], path: str = PATHS[0], **changes: Any) -> Any:
    run_id = changes.pop("run", held["run_id"])
    body = {**held, "steps": [op("StepRun", "a", data=1)]} | changes
    return service.client.post(path.format(run_id), json=body)


@pytest.mark.parametrize("path", PATHS)
def test_steps_are_stored(service: Service, held: dict[str, Any], path: str) -> None:
    assert post(service, held, path).status_code == 200
    assert service.engine.memo(held["run_id"]) == {step("a"): {"data": 1}}


@pytest.mark.parametrize(
    ("changes", "status", "said"),
    [
        ({"steps": [op("Sleep", "s", name="1s")]}, 400, "Sleep cannot be checkpointed"),
        ({"run": OTHER, "run_id": OTHER}, 400, "does not exist"),
        ({"run": "nonsense"}, 400, "is not a run id"),
        ({"qi_id": "nonsense"}, 400, "qi_id"),
        ({"qi_id": None}, 400, "qi_id is missing"),
        (
            {"steps": [op("StepRun", "a", data="x" * MAX_RESPONSE_BYTES)]},
            413,
            "body is over 8388608 ",
        ),
    ],
)
def test_refused_checkpoints_are_public_errors(
    service: Service, held: dict[str, Any], changes: dict[str, Any], status: int, said: str
) -> None:
    answer = post(service, held, **changes)
    assert (answer.status_code, answer.json["status"]) == (status, status)
    assert said in answer.json["error"]
    assert answer.json["data"] == {"run_id": changes.get("run", held["run_id"])}


def test_checkpoint_of_an_ended_dispatch_is_a_conflict(
    service: Service, held: dict[str, Any]
) -> None:
    service.client.delete(f"/v1/runs/{held['run_id']}")
    answer = post(service, held)
    assert (answer.status_code, answer.json["data"]) == (409, {"run_id": held["run_id"]})


def test_checkpoint_needs_the_key(service: Service, held: dict[str, Any]) -> None:
    key = "signkey-prod-12345678"
    client = service.with_settings(dev=False, signing_key=key)
    url, body = PATHS[0].format(held["run_id"]), {**held, "steps": []}
    assert client.post(url, json=body).status_code == 401
    headers = {"Authorization": f"Bearer {signatures.bearer(key)}"}
    assert client.post(url, json=body, headers=headers).status_code == 200
