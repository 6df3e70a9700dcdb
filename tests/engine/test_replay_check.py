"""The replay check over both databases, with a scripted app: which runs, how many, what is left."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import orjson
import pytest
from sqlalchemy import select

from inngest_py.domain.errors import Invalid, NotFound
from inngest_py.domain.functions.registration import parse_registration
from inngest_py.domain.replay import findings
from inngest_py.domain.replay.answers import AppAway, RanAStep, TookTooLong
from inngest_py.domain.replay.findings import Change
from inngest_py.domain.reply.read import Reply
from inngest_py.domain.runs.runs import RunStatus
from inngest_py.engine.admin import replay_check, replay_live
from inngest_py.engine.admin.replay_check import CannotCheck
from inngest_py.engine.apps import register
from inngest_py.engine.work.end_run import cancel
from inngest_py.storage.db.session import Database
from inngest_py.storage.schema import tables
from tests.engine.harness import Engine
from tests.engine.shop import Shop, add
from tests.factories import op, reply, step

NEW = "http://localhost:2/api/inngest"
Steps = tuple[tuple[str, str], ...]  # opcodes and names
OLD: Steps = (("StepRun", "a"), ("StepRun", "b"), ("Sleep", "rest"), ("StepRun", "c"))


def answer(steps: Steps, request: dict[str, Any]) -> Reply:
    """Answer as an SDK does for a function of these steps, one after another."""
    for code, name in steps:
        if step(name) in request["steps"]:
            continue
        if code == "Raise":
            return reply(500, {"name": name, "message": "no luck"})
        if code != "StepRun":
            return reply(206, [op(code, name, name="1h")], x_inngest_req_version="2")
        planned = request["ctx"]["disable_immediate_execution"]
        data = "x" * 3_000_000 if name.startswith("big") else name
        made = op("StepPlanned", name) if planned else op("StepRun", name, data=data)
        return reply(206, [made], x_inngest_req_version="2")
    return reply(200, "done")


class Apps:
    """The app that is deployed, and the one at NEW; each is its functions' steps, by slug."""

    def __init__(self, db: Database) -> None:
        self.now = self.new = {"app-fn": OLD}
        self.engine = Engine(db, self._script)
        self.before_answer: Callable[[], Reply | None] = lambda: None
        self.engine.sdk.send = self._send  # type: ignore[method-assign]
        self.calls = 0

    def _script(self, request: dict[str, Any], target: str) -> Reply:
        return reply(200)

    def _send(self, method: str, url: str, headers: Any, body: bytes, timeout: Any = None) -> Reply:
        request, slug = orjson.loads(body), url.split("fnId=")[1].split("&", maxsplit=1)[0]
        if not url.startswith(NEW):
            return answer(self.now[slug], request)
        self.calls += 1
        assert not {"fn_id", "qi_id"} & request["ctx"].keys()
        if slug not in self.new:
            return reply(500, {"code": "function_not_found", "message": f"{slug} not found"})
        return self.before_answer() or answer(self.new[slug], request)

    def register(self, app: str, *names: str) -> None:
        """Register more functions, each started by an event of its slug."""
        url = f"http://localhost:1/{app}"
        functions = []
        for name in names:
            slug = f"{app}-{name}"
            self.now = self.now | {slug: OLD}
            runtime = {"type": "http", "url": f"{url}?fnId={slug}&stepId=step"}
            functions.append(
                {
                    "id": slug,
                    "name": name,
                    "triggers": [{"event": slug}],
                    "steps": {"step": {"id": "step", "name": "step", "runtime": runtime}},
                }
            )
        payload = {"appName": app, "url": url, "functions": functions}
        register.register(self.engine.ctx, parse_registration(payload))

    def start(self, *names: str) -> list[str]:
        """Start runs that sleep now."""
        made = [self.engine.start(name=name) for name in names]
        self.engine.drain()
        return made

    def live(self, function: str | None = None, most: int = 200) -> replay_live.Report:
        """Check the runs in flight."""
        return replay_live.of_live_runs(self.engine.ctx, NEW, function, most)


@pytest.fixture
def apps(db: Database) -> Apps:
    return Apps(db)


def rows(apps: Apps) -> dict[str, Any]:
    """Read all that is stored."""
    with apps.engine.ctx.db.reading() as tx:
        return {
            table.name: sorted(map(str, tx.execute(select(table)).all()))
            for table in tables.Base.metadata.sorted_tables
        }


