"""Users on pages: what admins do with them, and each user's own password."""

import re
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from flask.testing import FlaskClient

from inngest_py.domain.access.roles import Role
from inngest_py.domain.errors import Conflict
from inngest_py.engine.admin import accounts
from inngest_py.storage.db.session import Database
from inngest_py.storage.queries import audit_log
from tests.dashboard.conftest import _CSRF, EVIL, Site
from tests.dashboard.test_login import PASSWORD, Production

_SECRET = re.compile(r'class="notice secret".*?<pre[^>]*>([^<]+)</pre>', re.DOTALL)
_WRONG = re.compile(r'class="wrong">([^<]+)<')


@pytest.fixture
def production(db: Database) -> Production:
    return Production(db)


def post(client: FlaskClient, path: str, status: int = 303, **form: str) -> str:
    """Send a form as a browser does; return the page that it leads to."""
    csrf = _CSRF.search(client.get("/account").text)
    assert csrf is not None
    answered = client.post(path, data={"csrf": csrf.group(1), **form})
    assert answered.status_code == status, answered.text
    return client.get(answered.location).text if status == 303 else answered.text


def acts(site: Site, prefix: str) -> list[tuple[str, str, str, str]]:
    """List what was done by people; the engine's clock stands, so there is no order."""
    with site.engine.ctx.db.reading() as tx:
        rows = audit_log.page(tx, first=100).rows
    found = [(row["action"], row["name"], row["target"], row["detail"]) for row in rows]
    return sorted(act for act in found if act[0].startswith(prefix) and act[1] != "command line")


def test_an_admin_adds_changes_and_removes_a_user(production: Production) -> None:
    admin = production.log_in("admin")
    page = post(admin, "/users", 200, name="ann", role="viewer")
    made = _SECRET.search(page)
    assert made is not None
    assert made.group(1) not in admin.get("/users").text, "it is shown once"
    ann = production.log_in("ann", made.group(1))
    assert ann.get("/users").status_code == 403
    assert "The role is changed." in post(admin, "/users/role", name="ann", role="admin")
    assert ann.get("/users").status_code == 200, "the role holds at once"
    assert "The password is set" in post(admin, "/users/password", name="ann", password="a new one")
    assert ann.get("/").status_code == 303, "the login has ended"
    ann = production.log_in("ann", "a new one")
    reset = _SECRET.search(post(admin, "/users/password", 200, name="ann"))
    assert reset is not None
    ann = production.log_in("ann", reset.group(1))
    assert "The user is removed" in post(admin, "/users/remove", name="ann")
    assert ann.get("/").status_code == 303
    assert [act[0] for act in acts(production, "user.")] == [
        *("user.add", "user.passwd", "user.passwd", "user.remove", "user.role"),
    ]
    assert acts(production, "user.role") == [("user.role", "admin", "ann", "admin")]
    for secret in (made.group(1), reset.group(1), "a new one"):
        assert secret not in str(acts(production, ""))


@pytest.mark.parametrize(
    ("form", "status", "said"),
    [
        ({"name": ""}, 400, "a name has 1 to 64"),
        ({"name": "viewer"}, 409, "there is a user viewer already"),
        ({"password": "short"}, 400, "a password has 8 to 1024"),
        ({"role": "king"}, 400, "role must be one of viewer, operator, admin"),
    ],
)
def test_a_bad_field_is_named_beside_it(
    production: Production, form: dict[str, str], status: int, said: str
) -> None:
    admin = production.log_in("admin")
    given = {"name": f"ann {EVIL}", "role": "operator", "password": PASSWORD, **form}
    page = post(admin, "/users", status, **given)
    told = _WRONG.search(page)
    assert told is not None
    assert said in told.group(1)
    assert EVIL not in page
    assert PASSWORD not in page
    if form.get("name") is None:
        assert "ann &lt;script" in page, "what was typed is kept"


def test_the_last_admin_stays(production: Production) -> None:
    admin = production.log_in("admin")
    for path, form in (("/users/remove", {}), ("/users/role", {"role": "viewer"})):
        page = post(admin, path, 409, name="admin", **form)
        assert "admin is the last admin and cannot be" in page
    assert acts(production, "user.") == []
    post(admin, "/users/role", name="viewer", role="admin")
    post(admin, "/users/remove", name="admin")
    assert admin.get("/").status_code == 303


def test_two_admins_cannot_demote_each_other(production: Production) -> None:
    db, now = production.engine.ctx.db, production.engine.now
    accounts.change_role(db, "operator", Role.ADMIN, now)
    together = Barrier(2)

    def demote(name: str) -> bool:
        together.wait()
        try:
            accounts.change_role(db, name, Role.VIEWER, now)
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(2) as threads:
        assert sorted(threads.map(demote, ["admin", "operator"])) == [False, True]
    assert [one.role for one in accounts.every(db)].count(Role.ADMIN) == 1


