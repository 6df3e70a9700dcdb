"""What an operator does on the pages: runs, functions, events, apps and limits."""

import re
from dataclasses import replace
from urllib.parse import urlsplit

from inngest_py.domain.access import reach
from inngest_py.domain.runs.runs import RunStatus
from inngest_py.storage.queries import app_list
from tests.dashboard.conftest import Site, failing, run_ids
from tests.engine.harness import sequence
from tests.engine.waiting import waits
from tests.factories import op, reply, step


def test_cancel_and_rerun(site: Site) -> None:
    run_id = site.engine.start()
    assert "The run was cancelled." in site.get(site.post(f"/runs/{run_id}/cancel").location)
    assert site.engine.run(run_id)["status"] == RunStatus.CANCELLED
    ended = site.post(f"/runs/{run_id}/cancel").location
    assert "had ended already" in site.get(ended)
    again = site.post(f"/runs/{run_id}/rerun").location
    page = site.get(again)
    assert "Repeats" in page
    assert run_id in page
    assert "Repeated by" in site.get(f"/runs/{run_id}")


def test_rerun_from_a_step_with_new_input(site: Site) -> None:
    run_id = site.engine.start()
    site.engine.drain()
    hashed = step("two")
    span = _span_of(site, run_id, "two")
    typed = {"step": hashed, "span": span, "input": "{not json"}
    bad = site.post(f"/runs/{run_id}/rerun", 400, **typed)
    assert "{not json" in bad.text  # nobody has to type it again
    made = site.post(f"/runs/{run_id}/rerun", step=hashed, input='[{"amount": 12}]').location
    new_id = made.split("/runs/")[1].split("?")[0]
    assert site.engine.run(new_id)["input_step"] == hashed
    assert site.engine.memo(new_id) == {step("one"): {"data": 0}}


def _span_of(site: Site, run_id: str, name: str) -> str:
    shown = re.split(f">{name} ?<", site.get(f"/runs/{run_id}"))[0]
    return re.findall('data-span="([0-9a-f]{16})"', shown)[-1]


def test_what_a_rerun_of_a_step_offers_is_true_for_its_sdk(site: Site) -> None:
    site.engine.language_and_version = "py:v0.5.19"
    site.engine.register()
    run_id = site.engine.start()
    site.engine.drain()
    hashed, span = step("two"), _span_of(site, run_id, "two")
    page = site.get(f"/runs/{run_id}?span={span}")
    assert "new input" not in page
    for offered in ("Run this step again", "Use this as the step&#39;s result"):
        assert offered in page.replace("step's", "step&#39;s")
    refused = site.post(f"/runs/{run_id}/rerun", 400, step=hashed, span=span, input="[1]").text
    assert "would take new input for the step&#39;s result" in refused
    for wrong in ("", "{nope"):
        site.post(f"/runs/{run_id}/rerun", 400, step=hashed, span=span, result=wrong)
    made = site.post(f"/runs/{run_id}/rerun", step=hashed, result='{"by": "hand"}').location
    site.engine.drain()
    new_id = made.split("/runs/")[1].split("?")[0]
    assert site.engine.memo(new_id)[step("two")] == {"data": {"by": "hand"}}
    page = site.get(f"/runs/{new_id}?log=1")
    assert "its result was given by hand by dev" in page
    assert page.count(">given by hand<") == 1
    page = site.get(f"/runs/{new_id}?span={_span_of(site, new_id, 'two')}")
    assert "given by hand by dev: the step did not run" in page


