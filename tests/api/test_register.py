"""Registering apps over HTTP (protocol: sync.md §4, §9, §10)."""

import uuid
from typing import Any

import pytest

from inngest_py.domain.access import signatures
from inngest_py.engine.apps.register import known_urls
from tests.api.conftest import Service

KEY = "signkey-prod-0123456789abcdef"
URL = "http://localhost:3000/api/inngest"


def function(key: str, **more: Any) -> dict[str, Any]:
    url = f"{URL}?fnId=shop-{key}&stepId=step"
    step = {"id": "step", "name": "step", "runtime": {"type": "http", "url": url}}
    return {
        "id": f"shop-{key}",
        "name": key,
        "triggers": [{"event": f"shop/{key}"}],
        "steps": {"step": step | {"retries": {"attempts": 3}}},
    } | more


def payload(*functions: dict[str, Any], **more: Any) -> dict[str, Any]:
    sent = {"appname": "shop", "url": URL, "sdk": "py:v0.5.19", "v": "0.1", "framework": "flask"}
    return sent | {"functions": list(functions)} | more


def register(service: Service, *functions: dict[str, Any], **more: Any) -> Any:
    return service.client.post("/fn/register", json=payload(*functions, **more))


def app_of(service: Service, name: str) -> Any:
    listed = service.client.get("/api/v1/apps").json["data"]
    return next(item for item in listed if item["name"] == name)


def is_public(answered: Any, status: int) -> bool:
    """Say whether this is the public error shape of api.md §1."""
    body = answered.json
    return (
        answered.status_code == body["status"] == status
        and {"error", "data", "status"} <= body.keys() <= {"error", "data", "status", "code"}
        and isinstance(body["error"], str)
        and (body["data"] is None or isinstance(body["data"], dict))
    )


def test_an_app_of_connected_workers_is_never_pinged(service: Service) -> None:
    register(service, url="ws://connect?app_name=shop", functions=[])
    assert app_of(service, "shop")["url"].startswith("ws:")
    assert not [url for url, _ in known_urls(service.engine.ctx) if url.startswith("ws:")]


def test_an_app_is_stored(service: Service) -> None:
    answered = register(service, function("pay"))
    assert answered.status_code == 200
    assert answered.json.keys() == {"ok", "modified", "sync_id", "app_id"}
    assert (answered.json["ok"], answered.json["modified"]) == (True, True)
    assert answered.json["app_id"] == str(uuid.uuid5(uuid.NAMESPACE_OID, "shop"))
    uuid.UUID(answered.json["sync_id"])
    assert answered.headers["X-Inngest-Server-Kind"] == "dev"
    shop = app_of(service, "shop")
    assert (shop["url"], shop["sdk"], shop["framework"]) == (URL, "py:v0.5.19", "flask")
    assert (shop["error"], shop["functions"]) == (None, 1)
    stored = service.function_of("shop", "shop-pay")
    assert (stored["name"], stored["archived_at"], stored["config"]["fv"]) == ("pay", None, 1)
    [event_id] = service.send({"name": "shop/pay"}).json["ids"]
    assert len(service.client.get(f"/v1/events/{event_id}/runs").json["data"]) == 1


def test_put_also_registers(service: Service) -> None:
    assert service.client.put("/fn/register", json=payload()).json["modified"] is True


def test_registering_the_same_again_changes_nothing(service: Service) -> None:
    first = register(service, function("pay")).json
    for _ in range(2):
        again = register(service, function("pay"), featureObservations={"x": 1}).json
        assert (again["ok"], again["modified"]) == (True, False)
        assert again["app_id"] == first["app_id"]
        uuid.UUID(again["sync_id"])
    assert service.function_of("shop", "shop-pay")["config"]["fv"] == 1


def test_a_change_raises_the_version_and_keeps_the_id(service: Service) -> None:
    register(service, function("pay"))
    before = service.function_of("shop", "shop-pay")
    assert register(service, function("pay", name="Pay now")).json["modified"] is True
    after = service.function_of("shop", "shop-pay")
    assert after["internal_id"] == before["internal_id"]
    assert (after["name"], after["config"]["fv"]) == ("Pay now", 2)


def test_a_removed_function_is_archived_until_it_comes_back(service: Service) -> None:
    register(service, function("pay"), function("ship"))
    before = service.function_of("shop", "shop-ship")
    assert register(service, function("pay")).json["modified"] is True
    assert service.function_of("shop", "shop-ship")["archived_at"] is not None
    [event_id] = service.send({"name": "shop/ship"}).json["ids"]
    assert service.client.get(f"/v1/events/{event_id}/runs").json["data"] == []
    register(service, function("pay"), function("ship"))
    after = service.function_of("shop", "shop-ship")
    assert (after["internal_id"], after["archived_at"]) == (before["internal_id"], None)
    [event_id] = service.send({"name": "shop/ship"}).json["ids"]
    assert len(service.client.get(f"/v1/events/{event_id}/runs").json["data"]) == 1


def test_no_functions_are_valid(service: Service) -> None:
    register(service, function("pay"))
    assert register(service).json["ok"] is True
    assert service.function_of("shop", "shop-pay")["archived_at"] is not None
    assert app_of(service, "shop")["functions"] == 0


def test_one_bad_function_refuses_all_and_is_stored_as_the_error(service: Service) -> None:
    register(service, function("pay"))
    bad = function("ship", triggers=[{"cron": "@daily"}])
    answered = register(service, function("pay", name="changed"), bad)
    assert is_public(answered, 400)
    assert answered.json["error"].startswith("At least one function is invalid")
    assert answered.json["code"] == "schedule_invalid"
    assert [item["name"] for item in service.client.get("/v1/apps/shop/functions").json] == ["pay"]
    shop = app_of(service, "shop")
    assert shop["error"] == "schedule_invalid"
    assert "triggers" in shop["error_detail"]
    [event_id] = service.send({"name": "shop/pay"}).json["ids"]
    assert len(service.client.get(f"/v1/events/{event_id}/runs").json["data"]) == 1
    # the error forces a full registration of what is known already (sync.md §4.2, rule 3)
    assert register(service, function("pay")).json["modified"] is True
    assert app_of(service, "shop")["error"] is None


