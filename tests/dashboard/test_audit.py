"""Every act of an operator is stored together with its row in the audit log, or not at all."""

from typing import Any

import pytest
from sqlalchemy import text

from inngest_py.engine.runtime import audit
from inngest_py.storage.queries import audit_log
from tests.dashboard.conftest import Site

ACTS = {
    "run.cancel": ("/runs/{run}/cancel", {}),
    "run.rerun": ("/runs/{run}/rerun", {}),
    "function.pause": ("/functions/{function}/pause", {"events": "hold"}),
    "function.resume": ("/functions/{function}/resume", {}),
    "function.invoke": ("/functions/{function}/invoke", {"data": "{}"}),
    "event.send": ("/events/send", {"name": "a/b", "data": "{}"}),
    "limits.override": ("/functions/{function}/limits", {"limits": '{"concurrency": 3}'}),
    "limits.restore": ("/functions/{function}/limits/restore", {}),
    "app.add": ("/apps/add", {"url": "http://127.0.0.1:9/api/inngest"}),
    "app.sync": ("/apps/{app}/sync", {}),
    "app.archive": ("/apps/{app}/archive", {}),
}
COUNTED = ("runs", "events", "apps", "queue_items")


def place(site: Site, path: str) -> str:
    run = site.engine.start()
    with site.engine.ctx.db.reading() as tx:
        function, app = tx.execute(text("SELECT id, app_id FROM functions")).one()
    return path.format(run=run, function=function, app=app)


def state(site: Site) -> Any:
    with site.engine.ctx.db.reading() as tx:
        counts = [tx.execute(text(f"SELECT count(*) FROM {name}")).scalar() for name in COUNTED]
        live = tx.execute(text("SELECT count(*) FROM runs WHERE status = 'queued'")).scalar()
        return counts, live, tx.execute(text("SELECT paused, limits FROM functions")).all()


@pytest.mark.parametrize("act", ACTS)
def test_act_and_its_audit_row_are_written_together(site: Site, act: str) -> None:
    path, form = ACTS[act]
    made = place(site, path)
    csrf, db = site.csrf(), site.engine.ctx.db
    with db.transaction() as tx:  # the table has room for one row only, and has one
        audit.note(tx, audit.Actor("before"), site.engine.now, "x")
        tx.execute(text("CREATE UNIQUE INDEX one ON audit ((length(action) > 0))"))
    before = state(site)
    assert site.client.post(made, data={"csrf": csrf, **form}).status_code == 500
    assert state(site) == before
    with db.transaction() as tx:
        tx.execute(text("DROP INDEX one"))
    assert site.client.post(made, data={"csrf": csrf, **form}).status_code == 303
    with db.reading() as tx:
        [noted] = audit_log.page(tx, first=10, name="dev").rows
    assert noted["action"] == act
    assert noted["target"]


def test_each_run_of_a_bulk_act_is_logged(site: Site) -> None:
    runs = [site.engine.start() for _ in range(3)]
    site.post("/runs/bulk", action="cancel", run=runs)
    site.post("/runs/bulk", action="cancel", run=runs)  # ended: nothing is done to them
    with site.engine.ctx.db.reading() as tx:
        acts = audit_log.page(tx, first=10).rows
    assert sorted(act["target"] for act in acts) == sorted(runs)
    assert {act["action"] for act in acts} == {"run.cancel"}
