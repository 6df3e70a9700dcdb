"""The rows of the list of runs and of its exports: errors, reruns, durations."""

import csv
import io
import re
from typing import Any

from inngest_py.engine.upkeep.errors import grouping
from tests.dashboard.conftest import Site
from tests.factories import reply

OLD_COLUMNS = (
    "id,status,phase,function,app,event,event_id,queued_at,started_at,ended_at,original_run_id,"
    "cron,skip_reason"
)


def _failing(message: str, *, for_good: bool = True) -> Any:
    error = {"name": "Declined", "message": message, "stack": "at pay (/srv/app/pay.js:1:2)"}
    return lambda *_: reply(500, error, x_inngest_no_retry="true" if for_good else "false")


def _row(site: Site, run_id: str) -> str:
    rows = re.findall(r"<tr data-row>.*?</tr>", site.get("/runs"), re.DOTALL)
    [found] = [row for row in rows if f'value="{run_id}"' in row]
    return str(found)


def test_a_failed_run_says_why_and_leads_to_its_error(site: Site) -> None:
    site.engine.sdk.script = _failing(f"card\n <b>{'x' * 3000}")
    run_id = site.engine.start()
    site.engine.drain()
    row = _row(site, run_id)
    assert "Declined: card &lt;b&gt;xxx" in row
    assert "x" * 300 not in row
    assert "/errors/" not in row  # nobody has grouped it yet
    grouping.group(site.engine.ctx)
    assert re.search(r'href="/errors/[0-9A-Z]{26}">Declined: card', _row(site, run_id))


def test_a_run_that_is_tried_again_says_what_failed_last(site: Site) -> None:
    site.engine.sdk.script = _failing("no answer", for_good=False)
    run_id = site.engine.start()
    site.engine.drain()
    assert "retrying" in _row(site, run_id)
    assert "Declined: no answer" in _row(site, run_id)


def test_a_run_says_which_one_it_repeats_and_by_which_it_was_repeated(site: Site) -> None:
    site.engine.sdk.script = _failing("no")
    first = site.engine.start()
    site.engine.drain()
    site.engine.sdk.script = lambda *_: reply(200, {"ok": True})
    site.post("/runs/bulk", action="rerun", run=first)
    site.engine.drain()
    repeated = _row(site, first)
    found = re.search(r'run again: <a class="plain" href="/runs/(\w+)">completed', repeated)
    assert found is not None
    again = found[1]
    assert f'repeats <a class="plain mono" href="/runs/{first}"' in _row(site, again)
    assert "repeats" not in repeated
    assert "run again" not in _row(site, again)


def test_exports_have_errors_and_durations_behind_the_old_columns(site: Site) -> None:
    site.engine.sdk.script = _failing("=1+1")
    failed = site.engine.start()
    site.engine.drain()
    site.engine.sdk.script = lambda *_: reply(200, {"ok": True})
    completed = site.engine.start()
    site.engine.drain()
    waiting = site.engine.start()
    text = site.get("/runs/export.csv")
    head = text.splitlines()[0]
    assert head == f"{OLD_COLUMNS},queue_ms,duration_ms,error_name,error_message"
    rows = {row["id"]: row for row in csv.DictReader(io.StringIO(text))}
    assert rows[failed]["error_name"] == "Declined"
    assert rows[failed]["error_message"] == "'=1+1"  # a spreadsheet runs nothing
    assert rows[completed]["error_message"] == rows[completed]["error_name"] == ""
    assert rows[waiting]["queue_ms"] == rows[waiting]["duration_ms"] == ""
    told = {row["id"]: row for row in site.client.get("/runs/export.json").json}
    assert told[failed]["error_message"] == "=1+1"
    assert told[waiting]["duration_ms"] is None
    for run_id in (failed, completed):
        assert told[run_id]["queue_ms"] >= 0
        run = site.engine.run(run_id)
        took = (run["ended_at"] - run["started_at"]).total_seconds() * 1000
        assert told[run_id]["duration_ms"] == round(took) == int(rows[run_id]["duration_ms"])


def test_exports_have_the_columns_that_the_list_shows(site: Site) -> None:
    site.engine.sdk.script = lambda *_: reply(200, {"ok": True})
    full = site.engine.start(data={"order": "=A-1", "lines": [{"n": 1}], "total": 2.5})
    large = site.engine.start(data={"order": "B-2", "text": "x" * 70_000})
    site.engine.drain()
    query = "col=event.data.order,event.data.lines&col=event.data.total"
    text = site.get(f"/runs/export.csv?{query}")
    paths = ["event.data.order", "event.data.lines", "event.data.total"]
    assert text.splitlines()[0].split(",")[-3:] == paths
    rows = {row["id"]: row for row in csv.DictReader(io.StringIO(text))}
    assert [rows[full][path] for path in paths] == ["'=A-1", '[{"n":1}]', "2.5"]
    assert "too large" in rows[large]["event.data.order"]
    told = {row["id"]: row for row in site.client.get(f"/runs/export.json?{query}").json}
    assert [told[full][path] for path in paths] == ["=A-1", [{"n": 1}], 2.5]
    assert list(told[full])[-3:] == paths
    assert site.client.get("/runs/export.csv?col=order").status_code == 400


def test_rows_of_a_functions_page_have_errors_and_reruns(site: Site) -> None:
    site.engine.sdk.script = _failing("the card was refused")
    run_id = site.engine.start()
    site.engine.drain()
    shown = site.get(f"/functions/{site.engine.run(run_id)['function_id']}")
    assert "the card was refused" in shown.split(run_id)[-1].split("</tr>")[0]
