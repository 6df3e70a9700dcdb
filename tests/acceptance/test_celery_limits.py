"""Every rule of flow control holds for tasks: a real worker shows which ran, and when."""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
import requests

from inngest_py.domain.functions.task_settings import NAMES
from tests.acceptance.celery_shop import Client, Shop, connected, shop_on
from tests.processes import wait_until
from tests.servers import Valkey

_SECONDS = 60.0


class Tasks:
    """A server and a worker that runs six tasks at a time."""

    def __init__(self, client: Client, shop: Shop) -> None:
        self.client, self.shop, self._sent = client, shop, 0

    def set(self, task: str, **settings: Any) -> None:
        """Give a task these settings, and no others."""
        self.client.put(f"/v1/celery/shop/tasks/shop.{task}", dict.fromkeys(NAMES) | settings)

    def hold(self, event: str, **settings: Any) -> None:
        """Have an event start `shop.hold` with its key."""
        self.set("hold", on={"event": event}, args="[event.data.key]", **settings)

    def send(self, event: str, *data: dict[str, Any]) -> None:
        """Send events together, so that no clock runs between them."""
        events = [{"name": event, "data": one} for one in data]
        requests.post(f"{self.client.url}/e/key", json=events, timeout=30).raise_for_status()
        self._sent += len(events)

    def start(self, event: str, *keys: str, **data: Any) -> list[str]:
        """Send events one after the other; return the ids of their runs."""
        found = []
        for key in keys:
            body = {"name": event, "data": {"key": key, **data}}
            answer = requests.post(f"{self.client.url}/e/key", json=body, timeout=30)
            [event_id] = answer.json()["ids"]
            found += [run["run_id"] for run in self.client.get(f"/v1/events/{event_id}/runs")]
        return found

    def began(self, key: str) -> None:
        """Wait until a worker runs the task."""
        wait_until(lambda: f"begin {key}" in self.shop.effects, _SECONDS, f"{key} to begin")

    def has_begun(self, key: str) -> bool:
        return f"begin {key}" in self.shop.effects

    def release(self, *keys: str) -> None:
        """Let tasks end."""
        for key in keys:
            (self.shop.folder / f"release-{key}").touch()

    def waits_for(self, run_id: str, kind: str) -> None:
        """Wait until a run is held back by a rule."""

        def look() -> bool:
            why = self.client.get(f"/v1/runs/{run_id}/why")
            return kind in [reason["kind"] for reason in why["reasons"]]

        wait_until(look, _SECONDS, f"{run_id} to wait for {kind}")

    def status(self, run_id: str) -> str:
        return str(self.client.ended(run_id)["status"])

    def of(self, task: str) -> list[dict[str, Any]]:
        """List the newest runs of a task."""
        found: list[dict[str, Any]] = self.client.get(
            f"/api/v1/runs?limit=50&function=shop-shop.{task}"
        )
        return found


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tasks]:
    folder = tmp_path_factory.mktemp("shop")
    with shop_on(Valkey(), folder) as shop, shop.worker(concurrency=6), connected(shop) as client:
        yield Tasks(client, shop)


def test_concurrency_by_key_counts_a_task_until_its_answer(tasks: Tasks) -> None:
    tasks.hold("c/x", concurrency={"limit": 1, "key": "event.data.customer"})
    [first, second] = tasks.start("c/x", "c1", "c2", customer="ann")
    [other] = tasks.start("c/x", "c3", customer="bob")
    tasks.began("c1")
    tasks.began("c3")
    tasks.waits_for(second, "concurrency")
    assert not tasks.has_begun("c2")
    tasks.release("c1")
    tasks.began("c2")
    tasks.release("c2", "c3")
    assert [tasks.status(run) for run in (first, second, other)] == ["completed"] * 3
    effects = tasks.shop.effects
    assert effects.index("end c1") < effects.index("begin c2")


def test_throttle_spreads_starts(tasks: Tasks) -> None:
    tasks.set(
        "note",
        on={"event": "t/x"},
        args="[1, event.data.key]",
        throttle={"limit": 1, "period": "2s"},
    )
    runs = tasks.start("t/x", "t1", "t2", "t3")
    started = sorted(datetime.fromisoformat(tasks.client.ended(run)["started_at"]) for run in runs)
    gaps = [later - earlier for earlier, later in pairwise(started)]
    assert all(gap >= timedelta(seconds=1.9) for gap in gaps)
    assert {"t1", "t2", "t3"} <= set(tasks.shop.effects)


