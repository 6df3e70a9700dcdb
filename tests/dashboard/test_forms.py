"""Tokens, cookies and headers protect forms and pages from other sites and from markup."""

import pytest

from inngest_py.dashboard.routes import ROLES
from tests.dashboard.conftest import Site

POSTS = [
    "/alerts/receivers",
    "/alerts/receivers/<receiver_id>/remove",
    "/alerts/receivers/<receiver_id>/test",
    "/errors/<error_id>/state",
    "/operations",
    "/operations/<operation_id>",
    "/runs/bulk",
    "/runs/01JD0000000000000000000000/cancel",
    "/runs/01JD0000000000000000000000/rerun",
    "/runs/01JD0000000000000000000000/skip",
    "/events/send",
    "/functions/f/pause",
    "/functions/f/resume",
    "/functions/f/invoke",
    "/functions/f/limits",
    "/functions/f/limits/restore",
    "/functions/f/search-keys",
    "/functions/f/task",
    "/views",
    "/views/<view_id>/delete",
    "/apps/add",
    "/apps/celery",
    "/apps/a/sync",
    "/apps/a/archive",
    "/connections/c/drain",
    "/connections/c/resume",
    "/clock",
    "/users",
    "/users/role",
    "/users/password",
    "/users/remove",
    "/account",
    "/tokens",
    "/tokens/<token_id>/revoke",
    "/login",
    "/logout",
]


@pytest.mark.parametrize("path", POSTS)
def test_a_form_without_its_token_is_refused(site: Site, path: str) -> None:
    token = site.csrf()
    for form in ({}, {"csrf": ""}, {"csrf": "0" * 64}, {"csrf": token[:-1]}):
        assert site.client.post(path, data=form).status_code == 403
    crossed = {"Sec-Fetch-Site": "cross-site"}
    assert site.client.post(path, data={"csrf": token}, headers=crossed).status_code == 403
    other = site.app.test_client()  # another browser, to which the token does not belong
    other.get("/apps")
    assert other.post(path, data={"csrf": token}).status_code == 403
    assert site.client.post(path, data={"csrf": token}).status_code != 403


def test_every_post_route_is_tested(site: Site) -> None:
    rules = {
        rule.rule
        for rule in site.app.url_map.iter_rules()
        if rule.endpoint.startswith("ui.") and "POST" in (rule.methods or ())
    }
    tried = {
        path.replace("01JD0000000000000000000000", "<run_id>")
        .replace("/f/", "/<function_id>/")
        .replace("/a/", "/<app_id>/")
        .replace("/c/", "/<connection_id>/")
        for path in POSTS
    }
    assert rules == tried


def test_every_route_has_a_role(site: Site) -> None:
    endpoints = {r.endpoint for r in site.app.url_map.iter_rules() if r.endpoint.startswith("ui.")}
    assert endpoints == set(ROLES)


def test_headers(site: Site) -> None:
    for path in ("/", "/runs", "/runs/x", "/ui/static/app.js"):
        answered = site.client.get(path)
        answered.close()
        headers = answered.headers
        policy = headers["Content-Security-Policy"]
        assert "unsafe" not in policy
        assert "default-src 'none'" in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
    cookie = site.app.test_client().get("/").headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