def test_the_page_of_an_event_shows_a_failed_run_beside_its_rerun(site: Site) -> None:
    site.engine.sdk.script = failing
    run_id = site.engine.start()
    site.engine.drain()
    event_id = site.engine.run(run_id)["event_id"]
    site.engine.sdk.script = sequence("one")
    site.engine.advance(seconds=1)
    new_id = site.post(f"/runs/{run_id}/rerun").location.split("/runs/")[1].split("?")[0]
    site.engine.drain()
    outcome = site.get(f"/events/{event_id}").split('id="came"')[1].split("</table>")[0]
    rows = outcome.split("<tr data-row>")[1:]
    assert [(row.count("failed"), row.count("completed")) for row in rows] == [(2, 0), (0, 2)]
    assert f'href="/runs/{run_id}"' in rows[0]
    assert "repeats" not in rows[0]
    assert f'href="/runs/{new_id}"' in rows[1]
    assert f'repeats <a class="id" href="/runs/{run_id}"' in rows[1]


def test_run_again_with_other_data(site: Site) -> None:
    run_id = site.engine.start(data={"amount": 12})
    site.engine.drain()
    form = site.get(f"/runs/{run_id}/rerun")
    assert "&#34;amount&#34;: 12" in form
    bad = site.post(f"/runs/{run_id}/rerun", 400, data="[1]").text
    assert "must be a JSON object" in bad
    assert "[1]" in bad
    made = site.post(f"/runs/{run_id}/rerun", data='{"amount": 13}').location
    site.engine.drain()
    assert site.engine.sdk.requests[-1]["event"]["data"] == {"amount": 13}
    new = site.engine.run(made.split("/runs/")[1].split("?")[0])
    assert new["status"] == "completed"
    event = site.get(f"/events/{new['event_id']}")
    assert "again with other data" in event
    assert f'repeats <a class="id" href="/runs/{run_id}"' in event


def test_many_at_once(site: Site) -> None:
    ids = [site.engine.start() for _ in range(4)]
    done = site.post("/runs/bulk", action="cancel", run=ids[:2]).location
    assert "2 cancelled, 0 had" in site.get(done)
    done = site.post("/runs/bulk", action="cancel", run=ids).location
    assert "2 cancelled, 2 had" in site.get(done)
    assert all(site.engine.run(run_id)["status"] == RunStatus.CANCELLED for run_id in ids)
    done = site.post("/runs/bulk", action="rerun", run=ids).location
    assert "4 run again, 0 could" in site.get(done)
    assert len(run_ids(site)) == 8
    assert "choose runs first" in site.post("/runs/bulk", 400, action="cancel").text


def test_a_notice_is_shown_once_where_its_form_leads_to(site: Site) -> None:
    assert "99999 run" not in site.get("/runs?done=bulk-rerun&n=99999")
    run_id = site.engine.start()
    site.get("/runs")
    done = site.post("/runs/bulk", action="cancel", run=[run_id], filters="status=queued").location
    assert done == "/runs?status=queued"
    assert 'class="notice"' not in site.get("/events")  # in another tab
    part = site.client.get(done, headers={"HX-Request": "true"})
    assert 'class="notice"' not in part.text
    assert "1 cancelled" in site.get(done)
    assert 'class="notice"' not in site.get(done)


def test_pause_resume_and_invoke(site: Site) -> None:
    function_id = site.engine.run(site.engine.start())["function_id"]
    path = f"/functions/{function_id}"
    site.post(f"{path}/pause", events="skip")
    assert "Paused since" in site.get(path)
    event_id = site.send(data={})
    assert "skipped: the function was paused" in site.get(f"/events/{event_id}")
    site.post(f"{path}/resume")
    assert "Paused since" not in site.get(path)
    made = site.post(f"{path}/invoke", data='{"a": 1}').location
    assert "Run again" in site.get(made)
    assert "is not JSON" in site.post(f"{path}/invoke", 400, data="{").text


def test_sending_an_event(site: Site) -> None:
    sent = site.post("/events/send", name="a/b", data='{"a": 1}', user="", id="")
    page = site.get(sent.location)
    assert "The event was stored" in page
    assert "queued" in page
    assert "an operator, dev" in page
    assert "a client" in site.get(f"/events/{site.send(data={})}")
    for form in ({"name": "", "data": "{}"}, {"name": "a/b", "data": "{"}, {"name": "inngest/x"}):
        assert "aria-invalid" in site.post("/events/send", 400, **form).text


