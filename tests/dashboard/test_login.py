"""Production: nothing of the dashboard is open, and each role may do what it should."""

import json
from datetime import timedelta
from typing import Any

import pytest
from click.testing import CliRunner
from flask.testing import FlaskClient
from werkzeug.routing import Rule

from inngest_py.api.bodies import LIMITS
from inngest_py.cli import cli
from inngest_py.config import Settings
from inngest_py.domain.access.roles import Role
from inngest_py.engine.admin import accounts
from inngest_py.storage.db.session import Database
from inngest_py.storage.queries import audit_log
from tests.api.test_bad_requests import UNKNOWN, urls_of
from tests.dashboard.conftest import _CSRF, Site
from tests.engine.waiting import waits
from tests.factories import op

KEYS: dict[str, Any] = {"dev": False, "event_keys": ("k",), "signing_key": "abcdef"}
OPEN = {"/login", "/logout", "/ui/static/<path:filename>"}
PASSWORD = "correct horse"


class Production(Site):
    """A production server with a user of each role."""

    def __init__(self, db: Database, **settings: Any) -> None:
        super().__init__(db, **{**KEYS, **settings})
        for role in Role:
            accounts.add(db, role.value, PASSWORD, role, self.engine.now)

    def log_in(self, name: str, password: str = PASSWORD, status: int = 303) -> FlaskClient:
        client = self.app.test_client()
        csrf = _CSRF.search(client.get("/login").text)
        assert csrf is not None
        form = {"csrf": csrf.group(1), "name": name, "password": password}
        answered = client.post("/login", data=form)
        assert answered.status_code == status, answered.text
        return client


@pytest.fixture
def production(db: Database) -> Production:
    return Production(db)


def calls(site: Site) -> list[tuple[str, Rule]]:
    found = []
    for rule in site.app.url_map.iter_rules():
        if rule.endpoint.startswith("ui."):
            found += [(method, rule) for method in sorted((rule.methods or set()) - {"OPTIONS"})]
    return found


def test_no_route_is_open(production: Production) -> None:
    seen = 0
    for method, rule in calls(production):
        if rule.rule in OPEN:
            continue
        for headers in ({}, {"Authorization": "Bearer abcdef"}, {"X-User": "admin"}):
            client = production.app.test_client()
            client.get("/login")
            answered = client.open(urls_of(rule, UNKNOWN), method=method, headers=headers)
            to_login = answered.status_code == 303 and "/login" in answered.location
            assert to_login or answered.status_code in (401, 403), f"{method} {rule.rule}"
            seen += 1
    assert seen > 60


def test_the_api_still_asks_for_its_key(production: Production) -> None:
    client = production.log_in("admin")
    assert client.get("/v1/events").status_code == 401
    assert client.post("/v0/gql", json={"query": "{apps{id}}"}).status_code == 401


@pytest.mark.parametrize("role", list(Role))
def test_roles(production: Production, role: Role) -> None:
    from inngest_py.dashboard.routes import ROLES

    client = production.log_in(role.value)
    page = client.get("/apps").text
    csrf = _CSRF.search(page)
    assert csrf is not None
    for method, rule in calls(production):
        wanted = ROLES[rule.endpoint]
        if wanted is None or rule.endpoint == "ui.live" or method == "HEAD":
            continue
        form = {"csrf": csrf.group(1)} if method == "POST" else None
        answered = client.open(urls_of(rule, UNKNOWN), method=method, data=form)
        assert (answered.status_code == 403) is not role.may(wanted), f"{method} {rule.rule}"


def test_no_wait_is_skipped(production: Production) -> None:
    production.engine.sdk.script = waits(op("Sleep", "nap", name="3d"))
    run_id = production.engine.start()
    production.engine.drain()
    [item] = production.engine.queued(run_id)
    client = production.log_in("admin")
    page = client.get(f"/runs/{run_id}").text
    assert "Sleeps in step" in page
    assert "Skip this wait" not in page
    csrf = _CSRF.search(page)
    assert csrf is not None
    form = {"csrf": csrf.group(1), "item": item["id"]}
    answered = client.post(f"/runs/{run_id}/skip", data=form)
    assert answered.status_code == 404
    assert "on dev servers alone" in answered.text
    assert production.engine.queued(run_id)[0]["due_at"] == item["due_at"]


