"""The server under a path of its host: every link, form, redirect and cookie stays under it."""

import re
from html import unescape

import pytest
from flask.testing import FlaskClient
from werkzeug.test import Client

from inngest_py.api import root_path
from inngest_py.config import Settings
from inngest_py.domain.access.roles import Role
from inngest_py.domain.errors import Invalid
from inngest_py.engine.admin import accounts
from inngest_py.storage.db.session import Database
from tests.dashboard.conftest import Site, failing

ROOT = "/inngest"
_LINK = re.compile(r"""(?:href|src|action|hx-get|hx-post|data-last|data-href)=["']([^"'#]+)""")
ON_SQLITE = pytest.mark.parametrize("db", ["sqlite"], indirect=True)


def under(db: Database, **settings: object) -> Site:
    """Make a site with a run that has failed, served as the server serves it."""
    site = Site(db, **settings)
    site.engine.sdk.script = failing
    site.engine.start(data={"n": 1})
    site.engine.drain()
    site.app.wsgi_app = root_path.before(site.app.wsgi_app, site.settings)  # type: ignore[method-assign]
    return site


def crawl(client: FlaskClient, strip: bool) -> set[str]:
    """Open every page that a link leads to; return the paths that were opened."""
    seen: set[str] = set()
    left = [f"{ROOT}/"]
    while left:
        path = left.pop()
        seen.add(path.partition("?")[0])
        with client.get(path.removeprefix(ROOT) if strip else path) as answered:
            text = answered.text
        assert answered.status_code in (200, 204), f"{path}: {answered.status_code} {text[:300]}"
        if answered.mimetype != "text/html":
            continue
        for link in map(unescape, _LINK.findall(text)):
            if link.startswith(("http:", "https:", "data:", "mailto:")):
                continue
            assert link.startswith((f"{ROOT}/", "?")), f"{path} leads to {link}"
            place = link.partition("?")[0]
            is_form = f'action="{link}"' in text or "logout" in link
            if place and place not in seen and not is_form:
                seen.add(place)
                left.append(link)
    return seen


@ON_SQLITE
@pytest.mark.parametrize("strip", [True, False], ids=["proxy takes it off", "proxy leaves it"])
def test_every_link_of_every_page_stays_under_the_path(db: Database, strip: bool) -> None:
    site = under(db, root_path=ROOT)
    seen = crawl(site.client, strip)
    for page in ("runs", "events", "functions", "apps", "queues", "alerts", "errors", "operations"):
        assert f"{ROOT}/{page}" in seen
    assert any(path.startswith(f"{ROOT}/runs/") for path in seen)
    assert any(path.startswith(f"{ROOT}/ui/static/") for path in seen)


@ON_SQLITE
def test_the_apis_are_under_it_and_their_page_finds_its_files(db: Database) -> None:
    site = under(db, root_path=ROOT)
    assert site.client.post(f"{ROOT}/e/key", json={"name": "a/b"}).status_code == 200
    assert site.client.post("/e/key", json={"name": "a/b"}).status_code == 200
    page = site.client.get(f"{ROOT}/api/docs").text
    assert f"{ROOT}/api/openapi.json" in page
    assert 'src="docs-files/' in page
    with site.client.get(f"{ROOT}/api/docs-files/swagger-ui.css") as found:
        assert found.status_code == 200
    assert site.client.get("/inngestx/runs").status_code == 404


@ON_SQLITE
def test_a_login_leads_back_under_it_and_its_cookie_is_of_it(db: Database) -> None:
    site = under(db, root_path=ROOT, dev=False)
    accounts.add(site.engine.ctx.db, "ann", "a long password", Role.ADMIN, site.engine.now)
    asked = site.client.get(f"{ROOT}/runs?status=failed")
    assert asked.status_code == 303
    assert asked.location == f"{ROOT}/login?next={ROOT}/runs?status%3Dfailed"
    assert "Path=/inngest" in asked.headers["Set-Cookie"]
    first = site.client.get(f"{ROOT}/")
    assert first.location == f"{ROOT}/login"


@ON_SQLITE
@pytest.mark.parametrize(
    ("given", "address", "found"),
    [
        ("/tools/inngest", "10.0.0.1", "/tools/inngest"),
        ("/tools/", "10.0.0.1", "/tools"),
        ("/tools", "10.0.0.2", ROOT),  # not one of the proxies
        ("//evil.example", "10.0.0.1", ROOT),
        ("/<b>", "10.0.0.1", ROOT),
        ("/a\\b", "10.0.0.1", ROOT),
        ("", "10.0.0.1", ROOT),
    ],
)
def test_a_trusted_proxy_may_name_the_path(
    db: Database, given: str, address: str, found: str
) -> None:
    site = under(db, root_path=ROOT, ui_proxies=("10.0.0.1",))
    headers = {"X-Forwarded-Prefix": given}
    page = Client(site.app).get("/", headers=headers, environ_overrides={"REMOTE_ADDR": address})
    assert f'href="{found}/runs' in page.text


@ON_SQLITE
@pytest.mark.parametrize("path", ["/runs", "/api/inngest", "/e", "/health"])
def test_a_path_that_could_be_a_route_is_refused(db: Database, path: str) -> None:
    site = Site(db)
    with pytest.raises(Invalid, match="begin with /"):
        root_path.check(site.app, Settings(root_path=path))
    root_path.check(site.app, Settings(root_path=ROOT))


@pytest.mark.parametrize("path", ["inngest", "/", "/a/", "/a//b", "/a b", "/ü", "/a?b", "/" * 300])
def test_what_is_no_path_is_refused_with_the_fix(path: str) -> None:
    errors = Settings(root_path=path, database_url="sqlite://").errors()
    assert any("--root-path" in error and "/inngest" in error for error in errors)