def test_apps_show_their_errors_with_the_fix(site: Site) -> None:
    site.engine.sdk.script = lambda request, target: reply(404, {})
    site.engine.ctx.transport.send = lambda *_, **__: reply(404, {})  # type: ignore[method-assign]
    added = site.post("/apps/add", url="http://localhost:9/api/inngest")
    page = site.get(added.headers["Location"])
    assert "and did not" in page
    assert "url_not_found" in page
    assert "serve endpoint" in page
    assert site.post("/apps/add", 400, url="no url").text.count('role="alert"') == 1


def test_apps_out_of_reach_are_refused_with_the_setting(site: Site) -> None:
    ctx = site.engine.ctx
    with ctx.db.reading() as tx:
        [app] = app_list.every(tx)
    host = urlsplit(app["url"]).hostname
    ctx.tuning = replace(ctx.tuning, reach=reach.parse([f"!{host}"], dev=True))
    for path, form in (("/apps/add", {"url": app["url"]}), (f"/apps/{app['id']}/sync", {})):
        refused = site.post(path, 400, **form).text
        assert "INNGEST_CALL_HOSTS" in refused
        assert str(host) in refused


def test_limits_are_overridden_and_restored(site: Site) -> None:
    function_id = site.engine.run(site.engine.start())["function_id"]
    path = f"/functions/{function_id}"
    sent = site.post(f"{path}/limits", limits='{"concurrency": 3}', term="1h").location
    page = site.get(sent)
    for shown in ("3 steps at a time", "Overridden until", "by dev", "The limits are changed"):
        assert shown in page
    for limits, term, said in (
        ('{"concurrency": -1', "", "not JSON"),
        ('{"concurrency": "x"}', "", "concurrency"),
        ("[]", "", "must be an object"),
        ("", "", "sets no limit"),
        ('{"throttle": null}', "9y", "term"),
    ):
        refused = site.post(f"{path}/limits", 400, limits=limits, term=term).text
        assert said in refused.split('role="alert">')[1].split("</p>")[0]
        assert "<details open" in refused.replace('class="rerun" ', "")  # with what was typed
    site.post(f"{path}/limits/restore")
    assert "Overridden" not in site.get(path)
    assert "does not exist" in site.post("/functions/nope/limits", 404, limits="{}").text


def test_a_wait_is_skipped_on_a_dev_server(site: Site) -> None:
    asked = [op("Sleep", "nap", name="3d"), op("Sleep", "rest", name="1d")]
    site.engine.sdk.script = waits(*asked)
    run_id = site.engine.start()
    site.engine.drain()
    items = {row["step_name"]: row["id"] for row in site.engine.queued(run_id)}
    page = site.get(f"/runs/{run_id}")
    assert page.count("Skip this wait") == 2
    span = _span_of(site, run_id, "nap")
    assert site.get(f"/runs/{run_id}?span={span}").count("Skip this wait") == 3
    sent = site.post(f"/runs/{run_id}/skip", item=items["nap"], span=span).location
    assert f"span={span}" in sent
    assert "The wait was skipped" in site.get(sent)
    site.engine.drain()
    assert set(site.engine.memo(run_id)) == {step("nap")}
    assert site.get(f"/runs/{run_id}").count("Skip this wait") == 1
    late = site.post(f"/runs/{run_id}/skip", 409, item=items["nap"]).text
    assert "nothing was skipped: that part of the run waits no more" in late
    site.post(f"/runs/{run_id}/skip", item=items["rest"])
    site.engine.drain()
    over = site.post(f"/runs/{run_id}/skip", 409, item=items["rest"]).text
    assert "nothing was skipped" in over
    assert "has ended: it is completed" in over
