"""Saved views: all users share them; their owners and admins delete them."""

import re

from flask.testing import FlaskClient

from inngest_py.domain.access.roles import Role
from inngest_py.engine.admin import accounts
from inngest_py.storage.db.session import Database
from tests.dashboard.conftest import _CSRF, EVIL, Site
from tests.dashboard.test_login import PASSWORD, Production

_DELETE = re.compile(r'action="(/views/[0-9A-Z]{26}/delete)"')


def post(client: FlaskClient, path: str, **form: str) -> int:
    csrf = _CSRF.search(client.get("/apps").text)
    assert csrf is not None
    return client.post(path, data={"csrf": csrf.group(1), **form}).status_code


def test_a_view_is_saved_without_users(site: Site) -> None:
    site.engine.start()
    assert "Saved views" not in site.get("/runs")
    filters = "status=failed&col=event.data.a&since=1h&before=01JD0000000000000000000000&looked=5"
    assert "Save this view" in site.get(f"/runs?{filters}")
    saved = site.post("/views", name=f"Odd {EVIL}", query=filters)
    assert saved.location == "/runs?col=event.data.a&since=1h&status=failed"
    page = site.get("/runs")
    assert 'href="/runs?col=event.data.a&amp;since=1h&amp;status=failed"' in page
    assert "Odd &lt;script&gt;" in page and EVIL not in page
    shown = site.get("/runs?status=failed&since=1h&col=event.data.a")  # in another order
    assert 'aria-current="page"' in shown.partition('class="views"')[2]
    assert "Save this view" not in shown
    again = site.post("/views", 409, name=f"Odd {EVIL}", query="status=failed")
    assert "give another name" in again.text
    assert "name is missing" in site.post("/views", 400, name=" ", query="status=failed").text
    assert "no filter" in site.post("/views", 400, name="x", query="before=1").text
    [delete] = _DELETE.findall(shown)
    site.post(delete)
    assert "Saved views" not in site.get("/runs")
    assert "does not exist" in site.post(delete, 404).text


def test_owners_and_admins_delete(db: Database) -> None:
    production = Production(db)
    accounts.add(db, "ann", PASSWORD, Role.OPERATOR, production.engine.now)
    ann, other, admin, viewer = map(production.log_in, ("ann", "operator", "admin", "viewer"))
    for name in ("one", "two"):
        assert post(ann, "/views", name=name, query=f"status=failed&q={name}") == 303
    pages = {}
    for client in (ann, other, admin, viewer):
        pages[client] = client.get("/runs?status=failed&q=one").text
        assert 'title="saved by ann"' in pages[client]
    assert [bool(_DELETE.search(page)) for page in pages.values()] == [True, False, True, False]
    found = _DELETE.search(pages[ann])
    assert found is not None
    assert post(other, found.group(1)) == 409
    assert post(viewer, found.group(1)) == 403
    assert post(viewer, "/views", name="v", query="q=1") == 403
    assert post(ann, found.group(1)) == 303
    second = _DELETE.search(admin.get("/runs?status=failed&q=two").text)
    assert second is not None
    assert post(admin, second.group(1)) == 303
    assert "saved by ann" not in ann.get("/runs").text