def test_login_leads_back_but_never_to_another_server(production: Production) -> None:
    client = production.app.test_client()
    assert client.get("/runs?status=failed").location == "/login?next=/runs?status%3Dfailed"
    for given, leads in (
        ("/runs?status=failed", "/runs?status=failed"),
        ("//evil.example", "/"),
        ("https://evil.example", "/"),
        ("/\\\\evil.example", "/"),
        ("", "/"),
    ):
        client = production.app.test_client()
        csrf = _CSRF.search(client.get("/login").text)
        assert csrf is not None
        form = {"csrf": csrf.group(1), "name": "viewer", "password": PASSWORD, "next": given}
        assert client.post("/login", data=form).location == leads


def test_size_of_a_login_form_is_limited(production: Production) -> None:
    client = production.app.test_client()
    csrf = _CSRF.search(client.get("/login").text)
    assert csrf is not None
    form = {"csrf": csrf.group(1), "name": "x" * LIMITS["/login"], "password": PASSWORD}
    answered = client.post("/login", data=form)
    assert answered.status_code == 413
    assert f"the body is over {LIMITS['/login']} bytes" in answered.text


def test_cookies_change_with_the_login_and_end_with_it(production: Production) -> None:
    client = production.app.test_client()
    client.get("/login")
    before = client.get_cookie("inngest_py_ui")
    client = production.log_in("viewer")
    after = client.get_cookie("inngest_py_ui")
    assert before is not None
    assert after is not None
    assert before.value != after.value
    page = client.get("/").text
    csrf = _CSRF.search(page)
    assert csrf is not None
    stolen = production.app.test_client()
    stolen.set_cookie("inngest_py_ui", after.value)
    assert stolen.get("/").status_code == 200
    client.post("/logout", data={"csrf": csrf.group(1)})
    assert stolen.get("/").status_code == 303


def test_sessions_end_by_time_password_and_removal(production: Production) -> None:
    clients = [production.log_in(name) for name in ("viewer", "operator", "admin")]
    assert [client.get("/").status_code for client in clients] == [200] * 3
    now, db = production.engine.now, production.engine.ctx.db
    accounts.change_password(db, "viewer", "another one", now)
    accounts.remove(db, "operator", now)
    assert [client.get("/").status_code for client in clients] == [303, 303, 200]
    production.engine.now += accounts.SESSION + timedelta(seconds=1)
    assert clients[2].get("/").status_code == 303
    production.log_in("viewer", status=401)
    production.log_in("viewer", "another one")


def test_tries_are_limited(production: Production) -> None:
    for _ in range(10):
        production.log_in("admin", "wrong password", 401)
    production.log_in("admin", status=429)  # even with the right password
    production.log_in("viewer")  # other users can
    for number in range(20):
        production.log_in(f"nobody{number}", "x", 401)
    production.log_in("operator", status=429)  # the address is closed
    production.engine.now += timedelta(minutes=16)
    production.log_in("admin")


def closed(production: Production) -> list[tuple[str, str, str]]:
    with production.engine.ctx.db.reading() as tx:
        acts = audit_log.page(tx, first=1000).rows
    told = [(act["action"], act["name"], act["address"]) for act in acts]
    return sorted(act for act in told if act[0].endswith("_closed"))


