"""`/v1/apps`: apps are added, synced and archived, and an app that does not answer is told."""

import pytest

from tests.api.conftest import Service

PREFIXES = ("/v1", "/api/v1")
NOBODY = "http://localhost:9/api/inngest"


@pytest.mark.parametrize("prefix", PREFIXES)
def test_an_app_is_added_and_archived(service: Service, prefix: str) -> None:
    client = service.client
    added = client.post(f"{prefix}/apps", json={"url": NOBODY})
    assert added.status_code == 200, added.text
    app = added.json["data"]
    assert (app["url"], app["error"], app["method"]) == (NOBODY, "unreachable", "serve")
    assert app["functions"] == 0
    asked = client.post(f"{prefix}/apps/{app['id']}/sync").json["data"]
    assert (asked["id"], asked["error"]) == (app["id"], "unreachable")
    archived = client.post(f"{prefix}/apps/app/archive")
    assert archived.json["data"]["name"] == "app"
    assert [one["id"] for one in client.get(f"{prefix}/apps").json["data"]] == [app["id"]]
    for act in ("sync", "archive"):
        gone = client.post(f"{prefix}/apps/app/{act}")
        assert (gone.status_code, "is archived" in gone.json["error"]) == (404, True)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "url is missing"),
        ({"url": 5}, "url must be a string"),
        ({"url": "ftp://x"}, "url"),
        ([], "must be a JSON object"),
    ],
)
def test_what_is_wrong_is_named(service: Service, body: object, said: str) -> None:
    answered = service.client.post("/v1/apps", json=body)
    assert (answered.status_code, said in answered.json["error"]) == (400, True), answered.json