@pytest.mark.parametrize("name", [None, ""])
def test_an_app_needs_a_name(lasting: Service, name: str | None) -> None:
    answered = register(lasting, appname=name)
    assert is_public(answered, 400)
    assert answered.json["error"] == "App ID required"


@pytest.mark.parametrize(
    "changes",
    [
        {"appname": 5},
        {"appname": "a\0"},
        {"appname": "x" * 256},
        {"url": None},
        {"url": "ftp://a/b"},
        {"url": 7},
        {"url": "http://a/\0"},
        {"url": f"http://a/{'ü' * 1900}"},
        {"functions": {}},
        {"functions": [5]},
        {"sdk": "\0"},
        {"framework": []} | {"headers": 5},
        {"deployType": "push"},
    ],
)
def test_what_cannot_be_stored_is_refused(lasting: Service, changes: dict[str, Any]) -> None:
    assert is_public(register(lasting, **changes), 400)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"a":' * 5000])
def test_a_body_has_to_be_json(lasting: Service, body: bytes) -> None:
    answered = lasting.client.post("/fn/register", data=body)
    assert answered.status_code == 400
    assert answered.json.keys() == {"error"}
    assert answered.json["error"].startswith("Invalid request: ")


@pytest.mark.parametrize("body", [b"null", b"[]", b"5", b'"text"'])
def test_a_body_has_to_be_an_object(lasting: Service, body: bytes) -> None:
    assert is_public(lasting.client.post("/fn/register", data=body), 400)


def test_the_expected_server_kind_has_to_match(service: Service) -> None:
    headers = {"X-Inngest-Expected-Server-Kind": "cloud"}
    answered = service.client.post("/fn/register", json=payload(), headers=headers)
    assert answered.status_code == 400
    assert answered.json == {"error": "Expected server kind cloud, got dev"}
    headers = {"X-Inngest-Expected-Server-Kind": "dev"}
    answered = service.client.post("/fn/register", json=payload(), headers=headers)
    assert answered.status_code == 200


def test_an_app_is_removed_by_its_exact_url(service: Service) -> None:
    register(service, function("pay"))
    assert is_public(service.client.delete("/fn/remove?url=%00"), 400)
    nameless = service.client.delete("/fn/remove")
    assert is_public(nameless, 400)
    assert nameless.json["error"].startswith("url is missing")
    answered = service.client.delete("/fn/remove", query_string={"url": URL + "/"})
    assert is_public(answered, 404)
    assert answered.json["error"].startswith("App not found: ")
    answered = service.client.delete("/fn/remove", query_string={"url": URL})
    assert (answered.status_code, answered.data) == (200, b"")
    assert service.client.get("/v1/apps/shop/functions").status_code == 404
    [event_id] = service.send({"name": "shop/pay"}).json["ids"]
    assert service.client.get(f"/v1/events/{event_id}/runs").json["data"] == []
    assert is_public(service.client.delete("/fn/remove", query_string={"url": URL}), 404)


def test_dev_route_describes_the_server(service: Service) -> None:
    register(service, function("pay"))
    register(service)
    told = service.client.get("/dev")
    assert told.status_code == 200
    assert told.json.keys() == {
        "version",
        "authed",
        "startOpts",
        "functions",
        "handlers",
        "isSingleNodeService",
        "isMissingSigningKey",
        "isMissingEventKeys",
        "features",
    }
    assert [item["slug"] for item in told.json["functions"]] == ["app-fn"]
    assert told.json["functions"][0].keys() == {"id", "name", "slug"}


BEARERS = [
    signatures.bearer(KEY),
    f"signkey-prod-{signatures.bearer(KEY)}",
    f"signkey-test-{signatures.bearer(KEY)}",
]
WRONG = [
    "Bearer undefined",
    "Bearer ",
    "Basic " + signatures.bearer(KEY),
    "Bearer ü",
    "",
    "x" * 5000,
]


def test_the_signing_key_is_asked_for_in_production(service: Service) -> None:
    client = service.with_settings(dev=False, signing_key=KEY)
    for given in WRONG:
        for call in (client.post, client.put):
            answered = call("/fn/register", json=payload(), headers={"Authorization": given})
            assert (answered.status_code, answered.text) == (401, "Authentication failed")
            assert answered.mimetype == "text/plain"
    for path in ("/dev", "/v1/events", "/api/v1/runs", "/api/v1/apps", "/v0/runs/x/actions"):
        assert client.get(path).status_code == 401
    assert client.delete("/fn/remove", query_string={"url": URL}).status_code == 401
    for token in BEARERS:
        headers = {"Authorization": f"Bearer {token}"}
        answered = client.post("/fn/register", json=payload(function("pay")), headers=headers)
        assert answered.status_code == 200
        assert answered.headers["X-Inngest-Server-Kind"] == "cloud"
        assert client.get("/v1/events", headers=headers).status_code == 200
        assert is_public(client.get("/dev", headers=headers), 404)
    for path in ("/health", "/api/openapi.json"):
        assert client.get(path).status_code == 200


def test_the_signing_key_is_not_asked_for_in_dev(service: Service) -> None:
    client = service.with_settings(dev=True, signing_key=KEY)
    headers = {"Authorization": "Bearer undefined"}
    assert client.post("/fn/register", json=payload(), headers=headers).status_code == 200