def test_a_closed_name_or_address_leaves_one_row_and_one_line(
    production: Production, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(10):
        production.log_in("admin", "wrong password", 401)
    assert closed(production) == []
    for _ in range(3):
        production.log_in("admin", status=429)
    expected = [("login.name_closed", "admin", "127.0.0.1")]
    assert closed(production) == sorted(expected)
    for number in range(20):
        production.log_in(f"nobody{number}", "x", 401)
    for number in range(3):
        production.log_in(f"another{number}", "x", 429)
    expected.append(("login.address_closed", "another0", "127.0.0.1"))
    assert closed(production) == sorted(expected)
    production.engine.now += timedelta(minutes=16)
    for _ in range(10):
        production.log_in("admin", "wrong password", 401)
    production.log_in("admin", status=429)
    expected.append(expected[0])
    assert closed(production) == sorted(expected)
    lines = [record for record in caplog.records if record.message.startswith("login.closed")]
    assert len(lines) == len(expected)


def test_acts_are_in_the_audit_log(production: Production) -> None:
    run_id = production.engine.start()
    client = production.log_in("operator")
    csrf = _CSRF.search(client.get(f"/runs/{run_id}").text)
    assert csrf is not None
    assert client.post(f"/runs/{run_id}/cancel", data={"csrf": csrf.group(1)}).status_code == 303
    production.log_in("operator", "wrong password", 401)
    page = production.log_in("admin").get("/audit").text
    for shown in ("run.cancel", run_id, "login.failed", "user.add", "127.0.0.1"):
        assert shown in page
    with production.engine.ctx.db.reading() as tx:
        acts = audit_log.page(tx, first=10, name="operator").rows
    assert sorted(act["action"] for act in acts) == ["login", "login.failed", "run.cancel"]
    assert PASSWORD not in str(acts)


def test_trusted_proxies_name_the_user(db: Database) -> None:
    proxied = {"ui_proxy_header": "X-User", "ui_proxies": ("127.0.0.0/8",)}
    site = Production(db, **proxied)
    client = site.app.test_client()
    assert client.get("/runs").status_code == 303
    for name, status in (("admin", 200), ("viewer", 403), ("stranger", 403)):
        assert client.get("/audit", headers={"X-User": name}).status_code == status
        assert client.get("/runs", headers={"X-User": name}).status_code == 200
    elsewhere = {"REMOTE_ADDR": "192.0.2.1"}
    refused = client.get("/runs", headers={"X-User": "admin"}, environ_base=elsewhere)
    assert refused.status_code == 303
    secure = {"X-User": "admin", "X-Forwarded-Proto": "https"}
    cookie = site.app.test_client().get("/runs", headers=secure).headers["Set-Cookie"]
    assert "Secure" in cookie


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"ui_proxy_header": "X-User"}, "needs INNGEST_UI_PROXIES (--ui-proxy)"),
        ({"ui_proxies": ("everywhere",)}, "not an address"),
        ({"ui_proxy_role": "king"}, "unknown"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, Any], said: str) -> None:
    found = Settings(database_url="sqlite://", **settings).errors()
    assert any(said in error for error in found)


def test_users_by_command(db: Database) -> None:
    url = db.url.render_as_string(hide_password=False)

    def run(*args: str, given: str = "") -> tuple[int, str]:
        done = CliRunner().invoke(cli, ["users", *args, "--database-url", url], input=given)
        return done.exit_code, done.output

    assert run("add", "ann", "--role", "admin", given=f"{PASSWORD}\n")[0] == 0
    assert "already" in run("add", "ann", given=f"{PASSWORD}\n")[1]
    assert "8 to" in run("add", "bob", given="short\n")[1]
    assert run("list")[1].split() == ["ann", "admin"]
    assert run("passwd", "ann", given="another password\n")[0] == 0
    for args in (("remove", "ann"), ("role", "ann", "viewer")):
        code, told = run(*args)
        assert (code, "ann is the last admin" in told) == (1, True), told
    assert run("add", "bob", given=f"{PASSWORD}\n")[0] == 0
    assert run("role", "bob", "admin")[1] == "bob is admin\n"
    assert run("remove", "ann")[0] == 0
    assert run("remove", "ann")[0] == 1
    assert run("role", "ann", "viewer")[0] == 1
    assert run("list")[1].split() == ["bob", "admin"]
    assert json.loads(run("list", "--json")[1]) == [{"name": "bob", "role": "admin"}]
    assert json.loads(run("role", "bob", "admin", "--json")[1])["role"] == "admin"
