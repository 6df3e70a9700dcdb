"""The timeline of a run's page: what is folded, what is shown, and how much of it."""

import re
import time
from typing import Any

from inngest_py.domain.runs.runs import RunStatus
from tests.dashboard.conftest import Site
from tests.factories import op, reply, step

VERSION = {"x_inngest_req_version": "2"}
NAMES = [f"store {n}" for n in range(600)] + [f"fetch-{n}" for n in range(380)]
NAMES += [f"only {chr(97 + n)}" for n in range(19)]


_NAME = re.compile(r'<span class="name"[^>]*>(.*?)</span>\n<span class="state">', re.DOTALL)


def rows(page: str) -> list[str]:
    """List the names of the rows, with what stands behind them."""
    found = re.findall(
        r'<span class="name"[^>]*>(.*?)</span>\n<span class="state">', page, re.DOTALL
    )
    return [" ".join(re.sub(r"<[^>]+>", "", name).split()) for name in found]


def toggle(page: str, name: str) -> str:
    """Find the link that folds or unfolds a row."""
    found = re.search(
        rf'href="([^"]+)" role="button"[^>]*aria-label="(?:Fold|Unfold) {name}"', page
    )
    assert found is not None, name
    return found.group(1).replace("&amp;", "&")


def thousand(site: Site, failing: str = "") -> str:
    """Run a thousand steps, of which one may fail."""

    def script(request: dict[str, Any], target: str) -> Any:
        left = [name for name in NAMES if step(name) not in request["steps"]][:250]
        if not left:
            return reply(200, {"n": len(NAMES)})
        error = {"name": "Bad", "message": "no"}
        ops = [
            op("StepFailed", name, error=error) if name == failing else op("StepRun", name, data=1)
            for name in left
        ]
        return reply(206, ops, **VERSION)

    site.engine.sdk.script = script
    run_id = site.engine.start()
    site.engine.drain()
    assert site.engine.run(run_id)["status"] == RunStatus.COMPLETED
    return run_id


def test_a_thousand_steps_are_folded_quick_and_bounded(site: Site) -> None:
    run_id = thousand(site, failing="store 77")
    page = site.get(f"/runs/{run_id}")
    shown = rows(page)
    assert shown[:4] == ["The run", "store [600/600]", "store 77", "fetch [380/380]"]
    assert len(shown) == 4 + 19
    unfolded = site.get(toggle(page, "store"))
    assert unfolded.count("data-row") == 201  # the run, and as many as a page has
    assert "Rows 1 to 200 of 621" in unfolded
    later = re.search(r'id="later-rows" href="([^"]+)"', unfolded)
    assert later is not None
    assert rows(site.get(later.group(1).replace("&amp;", "&")))[0] == "store 199"
    failed = site.get(f"/runs/{run_id}?show=failed")
    assert rows(failed) == ["The run", "store 77"]
    assert len(rows(site.get(f"/runs/{run_id}?show=longest"))) == 51
    assert unfolded.count("<") < 6000
    assert _quickest(site, f"/runs/{run_id}") < 0.2


def _quickest(site: Site, path: str) -> float:
    """Measure the CPU time of a page: of several, since the machine has other work."""
    times = []
    for _ in range(5):
        began = time.thread_time()
        site.get(path)
        times.append(time.thread_time() - began)
    return min(times)


def test_what_a_url_says_of_a_timeline_is_bounded(site: Site) -> None:
    run_id = site.engine.start()
    site.engine.drain()
    whole = rows(site.get(f"/runs/{run_id}"))
    assert whole == ["The run", "one", "two"]
    for query in ("show=none&first=x", "first=99999999999", "open=../..&shut=" + "a" * 5000):
        assert rows(site.get(f"/runs/{run_id}?{query}")) == whole


def test_attempts_and_their_errors_are_in_the_panel(site: Site) -> None:
    def flaky(request: dict[str, Any], target: str) -> Any:
        if step("flaky") in request["steps"]:
            return reply(200, "done")
        attempt = request["ctx"]["attempt"]
        error = {"name": "Busy", "message": f"try {attempt}"}
        done = op("StepRun", "flaky", data=attempt)
        return reply(
            206, [op("StepError", "flaky", error=error) if attempt < 2 else done], **VERSION
        )

    site.engine.sdk.script = flaky
    run_id = site.engine.start()
    site.engine.drain()
    site.engine.advance(seconds=6)
    site.engine.advance(seconds=6)
    page = site.get(f"/runs/{run_id}")
    assert rows(page) == ["The run", "flaky", "Attempt 1", "Attempt 2", "Attempt 3"]
    assert rows(site.get(toggle(page, "flaky"))) == ["The run", "flaky 3 attempts"]
    span = page.split(">flaky<")[0].split("data-span=")[-1].split('"')[1]
    panel = site.client.get(f"/runs/{run_id}?span={span}", headers={"Run-Part": "panel"}).text
    assert "<html" not in panel
    listed = panel.split('class="attempts"')[1].split("</ol>")[0]
    for told in ("Busy: try 0", "Busy: try 1", "after 6 s"):
        assert told in listed, told
    assert step("flaky") in panel.split("Ids for the API")[1]
    assert step("flaky") not in re.sub(r"<[^>]+>", "", panel.split("Ids for the API")[0])


def test_invoked_runs_are_unfolded_in_place(site: Site) -> None:
    def nested(request: dict[str, Any], target: str) -> Any:
        depth = request["event"]["data"].get("depth", 0)
        if depth < 2 and step("child") not in request["steps"]:
            opts = {"function_id": "app-fn", "payload": {"data": {"depth": depth + 1}}}
            return reply(206, [op("InvokeFunction", "child", opts=opts)], **VERSION)
        if step(f"leaf {depth}") not in request["steps"]:
            return reply(206, [op("StepRun", f"leaf {depth}", data=depth)], **VERSION)
        return reply(200, depth)

    site.engine.sdk.script = nested
    run_id = site.engine.start(data={"depth": 0})
    site.engine.drain()
    page = site.get(f"/runs/{run_id}")
    assert rows(page) == ["The run", "child → app-fn", "leaf 0"]
    page = site.get(toggle(page, "child"))
    assert rows(page) == ["The run", "child → app-fn", "child → app-fn", "leaf 1", "leaf 0"]
    inner = page.split("Unfold child")[0].rpartition('href="')[2].split('"')[0]
    deepest = rows(site.get(inner.replace("&amp;", "&")))
    assert deepest[2:5] == ["child → app-fn", "leaf 2", "leaf 1"]