def test_rate_limit_drops_events_beyond_it(tasks: Tasks) -> None:
    limit = {"limit": 1, "period": "1h", "key": "event.data.customer"}
    tasks.set("note", on={"event": "r/x"}, args="[1, event.data.key]", rateLimit=limit)
    runs = tasks.start("r/x", "r1", "r2", customer="ann")
    runs += tasks.start("r/x", "r3", customer="bob")
    assert [tasks.status(run) for run in runs] == ["completed"] * 2
    assert {"r1", "r3"} <= set(tasks.shop.effects)
    assert "r2" not in tasks.shop.effects


def test_idempotency_runs_a_task_once_for_a_value(tasks: Tasks) -> None:
    tasks.set("note", on={"event": "i/x"}, args="[1, event.data.key]", idempotency="event.data.n")
    [run] = tasks.start("i/x", "i1", "i2", n=1)
    assert tasks.status(run) == "completed"
    assert tasks.start("i/x", "i3", n=1) == []


def test_debounce_runs_the_last_of_several(tasks: Tasks) -> None:
    tasks.set("note", on={"event": "d/x"}, args="[1, event.data.key]", debounce={"period": "1s"})
    tasks.send("d/x", *({"key": f"d{n}"} for n in range(3)))
    wait_until(lambda: "d2" in tasks.shop.effects, _SECONDS, "the last one")
    assert not {"d0", "d1"} & set(tasks.shop.effects)


def test_batch_gives_one_task_the_arguments_of_all_events(tasks: Tasks) -> None:
    tasks.set(
        "note",
        on={"event": "b/x"},
        args="[events.map(e, e.data.n), events[0].data.key]",
        batchEvents={"maxSize": 3, "timeout": "2s", "key": "event.data.key"},
    )
    tasks.send("b/x", *({"n": n, "key": "b1"} for n in range(3)), {"n": 9, "key": "b2"})
    effects = wait_until(
        lambda: {"b1", "b2"} <= set(tasks.shop.effects) and tasks.shop.effects,
        _SECONDS,
        "both batches",
    )
    assert (effects.count("b1"), effects.count("b2")) == (1, 1)
    ended = [tasks.client.output(run["id"]) for run in tasks.of("note") if run["event"] == "b/x"]
    assert sorted(ended) == [[0, 1, 2], [9]]


def test_priority_moves_a_task_ahead(tasks: Tasks) -> None:
    tasks.hold("p/x", concurrency=1, priority={"run": "event.data.ahead"})
    [first] = tasks.start("p/x", "p1", ahead=0)
    tasks.began("p1")
    [low] = tasks.start("p/x", "p2", ahead=0)
    [high] = tasks.start("p/x", "p3", ahead=600)
    for run in (low, high):
        tasks.waits_for(run, "concurrency")
    tasks.release("p1", "p2", "p3")
    assert [tasks.status(run) for run in (first, low, high)] == ["completed"] * 3
    effects = tasks.shop.effects
    assert effects.index("begin p3") < effects.index("begin p2")


def test_singleton_skips_a_later_run(tasks: Tasks) -> None:
    tasks.hold("s/x", singleton={"mode": "skip"})
    [first] = tasks.start("s/x", "s1")
    tasks.began("s1")
    skipped = tasks.start("s/x", "s2")
    assert [tasks.status(run) for run in skipped] == ["skipped"]
    tasks.release("s1")
    assert tasks.status(first) == "completed"
    assert not tasks.has_begun("s2")


def test_singleton_cancels_the_earlier_run(tasks: Tasks) -> None:
    tasks.hold("s/y", singleton={"mode": "cancel"})
    [first] = tasks.start("s/y", "s3")
    tasks.began("s3")
    [second] = tasks.start("s/y", "s4")
    assert tasks.status(first) == "cancelled"
    tasks.began("s4")
    tasks.release("s3", "s4")
    assert tasks.status(second) == "completed"