def test_nothing_is_stored_and_no_connection_is_held(apps: Apps) -> None:
    [run_id] = apps.start("a/b")
    held, before = [], rows(apps)
    pool: Any = apps.engine.ctx.db.engine.pool
    kept = pool.checkedout()  # SQLite's writer

    def look() -> None:
        held.append(pool.checkedout())

    apps.before_answer = look
    found = replay_check.of_run(apps.engine.ctx, run_id, NEW)
    assert (found.findings, found.unseen, found.status) == ((), None, RunStatus.RUNNING)
    assert held == [kept] * 3
    assert apps.live() == replay_live.Report(1, [found])
    assert rows(apps) == before


def test_runs_in_flight_of_one_app_are_counted_and_grouped(apps: Apps) -> None:
    apps.register("shop", "order", "gone")
    apps.register("other", "fn")
    orders = apps.start("shop-order", "shop-order")
    apps.start("a/b", "shop-gone", "other-fn")
    apps.new = {"shop-order": (("StepRun", "a"), ("StepRun", "x"), *OLD[1:])}
    report = apps.live()
    assert (report.in_flight, report.left_out) == (3, {})
    told = {run.run_id: [one.change for one in run.findings] for run in report.checked}
    assert {run_id: told.pop(run_id) for run_id in orders} == {
        run_id: [Change.NEW] for run_id in orders
    }
    assert list(told.values()) == [[Change.UNSERVED]]
    assert [run.run_id for run in apps.live("shop-order").checked] == sorted(orders)


def test_a_run_that_has_not_begun_moves_nothing(apps: Apps) -> None:
    run_id = apps.engine.start()
    apps.new = {"app-fn": ()}
    assert replay_check.of_run(apps.engine.ctx, run_id, NEW).findings == ()


def test_a_run_that_has_ended_is_checked_to_its_end(apps: Apps) -> None:
    [run_id] = apps.start("a/b")
    apps.engine.advance(hours=1)
    assert apps.engine.run(run_id)["status"] == "completed"
    told = {}
    for name, more in {
        "same": (),
        "more": (("StepRun", "d"),),
        "raises": (("Raise", "E"),),
    }.items():
        apps.new = {"app-fn": (*OLD, *more)}
        found = replay_check.of_run(apps.engine.ctx, run_id, NEW)
        assert found.has_ended
        told[name] = found.sentences()
    assert told == {
        "same": [],
        "more": [
            "'d' is new: the new code asks for it after 'c' (step 4), where the run had ended"
        ],
        "raises": ["the new code raises E after 'c' (step 4), where the run had ended: no luck"],
    }
    assert apps.live() == replay_live.Report(0)


def test_a_cancelled_run_ends_where_it_was_cancelled(apps: Apps) -> None:
    [run_id] = apps.start("a/b")
    cancel(apps.engine.ctx, run_id)
    assert replay_check.of_run(apps.engine.ctx, run_id, NEW).sentences() == []


def test_where_the_run_is_asked_for_its_own_app(apps: Apps) -> None:
    [run_id] = apps.start("a/b")
    apps.now = {"app-fn": OLD[1:]}
    [finding] = replay_check.of_run(apps.engine.ctx, run_id).findings
    assert (finding.change, finding.name) == (Change.MISSING, "a")


def test_what_does_not_fit_is_left_out_and_told(
    apps: Apps, monkeypatch: pytest.MonkeyPatch
) -> None:
    apps.start(*["a/b"] * 4)
    report = apps.live(most=3)
    assert (report.in_flight, len(report.checked)) == (4, 3)
    assert (report.left_out, report.is_cut) == ({"the limit (most) is 3": 1}, False)
    with monkeypatch.context() as few:
        few.setattr(replay_live, "MOST_COUNTED", 3)
        report = apps.live(most=2)
    told = "the limit (most) is 2, and those after 3 are not counted"
    assert (report.left_out, report.is_cut) == ({told: 1}, True)
    said = findings.summary(0, 2, report.in_flight, at_least=report.is_cut)
    assert said.endswith("no steps of the 2 runs that were checked, of 3 or more runs in flight")
    monkeypatch.setattr(replay_live, "LONGEST", timedelta(seconds=-1))
    report = apps.live()
    assert (len(report.checked), list(report.left_out.values())) == (0, [4])


