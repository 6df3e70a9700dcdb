"""Workflows of a Celery app through the engine, on both databases, without a broker."""

from datetime import timedelta
from typing import Any

import pytest

from inngest_py.domain.errors import Conflict, Invalid, NotFound
from inngest_py.domain.runs.rerun import FromStep, from_step
from inngest_py.domain.steps import tasks
from inngest_py.domain.values import canonical
from inngest_py.engine.admin.rerun import rerun
from inngest_py.engine.apps import celery_apps, task_settings, workflows
from inngest_py.engine.intake import invoke
from inngest_py.engine.upkeep import leftovers
from inngest_py.engine.work.celery_tasks import canvases
from inngest_py.storage.db.session import Database
from inngest_py.storage.operations import pruning
from inngest_py.storage.queries import function_list
from tests.engine.flow import rows
from tests.engine.shop import Shop


@pytest.fixture
def engine(db: Database) -> Shop:
    return Shop(db)


def put(engine: Shop, entries: Any, **more: Any) -> None:
    """Make the workflow `flow`, which the event `shop/flow` starts."""
    changes = {"tasks": entries, "on": [{"event": "shop/flow"}], **more}
    assert workflows.configure(engine.ctx, "shop", "flow", changes) == "shop-flow"


def start(engine: Shop, **data: Any) -> str:
    run_id = engine.start(name="shop/flow", data=data)
    engine.drain()
    return run_id


def output(engine: Shop, run_id: str) -> Any:
    run = engine.run(run_id)
    assert run["status"] == "completed", run["output"]
    return canonical.loads(run["output"])


def messages(engine: Shop) -> list[Any]:
    """Answer all that is sent until nothing more is; return the arguments of each."""
    seen = []
    while found := engine.take():
        seen += [message.args for message in found]
        engine.answer(*found)
    return seen


ADD = {"task": "shop.add", "args": "[event.data.a, event.data.b]"}
FLOW = [
    ADD,
    {
        "group": [
            {"task": "shop.add", "name": "plus", "args": "[result, 10]"},
            {
                "sequence": [
                    {"task": "shop.add", "name": "more", "args": "[result, 100]"},
                    {"task": "shop.add", "name": "most", "args": "[result, steps.add]"},
                ],
            },
        ]
    },
    "shop.total",
]


def test_event_starts_a_workflow(engine: Shop) -> None:
    put(engine, FLOW)
    run_id = start(engine, a=1, b=2)
    seen = [[1, 2], [3, 10], [3, 100], [103, 3], [[13, 106]]]
    assert sorted(messages(engine), key=str) == sorted(seen, key=str)
    assert output(engine, run_id) == 119
    labels = ["add", "plus", "more", "most", "total", "Finalization"]
    assert sorted(engine.tried(run_id)) == sorted((label, "completed", 0) for label in labels)


def test_workflow_is_invoked_as_a_function(engine: Shop) -> None:
    put(engine, FLOW, on=None)
    started = invoke.invoke(engine.ctx, "shop-flow", {"data": {"a": 3, "b": 4}}, 100)
    engine.drain()
    engine.finish()
    assert output(engine, str(started.run_id)) == 17 + 114


def test_workflow_of_one_task_is_one_message(engine: Shop) -> None:
    put(engine, [ADD])
    run_id = start(engine, a=1, b=2)
    assert len(engine.queued(run_id)) == 1
    assert messages(engine) == [[1, 2]]
    assert output(engine, run_id) == 3


def test_skipped_steps_are_in_the_timeline(engine: Shop) -> None:
    put(
        engine,
        [
            {**ADD, "when": "event.data.first"},
            {"task": "shop.add", "name": "second", "args": "[5, 6]"},
            {"group": ["shop.add", "shop.total"], "when": "result > 20.0"},
            {"task": "shop.add", "name": "last", "args": "[result, 1]"},
            {"task": "shop.add", "name": "never", "when": "false"},
        ],
    )
    run_id = start(engine, first=False)
    assert messages(engine) == [[5, 6], [11, 1]]
    assert output(engine, run_id) == 12
    assert engine.tried(run_id) == [
        ("add [1/2]", "skipped", 0),
        ("second", "completed", 0),
        ("add [2/2]", "skipped", 0),
        ("total", "skipped", 0),
        ("last", "completed", 0),
        ("never", "skipped", 0),
        ("Finalization", "completed", 0),
    ]


def test_workflow_whose_steps_are_all_skipped_ends_at_once(engine: Shop) -> None:
    put(engine, [{**ADD, "when": "false"}, {"group": ["shop.add"], "when": "false"}])
    run_id = start(engine)
    assert (engine.take(), output(engine, run_id)) == ([], None)


