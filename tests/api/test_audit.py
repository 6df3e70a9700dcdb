"""Acts through the API are in the audit log: their key, their address, and the claimed user."""

from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import text

from inngest_py.api.actors import fingerprint
from inngest_py.engine.runtime import audit
from inngest_py.engine.upkeep import leftovers
from inngest_py.storage.queries import audit_log
from tests.api.conftest import Service

KEY, OLD = "signkey-prod-" + "ab" * 16, "cd" * 16
RANGE = {"started_after": "2020-01-01T00:00:00Z", "started_before": "2026-01-01T00:00:00Z"}
URL = "http://127.0.0.1:9/api/inngest"


def gql(mutation: str) -> tuple[str, str, Any]:
    return "POST", "/v0/gql", {"query": f"mutation {{ {mutation} }}"}


ACTS: dict[str, list[tuple[str, str, Any]]] = {
    "run.cancel": [
        ("DELETE", "/v1/runs/<run>", None),
        ("DELETE", "/api/v1/runs/<run>", None),
        ("DELETE", "/v0/runs/<run>", None),
        ("POST", "/v2/runs/<run>/cancel", None),
        gql('cancelRun(runID: "<run>") { id }'),
    ],
    "run.rerun": [("POST", "/v2/runs/<run>/rerun", None), gql('rerun(runID: "<run>")')],
    "runs.cancel": [
        ("POST", "/v1/cancellations", {"app_id": "app", "function_id": "app-fn", **RANGE})
    ],
    "operation.cancel": [
        (
            "POST",
            f"{prefix}/operations",
            {"kind": "cancel", "selection": {"function": "app-fn"}},
        )
        for prefix in ("/v1", "/api/v1")
    ],
    "function.pause": [
        ("POST", "/v1/functions/app-fn/pause", {}),
        ("POST", "/api/v1/functions/app-fn/pause", {}),
    ],
    "function.resume": [
        ("POST", "/v1/functions/app-fn/resume", None),
        ("POST", "/api/v1/functions/app-fn/resume", None),
    ],
    "function.invoke": [
        ("POST", "/v2/apps/app/functions/app-fn/invoke", {"data": {}}),
        gql('invokeFunction(functionSlug: "app-fn")'),
    ],
    "limits.override": [
        ("PUT", "/v1/functions/app-fn/limits", {"concurrency": 3}),
        ("PUT", "/api/v1/functions/app-fn/limits", {"concurrency": 3}),
    ],
    "limits.restore": [
        ("DELETE", "/v1/functions/app-fn/limits", None),
        ("DELETE", "/api/v1/functions/app-fn/limits", None),
    ],
    "app.add": [
        gql(f'createApp(input: {{url: "{URL}"}}) {{ id }}'),
        ("POST", "/v1/apps", {"url": URL}),
        ("POST", "/api/v1/apps", {"url": URL}),
    ],
    "app.sync": [
        gql(f'updateApp(input: {{id: "<app>", url: "{URL}"}}) {{ id }}'),
        ("POST", "/v2/apps/app/syncs", {"url": URL}),
        ("POST", "/v1/apps/app/sync", None),
    ],
    "app.archive": [
        gql('deleteApp(id: "<app>")'),
        gql('deleteAppByName(name: "app")'),
        ("POST", "/v1/apps/app/archive", None),
        ("DELETE", "/fn/remove?url=<url>", None),
    ],
}


def acts(service: Service) -> Any:
    with service.engine.ctx.db.reading() as tx:
        return audit_log.page(tx, first=50).rows


def call(client: FlaskClient, service: Service, asked: tuple[str, str, Any], **headers: str) -> Any:
    method, path, body = asked
    run = service.engine.start()
    with service.engine.ctx.db.reading() as tx:
        app, url = tx.execute(text("SELECT id, url FROM apps")).one()
    for name, value in (("<run>", run), ("<app>", app), ("<url>", url)):
        path = path.replace(name, value)
        if body and "query" in body:
            body = {"query": body["query"].replace(name, value)}
    return client.open(path, method=method, json=body, headers=headers)


@pytest.mark.parametrize(
    ("action", "asked"), [(action, asked) for action, many in ACTS.items() for asked in many]
)
def test_act_is_logged_with_its_key(
    service: Service, action: str, asked: tuple[str, str, Any]
) -> None:
    client = service.with_settings(dev=False, signing_key=KEY, signing_key_fallback=OLD)
    answered = call(client, service, asked, Authorization=f"Bearer {OLD}")
    assert answered.status_code < 300, answered.text
    assert not (answered.json or {}).get("errors"), answered.text
    [noted] = acts(service)
    assert (noted["action"], noted["name"]) == (action, f"signing key {fingerprint(OLD)}")
    assert noted["address"] == "127.0.0.1"
    assert noted["target"]
    assert KEY not in str(noted) and OLD not in str(noted)


def test_deleting_a_bulk_cancellation_is_logged(service: Service) -> None:
    made = call(service.client, service, ACTS["runs.cancel"][0]).json["data"]["id"]
    assert service.client.delete(f"/v1/cancellations/{made}").status_code == 200
    assert {(one["action"], one["name"]) for one in acts(service)} == {
        ("runs.cancel", "anybody"),
        ("runs.cancel.stop", "anybody"),
    }


def test_refused_request_is_not_logged_as_an_act(service: Service) -> None:
    client = service.with_settings(dev=False, signing_key=KEY)
    for asked in (one for many in ACTS.values() for one in many):
        assert call(client, service, asked, Authorization="Bearer 00").status_code == 401
    assert acts(service) == []


def test_command_line_names_its_user(service: Service) -> None:
    said = {"X-Inngest-Py-User": "ann\x7f" + "x" * 200}
    call(service.client, service, ACTS["run.cancel"][0], **said)
    service.client.post("/api/v1/events", json={"name": "a/b", "data": {}}, headers=said)
    service.client.post("/api/v1/events", json={"name": "a/b", "data": {}})  # a program's
    assert {one["action"] for one in acts(service)} == {"event.send", "run.cancel"}
    assert all("(as annxx" in one["detail"] and len(one["detail"]) < 100 for one in acts(service))


def test_a_trusted_proxy_names_the_address(service: Service) -> None:
    client = service.with_settings(ui_proxies=("127.0.0.0/8",))
    forwarded = {"X-Forwarded-For": "6.6.6.6, 192.0.2.9"}
    call(client, service, ACTS["run.cancel"][0], **forwarded)
    call(service.client, service, ACTS["run.cancel"][0], **forwarded)
    assert sorted(one["address"] for one in acts(service)) == ["127.0.0.1", "192.0.2.9"]


def test_old_acts_are_deleted_and_young_ones_kept(service: Service) -> None:
    ctx = service.engine.ctx
    kept = timedelta(days=30)
    with ctx.db.transaction() as tx:
        for days in (31, 400, 29, 0):
            audit.note(tx, audit.Actor("ann"), ctx.now() - timedelta(days=days), f"{days}")
    leftovers.forget_acts(ctx)
    assert len(acts(service)) == 4  # kept for ever, unless settings say otherwise
    ctx.tuning = ctx.tuning.__class__(keep_audit=kept)
    while leftovers.forget_acts(ctx):
        pass
    assert {one["action"] for one in acts(service)} == {"29", "0"}
