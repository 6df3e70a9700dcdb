"""API tokens: what each scope opens, how they end, and that nothing shows them."""

import json
import logging
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from click.testing import CliRunner
from flask.testing import FlaskClient
from sqlalchemy import event

from inngest_py import canvas
from inngest_py.api import token_roles
from inngest_py.cli import cli
from inngest_py.domain.access.api_tokens import Scope
from inngest_py.domain.access.roles import Role
from inngest_py.domain.errors import Conflict
from inngest_py.engine.admin import api_tokens
from inngest_py.engine.apps import celery_apps
from inngest_py.engine.runtime.api_tokens import KEPT_SECONDS, ApiTokens
from inngest_py.storage.db.session import Database
from inngest_py.storage.queries import audit_log
from tests.api.conftest import Service, serving
from tests.api.test_auth import DOCUMENTED, KEY, KEYS
from tests.api.test_bad_requests import UNKNOWN, calls, urls_of

TOKENS = "/v1/tokens"
# Changes that only an admin's token may make, and what only it may read.
ADMINS = {
    ("GET", "/v1/tokens"),
    ("POST", "/v1/tokens"),
    ("DELETE", "/v1/tokens/<token_id>"),
    *(("GET", f"{at}/keys/{kind}") for at in ("/v2", "/api/v2") for kind in ("events", "signing")),
    ("DELETE", "/fn/remove"),
    *(("POST", f"{at}/apps/<path:app>/archive") for at in ("/v1", "/api/v1")),
    ("POST", "/v1/alerts/receivers"),
    ("PATCH", "/v1/alerts/receivers/<receiver_id>"),
    ("DELETE", "/v1/alerts/receivers/<receiver_id>"),
    ("POST", "/v1/alerts/receivers/<receiver_id>/test"),
    ("PUT", "/v1/celery/<name>"),
    ("DELETE", "/v1/celery/<name>"),
    ("PUT", "/v1/celery/<name>/workflows/<workflow>"),
    ("DELETE", "/v1/celery/<name>/workflows/<workflow>"),
    # pages let operators delete their own
    *(("DELETE", f"{at}/views/<view_id>") for at in ("/v1", "/api/v1")),
    # SDKs call these, with the signing key
    ("POST", "/v0/connect/start"),
    ("POST", "/v0/connect/flush"),
    ("POST", "/v1/checkpoint"),
    ("POST", "/v1/checkpoint/<run_id>/async"),
    ("POST", "/v1/checkpoint/<run_id>/steps"),
    ("POST", "/v1/http/runs"),
    ("POST", "/v1/http/runs/<run_id>/async"),
    ("POST", "/v1/http/runs/<run_id>/steps"),
    ("POST", "/v1/traces/userland"),
    ("POST", "/v0/telemetry"),
    *(("POST", f"/dev/{kind}") for kind in ("traces", "logs", "metrics")),
}
_ABSENT = ("partner", "account", "env", "insights", "experiments", "sandboxes", "sessions")


@pytest.fixture
def guarded(db: Database) -> Service:
    """A production server with its keys."""
    return Service(db, **KEYS)


def make(service: Service, scope: Scope, expires_in: str = "90d", name: str = "") -> str:
    ctx = service.engine.ctx
    return api_tokens.add(ctx.db, name or f"of {scope}", scope, expires_in, ctx.now())[0]


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_a_change_that_is_not_listed_needs_an_admin(guarded: Service) -> None:
    found = {
        (method, rule.rule)
        for method, rule in calls(guarded)
        if rule.rule not in DOCUMENTED
        and rule.rule.removeprefix("/api").split("/")[2:3] not in [[name] for name in _ABSENT]
        and not rule.rule.removeprefix("/api").startswith("/v2/envs")
        and token_roles.needed(method, rule.rule) is Role.ADMIN
    }
    assert found == ADMINS


@pytest.mark.parametrize("scope", list(Scope))
def test_a_scope_opens_what_its_role_may_do(guarded: Service, scope: Scope) -> None:
    sent = bearer(make(guarded, scope))
    seen = set()
    for method, rule in calls(guarded):
        if rule.rule in DOCUMENTED or method == "OPTIONS":
            continue
        wanted = token_roles.needed(method, rule.rule)
        allowed = scope.may_send_events() if wanted is None else scope.may(wanted)
        url = urls_of(rule, UNKNOWN)
        answered = guarded.client.open(url, method=method, headers=sent, data=b"{")
        assert (answered.status_code == 403) is not allowed, f"{method} {url} {answered.text}"
        assert answered.status_code != 401
        seen.add((wanted, allowed))
    assert len(seen) == 4