def test_members_that_are_skipped_count_as_ended(engine: Shop) -> None:
    entries = [{**ADD, "name": f"n{n}", "when": f"event.data.n == {n}"} for n in range(3)]
    put(
        engine,
        [{"group": entries}, {"task": "shop.total", "args": "[result.filter(x, x != null)]"}],
    )
    run_id = start(engine, n=1, a=1, b=2)
    assert messages(engine) == [[1, 2], [[3]]]
    assert output(engine, run_id) == 3


@pytest.mark.parametrize("later", [False, True])
def test_expression_that_fails_fails_the_run_and_its_step(engine: Shop, later: bool) -> None:
    bad = {"task": "shop.add", "name": "bad", "args": "event.data.none"}
    put(engine, [ADD, bad] if later else [bad])
    run_id = start(engine, a=1, b=2)
    engine.finish()
    run = engine.run(run_id)
    error = canonical.loads(run["output"])["error"]
    assert run["status"] == "failed"
    assert error["name"] == "ExpressionFailed"
    assert error["message"].startswith("step 'bad': args, the expression 'event.data.none', must")
    before = [("add", "completed", 0)] if later else []
    assert engine.tried(run_id) == [*before, ("bad", "failed", 0), ("Finalization", "failed", 0)]
    again = rerun(engine.ctx, run_id, from_step(tasks.step_of("1" if later else "0"), [4, 5]))
    engine.drain()
    assert messages(engine) == [[4, 5]]
    assert output(engine, again) == 9


def failing(engine: Shop) -> str:
    """A run of FLOW whose step `most` has failed."""
    run_id = start(engine, a=1, b=2)
    engine.answer(*engine.take())
    engine.answer(*engine.take())
    [most] = engine.take()
    engine.fail(most)
    assert engine.run(run_id)["status"] == "failed"
    return run_id


def test_rerun_from_a_step_keeps_the_workflow_of_its_run(engine: Shop) -> None:
    put(engine, FLOW)
    run_id = failing(engine)
    put(engine, [{"task": "shop.add", "args": "[1000, 1]"}])
    again = rerun(engine.ctx, run_id, FromStep(tasks.step_of("1.1.1")))
    engine.drain()
    assert messages(engine) == [[103, 3], [[13, 106]]]
    assert output(engine, again) == 119
    twice = rerun(engine.ctx, again, FromStep(tasks.step_of("2")))
    engine.drain()
    assert messages(engine) == [[[13, 106]]]
    assert output(engine, twice) == 119
    anew = rerun(engine.ctx, run_id)
    engine.drain()
    assert messages(engine) == [[1000, 1]]
    assert output(engine, anew) == 1001


def test_rerun_keeps_what_was_skipped(engine: Shop) -> None:
    put(
        engine,
        [
            {**ADD, "when": "event.data.none == 1.0"},
            {"group": [{"task": "shop.total", "when": "false"}, {**ADD, "name": "in"}]},
            {"task": "shop.add", "name": "last", "args": "[result[1], 1]"},
        ],
    )
    run_id = start(engine, a=1, b=2)
    assert messages(engine) == [[1, 2], [3, 1]]
    again = rerun(engine.ctx, run_id, FromStep(tasks.step_of("2")))
    engine.drain()
    assert messages(engine) == [[3, 1]]
    assert output(engine, again) == 4
    assert [name for name, status, _ in engine.tried(again) if status == "skipped"] == [
        "add",
        "total",
    ]


