"""The page of alerts: what is wrong now, and who is told of it."""

import pytest

from inngest_py.domain.alerts.receivers import Receiver, ReceiverKind
from inngest_py.engine.alerts import watch
from tests.dashboard.conftest import EVIL, Site, failing

HOOK = "http://127.0.0.1:1/hook/s3cret"


def _add(site: Site, **form: object) -> str:
    given = {"name": f"on duty {EVIL}", "kind": "webhook", "target": HOOK, **form}
    return site.get(site.post("/alerts/receivers", **given).location)


def test_a_receiver_is_added_tried_and_removed(site: Site) -> None:
    assert "Nothing is looked for: there is no receiver yet." in site.get("/alerts")
    page = _add(site, alerts=["app_down", "new_error"])
    assert "The receiver is added" in page
    assert EVIL not in page
    assert "s3cret" not in page
    assert "An app is down" in page
    mine = page.split("/alerts/receivers/")[1].split("/")[0]
    tried = site.post(f"/alerts/receivers/{mine}/test", 502)
    assert "The receiver did not accept the test: connection refused" in tried.text
    assert "connection refused" in site.get("/alerts")
    removed = site.post(f"/alerts/receivers/{mine}/remove")
    assert "it gets no more alerts" in site.get(removed.location)
    audit = site.get("/audit")
    for act in ("add", "test", "remove"):
        assert f"alert_receiver.{act}" in audit


@pytest.mark.parametrize(
    ("field", "text", "said"),
    [
        ("name", "", "name is missing"),
        ("kind", "fax", "kind must be one of"),
        ("kind", "email", "INNGEST_SMTP_URL"),
        ("target", "s3cret", "give a URL like"),
        ("alerts", "doom", "there is no alert"),
    ],
)
def test_a_bad_field_is_named_beside_it(site: Site, field: str, text: str, said: str) -> None:
    form = {"name": "on duty", "kind": "webhook", "target": HOOK, field: text}
    page = site.post("/alerts/receivers", 400, **form).text
    assert said in page.partition('class="wrong">')[2].partition("<")[0]
    assert "s3cret" not in page


def test_what_is_wrong_now_is_listed_with_its_page(site: Site) -> None:
    site.engine.sdk.script = failing
    for _ in range(10):
        site.engine.start()
    site.engine.drain()
    to = [Receiver("x", "x", ReceiverKind.WEBHOOK, HOOK)]
    watch.queue_messages(site.engine.ctx, site.settings.alerts(), to)
    page = site.get("/alerts")
    assert "app-fn: 10 of 10 runs (100%) failed within 15 min" in page
    assert 'href="/functions/' in page
