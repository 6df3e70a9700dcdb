"""Operations on pages: asked before they begin, followed, changed, and their results listed."""

import re
from datetime import timedelta

import pytest

from inngest_py.engine.operations import walk
from inngest_py.engine.upkeep.errors import grouping
from inngest_py.storage.queries.errors import failed_runs as failed_runs_of
from tests.engine.harness import sequence
from tests.factories import op, reply

from .conftest import EVIL, Site, failing, run_ids

UNKNOWN = "01JD0000000000000000000000"


def failed_runs(site: Site, number: int) -> list[str]:
    site.engine.sdk.script = failing
    found = sorted(site.engine.start(data={"n": n}) for n in range(number))
    site.engine.drain()
    site.engine.now += timedelta(seconds=1)
    site.engine.sdk.script = sequence("one")
    return found


def finish(site: Site) -> None:
    while walk.next_chunk(site.engine.ctx):
        pass
    site.engine.drain()


def asked(text: str) -> dict[str, str]:
    """Read the fields that the form will send."""
    text = text.replace("&#34;", '"')
    found = re.findall(
        r"<input type=\"hidden\" name=\"(kind|selection|name)\" value=\"(.*?)\">", text
    )
    return dict(found)


def test_all_that_match_are_asked_about_run_again_and_listed(site: Site) -> None:
    old = failed_runs(site, 3)
    site.engine.start()
    filters = "status=failed&function=app-fn&page=x"
    form = site.post("/runs/bulk", action="rerun", all="1", filters=filters).location
    assert len(run_ids(site)) == 4  # nothing has begun
    text = site.get(form)
    assert "<h1>Run again 3 failed runs of app-fn?</h1>" in text
    assert ">Run again 3 runs</button>" in text
    refused = site.post("/operations", 400, rate="0", **asked(text)).text
    assert "rate must lie between 0.001 and 10000 items a second" in refused
    assert 'name="rate" list="rates" inputmode="decimal" size="8" value="0"' in refused
    begun = site.post("/operations", rate="5", **asked(refused)).location
    shown = site.get(begun)
    assert "It has begun" in shown and "0 of 3 done" in shown and 'value="5"' in shown
    site.post(begun, state="paused")
    assert "Resume</button>" in site.get(begun)
    site.post(begun, state="running")
    site.post(begun, rate="")
    finish(site)
    shown = site.get(begun)
    assert "3 of 3 done: 3 run again. Their runs now: 3 completed." in shown
    assert shown.index(old[0]) < shown.index(old[1]) < shown.index(old[2])
    assert "has ended (completed)" in site.post(begun, 409, state="paused").text
    assert begun in site.get("/operations")
    assert site.get("/runs?status=failed").count('run again by an <a class="plain"') == 3
    [new, *_] = [one for one in run_ids(site) if site.engine.run(one)["original_run_id"]]
    assert f'Made by the operation <a href="{begun}">' in site.get(f"/runs/{new}")


def test_all_runs_of_an_error_run_again(site: Site) -> None:
    failed_runs(site, 2)
    grouping.group(site.engine.ctx)
    with site.engine.ctx.db.reading() as tx:
        error_id = failed_runs_of.error_of(tx, run_ids(site)[0])
    form = f"/operations/new?kind=rerun&error={error_id}"
    assert form.replace("&", "&amp;") in site.get(f"/errors/{error_id}")
    text = site.get(form)
    assert "Run again 2 failed runs of app-fn: Boom: it broke" in text and EVIL not in text
    begun = site.post("/operations", **(asked(text) | {"name": ""})).location
    finish(site)
    assert "2 of 2 done: 2 run again. Their runs now: 2 completed." in site.get(begun)
    assert "Run all again" not in site.get(f"/errors/{error_id}")  # none is left