def test_run_keeps_its_workflow_while_it_changes(
    engine: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(engine, FLOW)
    run_id = start(engine, a=1, b=2)
    put(engine, ["shop.total"])
    monkeypatch.setattr(canvases, "_canvases", canvases._Canvases())  # another process goes on
    messages(engine)
    assert output(engine, run_id) == 119


def test_old_versions_go_with_the_last_run_that_has_them(engine: Shop) -> None:
    """Also an ended run needs its own: it may be run again from a step."""

    def left() -> int:
        while leftovers.forget_workflows(engine.ctx):
            pass
        return int(rows(engine.ctx.db, "SELECT count(*) FROM workflows")[0][0])

    put(engine, FLOW)
    run_id = start(engine, a=1, b=2)
    for entries in (["shop.total"], [ADD], ["shop.add"]):
        put(engine, entries)
    engine.now += timedelta(days=2)
    assert left() == 4
    messages(engine)
    assert output(engine, run_id) == 119
    assert left() == 4
    with engine.ctx.db.transaction() as tx:
        pruning.prune_runs(tx, engine.now + timedelta(days=1), engine.now, 10)
    put(engine, ["shop.add"], retries=3)
    assert left() == 4, "another process may have the version before still"
    engine.now += timedelta(days=2)
    assert left() == 1
    run_id = start(engine)
    messages(engine)
    assert output(engine, run_id) == 0
    assert left() == 1


def test_other_settings_do_not_change_the_workflow(engine: Shop) -> None:
    put(engine, FLOW, retries=2, queue="slow")
    workflows.configure(engine.ctx, "shop", "flow", {"queue": None, "concurrency": 1})
    run_id = start(engine, a=1, b=2)
    messages(engine)
    assert output(engine, run_id) == 119
    [shown] = workflows.shown(engine.ctx, "shop")
    assert shown["settings"]["tasks"] == {"value": FLOW, "from": "api"}
    assert shown["settings"]["retries"] == {"value": 2, "from": "api"}
    assert "queue" not in shown["settings"]


def test_queue_of_a_workflow_is_that_of_its_tasks(engine: Shop) -> None:
    put(
        engine,
        [ADD, {"task": "shop.add", "name": "b", "args": "[1, 2]", "queue": "big"}],
        queue="q",
    )
    start(engine, a=1, b=2)
    [first] = engine.take()
    engine.answer(first)
    [second] = engine.take()
    assert (first.options["queue"], second.options["queue"]) == ("q", "big")


def test_task_is_retried_as_the_workflow_says(engine: Shop) -> None:
    put(engine, [ADD], retries=1)
    run_id = start(engine, a=1, b=2)
    [message] = engine.take()
    engine.fail(message)
    engine.advance(hours=1)
    engine.drain()
    assert messages(engine) == [[1, 2]]
    assert output(engine, run_id) == 3


def test_removed_workflow_starts_no_more_and_its_runs_go_on(engine: Shop) -> None:
    put(engine, FLOW)
    run_id = start(engine, a=1, b=2)
    assert workflows.remove(engine.ctx, "shop", "flow")
    assert not workflows.remove(engine.ctx, "shop", "flow")
    messages(engine)
    assert output(engine, run_id) == 119
    celery_apps.add(engine.ctx, "shop", "redis://other:1/0")
    assert workflows.shown(engine.ctx, "shop") == []
    with pytest.raises(NotFound):
        invoke.invoke(engine.ctx, "shop-flow", {"data": {}}, 10)
    put(engine, [ADD])
    again = start(engine, a=5, b=6)
    messages(engine)
    assert output(engine, again) == 11


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("flow", {}, "tasks is missing"),
        ("flow", {"tasks": []}, "tasks is empty"),
        ("flow", {"tasks": ["a"], "args": "[1]"}, "args is not known here"),
        (
            "flow",
            {"tasks": ["a"], "on": [{"event": "x", "args": "[1]"}]},
            "on[0].args is not known",
        ),
        ("flow", {"tasks": ["a"], "on": [{"cron": "@daily", "queue": "q"}]}, "on[0].queue is not"),
        ("flow", {"tasks": ["a"], "retrys": 1}, "retrys is not known here: did you mean retries?"),
        ("flow", {"tasks": ["a"], "retries": 21}, "retries must be a number from 0 to 20"),
        ("celery.x", {"tasks": ["a"]}, "the name of a workflow must have"),
        ("a b", {"tasks": ["a"]}, "the name of a workflow must have"),
    ],
)
def test_bad_settings_are_refused(engine: Shop, name: str, changes: Any, message: str) -> None:
    with pytest.raises(Invalid) as refused:
        workflows.configure(engine.ctx, "shop", name, changes)
    assert message in refused.value.message
    assert workflows.shown(engine.ctx, "shop") == []


def test_task_and_workflow_of_one_name_are_kept_apart(engine: Shop) -> None:
    with pytest.raises(Conflict, match="has a task called shop"):
        workflows.configure(engine.ctx, "shop", "shop.add", {"tasks": ["shop.total"]})
    put(engine, [ADD])
    with pytest.raises(Conflict, match="flow is a workflow"):
        task_settings.configure(engine.ctx, "shop", "flow", {"retries": 1})
    assert celery_apps.register_tasks(engine.ctx, engine.app_id, ["flow", "shop.add"]) == []
    with pytest.raises(NotFound, match="no worker of shop has 'flow'"):
        celery_apps.function_of_signature(engine.ctx, "shop", {"task": "flow"})
    with engine.ctx.db.reading() as tx:
        row = function_list.by_slug(tx, "shop-flow")
    assert row is not None and '"workflow":true' in row["config"].replace(" ", "")