def test_a_place_is_made_by_a_token_that_has_ended(
    guarded: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_tokens, "MOST_TOKENS", 2)
    ctx = guarded.engine.ctx
    make(guarded, Scope.VIEWER)
    make(guarded, Scope.EVENTS)
    with pytest.raises(Conflict, match="revoke some first"):
        make(guarded, Scope.ADMIN)
    oldest = api_tokens.every(ctx.db)[0]
    api_tokens.revoke(ctx.db, oldest.id, ctx.now())
    make(guarded, Scope.ADMIN)
    assert oldest.id not in [one.id for one in api_tokens.every(ctx.db)]
    assert len(api_tokens.every(ctx.db)) == 2


def test_a_viewer_cannot_let_the_server_call_a_url(guarded: Service) -> None:
    body = {"app": "http://127.0.0.1:1/api/inngest", "all": True}
    sent = bearer(make(guarded, Scope.VIEWER))
    assert guarded.client.post("/api/v1/replay-check", json=body, headers=sent).status_code == 403


def test_where_no_key_is_needed_no_token_is_asked_for(service: Service) -> None:
    sent = bearer("ipt_" + "x" * 40)
    for path in ("/v1/realtime/publish?channel=c&topic=t", "/v1/realtime/publish/tee?channel=c"):
        assert service.client.post(path, data="1", headers=sent).status_code == 200


def test_a_refusal_says_what_is_missing(guarded: Service) -> None:
    viewer, events = make(guarded, Scope.VIEWER), make(guarded, Scope.EVENTS)
    refused = guarded.client.delete("/v1/runs/x", headers=bearer(viewer))
    assert refused.json["error"] == (
        "this needs the role operator, and the API token of viewer is viewer"
    )
    refused = guarded.client.get("/v1/events", headers=bearer(events))
    assert refused.json["error"] == (
        "this needs the role viewer, and the API token of events may only send events"
    )
    refused = guarded.client.post("/v2/events", headers=bearer(viewer), json={})
    assert "the scope events or the role operator" in refused.json["errors"][0]["message"]
    refused = guarded.client.post(f"/e/{viewer}", json={"name": "a/b"})
    assert (refused.status_code, refused.json["ids"]) == (403, [])


@pytest.mark.parametrize("scope", [Scope.EVENTS, Scope.OPERATOR, Scope.ADMIN])
def test_events_are_sent_by_a_token(guarded: Service, scope: Scope) -> None:
    token, body = make(guarded, scope), {"name": "shop/order", "data": {}}
    sent = [
        guarded.client.post(f"/e/{token}", json=body),
        guarded.client.post("/e/none", json=body, headers=bearer(token)),
        guarded.client.post("/api/v1/events", json=body, headers=bearer(token)),
        guarded.client.post("/v2/events", json=body, headers=bearer(token)),
    ]
    assert [answered.status_code for answered in sent] == [200] * 4
    assert guarded.client.post("/e/k", json=body).status_code == 200, "event keys work as before"
    assert guarded.client.post("/e/none", json=body).status_code == 401


def gql(client: FlaskClient, query: str, token: str) -> Any:
    return client.post("/v0/gql", json={"query": query}, headers=bearer(token))


