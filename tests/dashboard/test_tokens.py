"""API tokens on their page: made, shown once, and revoked."""

import pytest

from tests.dashboard.conftest import EVIL, Site
from tests.dashboard.test_users import _SECRET, _WRONG


def test_a_token_is_shown_once_and_revoked(site: Site) -> None:
    assert "No API tokens yet" in site.get("/tokens")
    form = {"name": f"ci {EVIL}", "scope": "events", "expires_in": "30d"}
    page = site.post("/tokens", 200, **form).text
    made = _SECRET.search(page)
    assert made is not None
    assert made.group(1).startswith("ipt_")
    assert EVIL not in page
    listed = site.get("/tokens")
    assert made.group(1) not in listed
    assert "not used yet" in listed
    mine = listed.split("/tokens/")[1].split("/")[0]
    assert "The token is revoked" in site.get(site.post(f"/tokens/{mine}/revoke").location)
    again = site.post(f"/tokens/{mine}/revoke", 409).text
    assert "is revoked already" in again
    audit = site.get("/audit")
    assert "api_token.add" in audit
    assert "api_token.revoke" in audit
    assert made.group(1) not in audit


@pytest.mark.parametrize(
    ("field", "text", "said"),
    [
        ("name", "", "a name has 1 to 64"),
        ("scope", "king", "scope must be one of"),
        ("expires_in", "soon", "is not a duration"),
    ],
)
def test_a_bad_field_is_named_beside_it(site: Site, field: str, text: str, said: str) -> None:
    form = {"name": "ci", "scope": "viewer", "expires_in": "7d", field: text}
    page = site.post("/tokens", 400, **form).text
    told = _WRONG.search(page)
    assert told is not None
    assert said in told.group(1)
    assert "No API tokens yet" in page