def test_runs_that_start_or_end_too_late_are_cancelled(tasks: Tasks) -> None:
    tasks.hold("l/x", concurrency=1, timeouts={"start": "2s"})
    [first] = tasks.start("l/x", "l1")
    tasks.began("l1")
    [late] = tasks.start("l/x", "l2")
    assert tasks.status(late) == "cancelled"
    assert not tasks.has_begun("l2")
    tasks.release("l1")
    assert tasks.status(first) == "completed"
    tasks.hold("l/y", timeouts={"finish": "2s"})
    [long] = tasks.start("l/y", "l3")
    tasks.began("l3")
    assert tasks.status(long) == "cancelled"
    tasks.release("l3")


def test_event_cancels_the_run_it_means(tasks: Tasks) -> None:
    stop = {"event": "x/stop", "if": "event.data.key == async.data.key"}
    tasks.hold("x/x", cancelOn=[stop])
    [first, second] = tasks.start("x/x", "x1", "x2")
    tasks.began("x1")
    tasks.began("x2")
    tasks.client.send("x/stop", key="x1")
    assert tasks.status(first) == "cancelled"
    tasks.release("x1", "x2")
    assert tasks.status(second) == "completed"


def test_paused_task_waits_until_it_is_resumed(tasks: Tasks) -> None:
    tasks.hold("h/x")
    function = f"{tasks.client.url}/v1/functions/shop-shop.hold"
    answer = requests.post(f"{function}/pause", json={"events": "hold"}, timeout=30)
    assert answer.status_code == 200, answer.text
    [run] = tasks.start("h/x", "h1")
    tasks.waits_for(run, "paused")
    assert not tasks.has_begun("h1")
    assert requests.post(f"{function}/resume", timeout=30).status_code == 200
    tasks.release("h1")
    assert tasks.status(run) == "completed"


@pytest.mark.parametrize("by", ["api", "page"])
def test_limit_is_overridden_while_tasks_wait(tasks: Tasks, by: str) -> None:
    tasks.hold("o/x", concurrency=1)
    one, two, three = f"{by}1", f"{by}2", f"{by}3"
    runs = tasks.start("o/x", one, two, three)
    tasks.began(one)
    for run in runs[1:]:
        tasks.waits_for(run, "concurrency")
    override = _override_by_api if by == "api" else _override_by_page
    override(tasks.client.url, '{"concurrency": 2}')
    tasks.began(two)
    tasks.waits_for(runs[2], "concurrency")
    assert not tasks.has_begun(three)
    tasks.release(one, two, three)
    assert [tasks.status(run) for run in runs] == ["completed"] * 3
    limits = f"{tasks.client.url}/v1/functions/shop-shop.hold/limits"
    assert requests.delete(limits, timeout=30).status_code == 200


def _override_by_api(url: str, limits: str) -> None:
    answer = requests.put(f"{url}/v1/functions/shop-shop.hold/limits", data=limits, timeout=30)
    assert answer.status_code == 200, answer.text


def _override_by_page(url: str, limits: str) -> None:
    found = requests.get(f"{url}/v1/functions/shop-shop.hold/limits", timeout=30).json()
    place = f"{url}/functions/{found['data']['internal_id']}"
    with requests.Session() as browser:
        page = browser.get(place, timeout=30)
        token = re.search(r'name="csrf" value="([0-9a-f]{64})"', page.text)
        assert token is not None
        form = {"csrf": token[1], "limits": limits, "term": ""}
        answer = browser.post(f"{place}/limits", data=form, timeout=30, allow_redirects=False)
        assert answer.status_code == 303, answer.text


def test_failed_task_is_sent_again_after_its_own_backoff(tasks: Tasks) -> None:
    """The times of SDKs' functions would be 15 s and more."""
    tasks.set("refuse", retries=2, backoff={"initial": "1s", "factor": 1})
    run = tasks.client.ended(tasks.client.start({"task": "shop.refuse", "args": ["no"]}))
    tried = [one for one in run["attempts"] if one["name"] == "refuse"]
    assert [one["attempt"] for one in tried] == [0, 1, 2]
    ends = [datetime.fromisoformat(one["ended_at"]) for one in tried]
    assert ends[-1] - ends[0] >= timedelta(seconds=2)
