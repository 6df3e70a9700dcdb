"""`/v1/views`: saved views of the list of runs."""

import pytest

from inngest_py.domain.runs import saved_views
from tests.api.conftest import Service


def test_an_owner_is_not_what_a_caller_says(service: Service) -> None:
    body = {"name": "mine", "query": "q=1"}
    service.client.post("/v1/views", json=body, headers={"X-Inngest-Py-User": "ann"})
    assert service.client.get("/v1/views").json["data"][0]["owner"] == "anybody (as ann)"


@pytest.mark.parametrize("prefix", ["/v1", "/api/v1"])
def test_save_list_and_delete(service: Service, prefix: str) -> None:
    client = service.client
    body = {"name": "Failed orders", "query": "?status=failed&key.order_id=A%201"}
    made = client.post(f"{prefix}/views", json=body)
    assert made.status_code == 201
    [view] = client.get(f"{prefix}/views").json["data"]
    assert view["id"] == made.json["data"]["id"]
    assert view["path"] == "/runs?key.order_id=A+1&status=failed"
    assert (view["name"], view["owner"]) == ("Failed orders", "anybody")
    assert client.post(f"{prefix}/views", json=body).status_code == 409
    assert client.delete(f"{prefix}/views/{view['id']}").status_code == 200
    assert client.delete(f"{prefix}/views/{view['id']}").status_code == 404
    assert client.delete(f"{prefix}/views/x").status_code == 400
    assert client.get(f"{prefix}/views").json["data"] == []


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"query": "q=1"}, "name is missing"),
        ({"name": 5, "query": "q=1"}, "name is missing"),
        ({"name": "a\nb", "query": "q=1"}, "one line"),
        ({"name": "x" * 81, "query": "q=1"}, "name is too long"),
        ({"name": "x"}, "query is missing"),
        ({"name": "x", "query": ""}, "no filter"),
        ({"name": "x", "query": "tz=UTC"}, "no filter"),
        ({"name": "x", "query": "q=%00"}, "U+0000"),
        ({"name": "x", "query": "before=1"}, "'before', which is no filter"),
        ({"name": "x", "query": "key.=1"}, "'key.', which is no filter"),
        ({"name": "x", "query": "q=" + "x" * 9000}, "query is too long"),
        ({"name": "x", "query": "&".join(["q=1"] * 61)}, "more than 60 filters"),
    ],
)
def test_what_is_wrong_is_named(service: Service, body: object, told: str) -> None:
    answered = service.client.post("/v1/views", json=body)
    assert answered.status_code == 400
    assert told in answered.json["error"]


def test_views_are_bounded(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saved_views, "MOST_VIEWS", 1)
    bodies = [{"name": name, "query": "q=1"} for name in "ab"]
    codes = [service.client.post("/v1/views", json=body).status_code for body in bodies]
    assert codes == [201, 400]