def test_a_rerun_that_sleeps_says_so(site: Site) -> None:
    failed_runs(site, 1)
    site.engine.sdk.script = lambda *_: reply(206, [op("Sleep", "nap", name="3d")])
    begun = site.post("/operations", **asked(site.get("/operations/new?kind=rerun&status=failed")))
    finish(site)
    shown = site.get(begun.location)
    assert "Their runs now: 1 sleeping." in shown
    assert '<td><span class="status sleeping">' in shown
    assert re.search(r"operation</a>: <a [^>]+>sleeping</a>", site.get("/runs?status=failed"))
    told = site.client.get(f"/v1{begun.location}/results").json["data"][0]
    assert (told["status"], told["phase"]) == ("running", "sleeping")


def test_the_name_of_an_operation_fits_the_form_that_sends_it_back(site: Site) -> None:
    error = {"name": "Boom", "message": "连接超时 " * 20}
    site.engine.sdk.script = lambda *_: reply(500, error, x_inngest_no_retry="true")
    site.engine.start()
    site.engine.drain()
    site.engine.now += timedelta(seconds=1)
    grouping.group(site.engine.ctx)
    with site.engine.ctx.db.reading() as tx:
        error_id = failed_runs_of.error_of(tx, run_ids(site)[0])
    assert error_id is not None
    text = site.get(f"/operations/new?kind=rerun&error={error_id}")
    name = asked(text)["name"]
    assert name.startswith("Run again 1 failed run of app-fn: Boom: 连接超时") and name[-1] == "…"
    begun = site.post("/operations", **asked(text)).location
    for page in (text, site.get(begun)):
        assert f'<dt>Error</dt><dd class="wide"><a href="/errors/{error_id}">Boom</a></dd>' in page


def test_cancel_what_a_filter_finds(site: Site) -> None:
    ids = [site.engine.start() for _ in range(2)]
    site.engine.now += timedelta(seconds=1)
    form = site.post("/runs/bulk", action="cancel", all="1", filters="function=app-fn").location
    begun = site.post("/operations", **asked(site.get(form))).location
    finish(site)
    assert {site.engine.run(run_id)["status"] for run_id in ids} == {"cancelled"}
    assert "2 of 2 done: 2 cancelled." in site.get(begun)
    wrong = site.get("/operations/new?kind=cancel&status=failed", 400)
    assert "names only runs that have ended" in wrong


def test_replay_events_from_the_functions_page(site: Site) -> None:
    function = site.engine.run(site.engine.start(data={"n": 1}))["function_id"]
    site.engine.now += timedelta(seconds=1)
    form = "/operations/new?kind=replay_events&function=app-fn"
    assert form.replace("&", "&amp;") in site.get(f"/functions/{function}")
    assert 'value="app-fn"' in site.get(form)
    assert "function nobody does not exist" in site.get(
        "/operations/new?kind=replay_events&function=nobody&since=1h", 400
    )
    text = site.get(f"{form}&since=1h&events=a/b")
    assert "<h1>Replay 1 event to app-fn?</h1>" in text
    begun = site.post("/operations", **asked(text)).location
    for page in (text, site.get(begun)):
        assert re.search(r'<dt>From</dt><dd class="wide"><time datetime="', page)
    finish(site)
    assert "1 of 1 done: 1 replayed. Their runs now: 1 completed." in site.get(begun)
    made = run_ids(site)[0]
    assert "Made by the operation" in site.get(f"/runs/{made}")


@pytest.mark.parametrize("db", ["sqlite"], indirect=True)
def test_what_is_wrong_is_said(site: Site) -> None:
    site.get(f"/operations/{UNKNOWN}", 404)
    site.get("/operations/new?kind=delete", 400)
    site.get("/operations/new?kind=rerun", 400)
    site.post("/operations", 400, kind="rerun", selection="{")
    site.post("/operations", 400, kind="rerun", selection="{}")
    site.post(f"/operations/{UNKNOWN}", 404, state="paused")
    assert "Nothing matches" in site.get("/operations/new?kind=rerun&status=cancelled")
    failed_runs(site, 1)
    text = site.get("/operations/new?kind=rerun&status=failed&since=1h")
    begun = site.post("/operations", **{**asked(text), "name": EVIL}).location
    assert EVIL not in site.get(begun) and EVIL not in site.get("/operations")