def test_mutations_of_graphql_need_their_role(guarded: Service) -> None:
    viewer, operator = make(guarded, Scope.VIEWER), make(guarded, Scope.OPERATOR)
    invoke = 'mutation { invokeFunction(functionSlug: "app-fn") }'
    assert gql(guarded.client, "{ apps { id } }", viewer).status_code == 200
    refused = gql(guarded.client, invoke, viewer)
    assert refused.status_code == 403
    assert refused.json["errors"][0]["message"].startswith("this needs the role operator")
    assert refused.json["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    assert gql(guarded.client, invoke, operator).json["data"] == {"invokeFunction": True}
    archive = 'mutation { deleteAppByName(name: "app") }'
    refused = gql(guarded.client, archive, operator)
    assert refused.json["errors"][0]["message"].startswith("this needs the role admin")
    done = gql(guarded.client, archive, make(guarded, Scope.ADMIN))
    assert done.json["data"] == {"deleteAppByName": True}


def test_a_token_is_made_listed_and_revoked_over_http(guarded: Service) -> None:
    client, key = guarded.client, bearer(KEY)
    body = {"name": "deploys", "scope": "viewer", "expires_in": "1h"}
    made = client.post(TOKENS, json=body, headers=key)
    assert made.status_code == 201
    one = made.json["data"]
    token = one.pop("token")
    assert token.startswith("ipt_")
    assert client.get(TOKENS, headers=key).json["data"] == [one]
    assert one["state"] == "active"
    assert client.get("/v1/events", headers=bearer(token)).status_code == 200
    refused = client.post(TOKENS, json=body, headers=key)
    assert (refused.status_code, "deploys already" in refused.json["error"]) == (409, True)
    revoked = client.delete(f"{TOKENS}/{one['id']}", headers=key).json["data"]
    assert revoked["state"] == "revoked"
    refused = client.get("/v1/events", headers=bearer(token))
    assert refused.status_code == 401
    assert "the API token deploys was revoked at 20" in refused.json["error"]
    again = client.delete(f"{TOKENS}/{one['id']}", headers=key)
    assert (again.status_code, "revoked already" in again.json["error"]) == (409, True)
    assert client.delete(f"{TOKENS}/none", headers=key).status_code == 404
    assert client.post(TOKENS, json=body, headers=key).status_code == 201, "the name is free"
    with guarded.engine.ctx.db.reading() as tx:
        acts = audit_log.page(tx, first=10).rows
    assert sorted(act["action"] for act in acts) == [
        *("api_token.add", "api_token.add", "api_token.revoke"),
    ]
    assert token not in str(acts)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"scope": "king"}, "scope must be one of events, viewer, operator, admin"),
        ({"expires_in": "soon"}, "'soon' is not a duration"),
        ({"expires_in": "0s"}, "expires_in must be above 0"),
        ({"expires_in": "100000d"}, "up to 3650d, or never"),
        ({"name": ""}, "a name has 1 to 64"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_bad_input_names_the_field(guarded: Service, change: dict[str, str], said: str) -> None:
    body = {"name": "deploys", "scope": "viewer", **change}
    answered = guarded.client.post(TOKENS, json=body, headers=bearer(KEY))
    assert (answered.status_code, said in answered.json["error"]) == (400, True), answered.text


def test_a_token_ends_by_itself(guarded: Service) -> None:
    token, forever = make(guarded, Scope.EVENTS, "1h"), make(guarded, Scope.VIEWER, "never")
    assert guarded.client.post(f"/e/{token}", json={"name": "a/b"}).status_code == 200
    guarded.engine.now += timedelta(hours=1)
    refused = guarded.client.post(f"/e/{token}", json={"name": "a/b"})
    assert refused.status_code == 401
    assert "the API token of events expired at 20" in refused.json["error"]
    guarded.engine.now += timedelta(days=10_000)
    assert guarded.client.get("/v1/events", headers=bearer(forever)).status_code == 200


def test_an_unknown_token_is_told_so_and_is_in_no_log(
    guarded: Service, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    wrong = make(guarded, Scope.ADMIN)[:-1] + "?"
    for answered in (
        guarded.client.get("/v1/events", headers=bearer(wrong)),
        guarded.client.post(f"/e/{wrong}", json={"name": "a/b"}),
        guarded.client.post("/invoke/app-fn", json={}, headers=bearer(wrong)),
        guarded.client.post("/v1/realtime/publish?channel=a&topic=b", headers=bearer(wrong)),
    ):
        assert answered.status_code == 401
        assert "the API token is unknown here" in answered.json["error"]
        assert wrong not in answered.text
    lines = [str(record.__dict__) for record in caplog.records]
    assert any("api.key_refused" in line and "API token" in line for line in lines)
    assert not any(wrong in line for line in lines)


def test_an_act_is_logged_with_the_name_of_its_token(guarded: Service) -> None:
    sent = bearer(make(guarded, Scope.OPERATOR, name="deploys"))
    assert guarded.client.post("/v1/functions/app-fn/pause", headers=sent).status_code == 200
    with guarded.engine.ctx.db.reading() as tx:
        acts = audit_log.page(tx, first=10).rows
    assert ("function.pause", "API token deploys") in [(act["action"], act["name"]) for act in acts]


def test_an_admins_token_sees_no_signing_key(guarded: Service) -> None:
    sent = bearer(make(guarded, Scope.ADMIN))
    for kind in ("events", "signing"):
        shown = guarded.client.get(f"/v2/keys/{kind}", headers=sent).json["data"]
        assert all(one["key"].endswith("…") or len(one["key"]) < 4 for one in shown), shown
        assert KEY not in str(shown)
    assert KEY in guarded.client.get("/v2/keys/signing", headers=bearer(KEY)).text


def test_a_dev_server_asks_for_no_token(service: Service) -> None:
    assert service.client.get("/v1/events", headers=bearer("ipt_wrong")).status_code == 200


def last_used(service: Service) -> list[Any]:
    return [one.last_used_at for one in api_tokens.every(service.engine.ctx.db)]


def test_the_last_use_is_written_once_a_minute_after_the_answer(guarded: Service) -> None:
    ctx, sent = guarded.engine.ctx, bearer(make(guarded, Scope.VIEWER))
    began = ctx.now()
    answered = guarded.client.get("/v1/events", headers=sent)
    assert last_used(guarded) == [None]
    answered.close()
    assert last_used(guarded) == [began]
    for after, noted in ((59, began), (61, began + timedelta(seconds=61))):
        guarded.engine.now = began + timedelta(seconds=after)
        guarded.client.get("/v1/events", headers=sent).close()
        assert last_used(guarded) == [noted]


def test_what_is_known_of_a_token_is_read_once_in_ten_seconds(guarded: Service) -> None:
    ctx, token = guarded.engine.ctx, make(guarded, Scope.EVENTS)
    now, read = [0.0], [0]
    known = ApiTokens(lambda: now[0])

    def count(*_: object) -> None:
        read[0] += 1

    event.listen(ctx.db.engine, "before_cursor_execute", count)
    for moment, reads in ((0.0, 1), (KEPT_SECONDS - 0.1, 1), (KEPT_SECONDS, 2)):
        now[0] = moment
        for given in (token, token):
            assert known.find(ctx.db, given) is not None
        assert read[0] == reads
    event.remove(ctx.db.engine, "before_cursor_execute", count)
    [one] = api_tokens.every(ctx.db)
    api_tokens.revoke(ctx.db, one.id, ctx.now())
    kept = known.find(ctx.db, token)
    assert kept is not None and kept.refusal(ctx.now()) is None
    now[0] += KEPT_SECONDS
    ended = known.find(ctx.db, token)
    assert ended is not None and "was revoked" in (ended.refusal(ctx.now()) or "")


def test_ended_tokens_are_kept_for_a_month(guarded: Service) -> None:
    ctx = guarded.engine.ctx
    make(guarded, Scope.VIEWER, "1h", name="a")
    for name, left in (("b", ["a", "b"]), ("c", ["b", "c"])):
        guarded.engine.now += timedelta(days=16)
        make(guarded, Scope.ADMIN, "never", name=name)
        assert [one.name for one in api_tokens.every(ctx.db)] == left


def test_tokens_by_command(db: Database) -> None:
    url = db.url.render_as_string(hide_password=False)

    def run(*args: str) -> tuple[int, str, str]:
        done = CliRunner().invoke(cli, ["tokens", *args, "--database-url", url])
        return done.exit_code, done.stdout, done.stderr

    code, token, told = run("add", "deploys", "--scope", "operator", "--expires", "30d")
    assert code == 0
    assert token.startswith("ipt_")
    assert "deploys (operator) is valid until 20" in told
    assert run("add", "deploys", "--scope", "events")[0] == 1
    listed = run("list")[1]
    assert "deploys" in listed and "active" in listed and "not used yet" in listed
    assert token.strip() not in listed
    [found] = json.loads(run("list", "--json")[1])
    assert (found["name"], found["scope"], found["state"]) == ("deploys", "operator", "active")
    assert found["last_used_at"] is None
    assert run("revoke", "deploys")[1] == "deploys is revoked\n"
    assert "revoked" in run("list")[1]
    assert "there is no API token 'nobody'" in run("revoke", "nobody")[2]


def test_client_of_canvases_is_let_in_by_a_token(
    guarded: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without one, and without a key, it says what to set."""
    celery_apps.add(guarded.engine.ctx, "shop", "redis://127.0.0.1:1/0")
    send = partial(canvas.send, {"task": "celery.group", "kwargs": {"tasks": []}}, app="shop")
    with serving(guarded.app) as url:
        with pytest.raises(
            canvas.CanvasError, match=r"\(401\): set INNGEST_API_TOKEN, or INNGEST_SI"
        ):
            send(url=url)
        monkeypatch.setenv("INNGEST_SIGNING_KEY", "00")
        with pytest.raises(
            canvas.CanvasError, match=r"\(401\): set INNGEST_API_TOKEN, or INNGEST_SI"
        ):
            send(url=url)
        monkeypatch.setenv("INNGEST_API_TOKEN", make(guarded, Scope.VIEWER))
        with pytest.raises(canvas.CanvasError, match="viewer"):
            send(url=url)
        monkeypatch.setenv("INNGEST_API_TOKEN", f"{make(guarded, Scope.OPERATOR)}\n")
        assert send(url=url).status() == "queued"