@pytest.mark.parametrize("act", ["log_in", "change_own_password"])
def test_a_password_that_is_reset_while_it_is_compared_ends_all_logins(
    production: Production, monkeypatch: pytest.MonkeyPatch, act: str
) -> None:
    ctx, compare = production.engine.ctx, accounts._is_right

    def reset_meanwhile(hashed: str, password: str) -> bool:
        accounts.change_password(ctx.db, "viewer", "set by an admin", ctx.now())
        return compare(hashed, password)

    monkeypatch.setattr(accounts, "_is_right", reset_meanwhile)
    with pytest.raises(accounts.WrongPassword):
        if act == "log_in":
            accounts.log_in(ctx, "viewer", PASSWORD, "token", "::1")
        else:
            accounts.change_own_password(ctx, "viewer", PASSWORD, "my own one", "token", "::1")
    monkeypatch.undo()
    assert accounts.who(ctx, "token") is None
    accounts.log_in(ctx, "viewer", "set by an admin", "token", "::1")


def test_of_two_that_add_one_user_at_once_one_is_told(production: Production) -> None:
    db, now = production.engine.ctx.db, production.engine.now
    together = Barrier(2)

    def add(role: Role) -> bool:
        together.wait(30)
        try:
            accounts.add(db, "ann", PASSWORD, role, now)
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(2) as threads:
        assert sorted(threads.map(add, [Role.VIEWER, Role.ADMIN])) == [False, True]


def test_an_unknown_user_is_named(production: Production) -> None:
    admin = production.log_in("admin")
    for path in ("/users/role", "/users/password", "/users/remove"):
        page = post(admin, path, 404, name="nobody", role="viewer", password=PASSWORD)
        assert "there is no user nobody" in page
        # PostgreSQL takes no such character
        assert "there is no user ab" in post(admin, path, 404, name="a\0b", role="viewer")
    assert "there is no user nobody" in admin.get("/users/edit?name=nobody").text


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"old": "wrong password"}, "this is not the present password"),
        ({"password": "short", "again": "short"}, "a password has 8 to 1024"),
        ({"again": "another one"}, "this is not the new password"),
    ],
)
def test_a_password_is_not_changed_by_a_wrong_form(
    production: Production, form: dict[str, str], said: str
) -> None:
    viewer = production.log_in("viewer")
    given = {"old": PASSWORD, "password": "battery staple", "again": "battery staple", **form}
    told = _WRONG.search(post(viewer, "/account", 400, **given))
    assert told is not None
    assert said in told.group(1)
    assert viewer.get("/").status_code == 200
    production.log_in("viewer")


def test_a_user_changes_the_own_password(production: Production) -> None:
    here, elsewhere = production.log_in("viewer"), production.log_in("viewer")
    form = {"old": PASSWORD, "password": "battery staple", "again": "battery staple"}
    assert "Your password is changed" in post(here, "/account", **form)
    assert here.get("/").status_code == 200
    assert elsewhere.get("/").status_code == 303
    production.log_in("viewer", status=401)
    production.log_in("viewer", "battery staple")
    assert acts(production, "user.") == [("user.passwd", "viewer", "viewer", "")]


def test_guessing_the_present_password_closes_the_name(production: Production) -> None:
    viewer = production.log_in("viewer")
    form = {"password": "battery staple", "again": "battery staple"}
    for number in range(10):
        post(viewer, "/account", 400, old=f"guess {number}", **form)
    told = _WRONG.search(post(viewer, "/account", 429, old=PASSWORD, **form))
    assert told is not None
    assert "too many failed tries" in told.group(1)


def test_pages_say_who_is_managed_by_a_proxy(db: Database) -> None:
    site = Production(db, ui_proxy_header="X-User", ui_proxies=("127.0.0.0/8",))
    client, named = site.app.test_client(), {"X-User": "admin"}
    page = client.get("/users", headers=named).text
    assert "names them by X-User" in page
    assert "is managed there, and is viewer" in page
    mine = client.get("/account", headers=named).text
    assert "A proxy logs you in" in mine
    assert "Present password" not in mine
    csrf = _CSRF.search(page)
    assert csrf is not None
    refused = client.post("/account", data={"csrf": csrf.group(1)}, headers=named)
    assert "this login has no password here" in refused.text


def test_a_dev_server_says_that_it_asks_for_no_login(site: Site) -> None:
    assert "A dev server asks for no login" in site.get("/users")
    assert "there is no password" in site.get("/account")