def test_an_app_that_goes_away_ends_the_check(apps: Apps, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay_live, "TOGETHER", 1)
    apps.start(*["a/b"] * 5)
    whole = 1 + len(OLD)  # the first answer says whether the function is there

    def away() -> Reply | None:
        return Reply(unreachable="connection refused") if apps.calls > whole else None

    apps.before_answer = away
    report = apps.live()
    assert (len(report.checked), report.left_out) == (
        1,
        {"the app cannot be reached: connection refused": 4},
    )
    assert apps.calls == whole + 1


def test_a_call_that_takes_too_long_costs_one_run(apps: Apps) -> None:
    apps.start(*["a/b"] * 2)
    slow = [7]

    def late() -> Reply | None:
        return Reply(unreachable="timed out") if apps.calls in slow else None

    apps.before_answer = late
    report = apps.live()
    assert (len(report.checked), list(report.left_out.values())) == (1, [1])


@pytest.mark.parametrize(
    ("given", "error", "told"),
    [
        (Reply(unreachable="connection refused"), AppAway, "connection refused"),
        (Reply(unreachable="timed out"), TookTooLong, "in time"),
        (reply(401, {"message": "no"}), AppAway, "same signing key"),
        (Reply(404, {}, b"nothing here"), AppAway, "HTTP 404"),
        (Reply(200, {}, b"<html>"), AppAway, "serve endpoint"),
        (reply(206, [op("StepRun", "a", data=1)]), RanAStep, "'a' though it was told not to"),
        (reply(206, [op("StepError", "a", error={})]), RanAStep, "disable_immediate_execution"),
        (reply(410, {"error": "function not found: app-fn"}), Invalid, "no function app-fn"),
    ],
)
def test_apps_that_cannot_be_asked(
    apps: Apps, given: Reply, error: type[Exception], told: str
) -> None:
    [run_id] = apps.start("a/b")
    apps.before_answer = lambda: given
    with pytest.raises(error, match=told):
        replay_check.of_run(apps.engine.ctx, run_id, NEW)
    with pytest.raises(error, match=told):
        apps.live()


def test_runs_that_cannot_be_checked(apps: Apps) -> None:
    with pytest.raises(NotFound, match="does not exist"):
        replay_check.of_run(apps.engine.ctx, apps.engine.ctx.new_id(), NEW)
    apps.now = {"app-fn": (("StepRun", "big 1"), ("StepRun", "big 2"), *OLD)}
    apps.new = apps.now
    [run_id] = apps.start("a/b")
    with pytest.raises(CannotCheck, match="over 4 MiB"):
        replay_check.of_run(apps.engine.ctx, run_id, NEW)
    assert apps.live().left_out == {"its event and results are over 4 MiB": 1}


def test_runs_of_celery_apps_are_refused_with_the_reason(db: Database) -> None:
    engine = Shop(db)
    run_id = engine.send(add.s(1, 2))
    with pytest.raises(CannotCheck, match="of a Celery app"):
        replay_check.of_run(engine.ctx, run_id, NEW)
    with pytest.raises(Invalid, match="of a Celery app"):
        replay_live.of_live_runs(engine.ctx, NEW, "shop-shop.add", 1)
    assert replay_live.of_live_runs(engine.ctx, NEW, None, 1) == replay_live.Report(0)


def test_an_answer_that_is_too_large_is_no_change(apps: Apps) -> None:
    [run_id] = apps.start("a/b")
    apps.before_answer = lambda: Reply(206, {"x-inngest-sdk": "py"}, too_large=True)
    told = "the app's answer is over 8 MiB, and a run would fail with it"
    with pytest.raises(CannotCheck, match=f"run {run_id} cannot be checked: {told}"):
        replay_check.of_run(apps.engine.ctx, run_id, NEW)
    taken = iter([None])  # the app is asked for its functions first
    apps.before_answer = lambda: next(taken, Reply(206, {"x-inngest-sdk": "py"}, too_large=True))
    report = apps.live()
    assert (report.checked, report.left_out) == ([], {told: 1})


def test_a_function_may_be_named_by_its_id_in_its_app(apps: Apps) -> None:
    apps.register("shop", "order")
    [run_id] = apps.start("shop-order")
    apps.new = {"shop-order": OLD}
    assert [run.run_id for run in apps.live("order").checked] == [run_id]
    apps.register("other", "order")
    with pytest.raises(
        Invalid, match=r"several apps .* 'order': name one of other-order, shop-order"
    ):
        apps.live("order")
    with pytest.raises(NotFound, match="function rder does not exist"):
        apps.live("rder")
