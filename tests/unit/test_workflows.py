"""Workflows: what their entries become, their conditions and expressions, and bad ones."""

from typing import Any

import pytest

from inngest_py.domain.canvas import interpret, workflows
from inngest_py.domain.canvas.expressions import Scope, Skipped
from inngest_py.domain.canvas.interpret import Call
from inngest_py.domain.canvas.signatures import MAX_LEVELS, MAX_TASKS
from inngest_py.domain.errors import Invalid

from ..canvases import EVENT, NOW, Engine, begun


def skipped(engine: Engine) -> list[str]:
    found = [path for path, result in engine.results.items() if isinstance(result, Skipped)]
    return sorted(engine.canvas.labels[path] for path in found)


def call_of(engine: Engine, label: str) -> Call:
    """Run a workflow until it calls a step; return the call."""
    while label not in {call.label for call in engine.calls.values()}:
        engine.answer(engine.rng.choice(sorted(engine.calls)))
    return next(call for call in engine.calls.values() if call.label == label)


def test_entries_are_a_chain_with_groups() -> None:
    engine = begun(
        [
            {"task": "shop.echo", "args": "[event.data.url]", "kwargs": "{}"},
            {"group": ["shop.pair", {"sequence": ["shop.echo", "shop.pair"]}]},
            "shop.echo",
        ]
    )
    assert engine.finish() == [[["u"]], [["u"]]]
    assert set(engine.canvas.labels.values()) == {
        "echo [1/3]",
        "echo [2/3]",
        "echo [3/3]",
        "pair [1/2]",
        "pair [2/2]",
    }


def test_form_of_celery_director_is_read() -> None:
    ours = ["shop.nothing", {"group": ["shop.xsum", {"sequence": ["shop.pair", "shop.echo"]}]}]
    theirs = [
        "shop.nothing",
        {
            "STORE_ALL": {
                "type": "group",
                "tasks": [
                    "shop.xsum",
                    {"C": {"type": "chain", "tasks": ["shop.pair", "shop.echo"]}},
                ],
            }
        },
    ]
    assert begun(theirs).finish() == begun(ours).finish() == [0, [[None]]]


def test_group_gives_a_list_also_of_one_and_also_in_a_group() -> None:
    raw = [{"task": "shop.echo", "args": "[7]"}, {"group": [{"group": ["shop.echo"]}, "shop.echo"]}]
    assert begun(raw).finish() == [[7], 7]


def test_expressions_see_the_event_and_the_results_before() -> None:
    raw = [
        {"task": "shop.echo", "name": "first", "args": "[event.data.n]"},
        {
            "name": "both",
            "group": [
                {"task": "shop.xsum", "args": "[result + 1.0]"},
                {"sequence": [{"task": "shop.pair", "args": "[steps.first]"}]},
            ],
        },
        {
            "task": "shop.echo",
            "name": "last",
            "args": "[result, steps.both, steps.xsum, steps.first, events[0].data.url]",
        },
    ]
    assert begun(raw).finish() == [[4, [[3]]], [4, [[3]]], 4, 3, "u"]


def test_expression_that_names_the_step_just_before_needs_no_stored_result() -> None:
    raw = ["shop.echo", {"task": "shop.echo", "name": "last", "args": "[steps.echo]"}]
    canvas = workflows.read(raw)
    asked: list[str] = []
    scope = Scope(lambda: [EVENT], asked.append, NOW)
    (call,) = interpret.after(canvas, "0", 5, scope).calls
    assert (call.args, asked) == ([5], [])


def test_kwargs_alone_leave_the_result_before_as_the_argument() -> None:
    raw = [
        {"task": "shop.echo", "args": "[1]"},
        {"task": "shop.pair", "kwargs": '{"url": event.data.url}'},
    ]
    assert begun(raw).finish() == [[1], "u"]


def test_options_are_those_of_the_entry_or_the_workflow() -> None:
    raw = ["shop.echo", {"task": "shop.pair", "queue": "big", "countdown": 5, "priority": 3}]
    canvas = workflows.read(raw, queue="small")
    first, second = canvas.root.members
    assert getattr(first, "options", None) == {"queue": "small"}
    assert getattr(second, "options", None) == {"queue": "big", "countdown": 5, "priority": 3}


SKIPS = [
    # a skipped step passes on what came to it
    ([{"task": "shop.echo", "args": "[1]"}, {"task": "shop.pair", "when": "false"}], 1, ["pair"]),
    (
        [{"task": "shop.pair", "when": False}, {"task": "shop.echo", "args": "[result]"}],
        None,
        ["pair"],
    ),
    ([{"task": "shop.pair", "when": "event.data.none"}], None, ["pair"]),
    ([{"task": "shop.echo", "args": "[2]", "when": "event.data.n == 3"}], 2, []),
    # a member that is skipped is null in its group's list
    (
        [
            {"task": "shop.echo", "args": "[1]"},
            {"group": [{"task": "shop.pair", "when": "result > 1"}, "shop.echo"]},
        ],
        [None, 1],
        ["pair"],
    ),
    (
        [
            {"task": "shop.echo", "args": "[1]"},
            {
                "group": [
                    {"task": "shop.pair", "when": "false"},
                    {"task": "shop.xsum", "when": "false"},
                ]
            },
            "shop.echo",
        ],
        [None, None],
        ["pair", "xsum"],
    ),
    # a whole group is skipped as one step
    (
        [
            {"task": "shop.echo", "args": "[1]"},
            {"group": ["shop.pair", {"sequence": ["shop.xsum", "shop.nothing"]}], "when": "false"},
            {"task": "shop.echo", "name": "last"},
        ],
        1,
        ["nothing", "pair", "xsum"],
    ),
    # a condition of a sequence is judged once, for all of it
    (
        [
            {"task": "shop.echo", "args": "[1]", "name": "one"},
            {
                "sequence": [
                    {"task": "shop.echo", "args": "[5]", "name": "five"},
                    {"task": "shop.pair", "when": "result == 1.0"},
                ],
                "when": "result == 1.0",
            },
        ],
        5,
        ["pair"],
    ),
    (
        [
            {"task": "shop.echo", "args": "[1]"},
            {
                "sequence": [
                    {"sequence": ["shop.pair", "shop.xsum"], "when": "true"},
                    "shop.nothing",
                ],
                "when": "result != 1.0",
            },
            {"task": "shop.pair", "name": "last"},
        ],
        [[1]],
        ["nothing", "pair", "xsum"],
    ),
    # a condition at the end of a member
    (
        [
            {
                "group": [
                    {
                        "sequence": [
                            {"task": "shop.echo", "args": "[1]", "name": "a"},
                            {"task": "shop.pair", "when": "false"},
                            {"group": ["shop.xsum"], "when": "false"},
                        ]
                    },
                    {"task": "shop.echo", "args": "[2]", "name": "b"},
                ]
            },
            {"task": "shop.echo", "args": "[result, steps.pair, steps.a]", "name": "last"},
        ],
        [[1, 2], None, 1],
        ["pair", "xsum"],
    ),
]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("raw", "result", "steps"), SKIPS, ids=range(len(SKIPS)))
def test_conditions_skip_steps(raw: Any, result: Any, steps: list[str], seed: int) -> None:
    engine = begun(raw, seed)

    def agree() -> None:
        """Stored results say the same, also of a condition that would be judged otherwise now."""
        other = Scope(lambda: [{}], lambda path: engine.results[path], NOW)
        found = interpret.replay(engine.canvas, engine.results, scope=other)
        assert {call.path for call in found.calls} == set(engine.calls)
        assert found.opens == engine.groups
        assert (found.ended, found.skips) == (engine.end is not None, {})

    assert engine.finish() == result
    agree()
    assert skipped(engine) == steps


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (
            [{"task": "shop.echo", "args": "event.data.n"}],
            "step 'echo': args, the expression 'event.data.n', must give a list, and it gave a"
            " number",
        ),
        (
            [{"task": "shop.echo", "args": "event.data.none"}],
            "step 'echo': args, the expression 'event.data.none', must give a list, and it gave a"
            " boolean; a field that it names may be missing",
        ),
        (
            [{"task": "shop.echo", "name": "Get it", "kwargs": "[1]"}],
            "step 'Get it': kwargs, the expression '[1]', must give an object, and it gave an"
            " array",
        ),
        (
            [{"task": "shop.echo", "when": "event.data.n"}],
            "step 'echo': when, the expression 'event.data.n', must give true or false, and it gave"
            " a number",
        ),
        (
            [{"group": ["shop.echo", "shop.pair"], "when": "1 / 0 == 1"}],
            "step 'echo': when, the expression '1 / 0 == 1', failed",
        ),
    ],
)
def test_expression_that_fails_is_named_with_its_step(raw: Any, message: str) -> None:
    scope = Scope(lambda: [EVENT], lambda path: None, NOW)
    moves = interpret.begin(workflows.read(raw), scope=scope)
    assert moves.failure is not None and moves.failure.message.startswith(message)
    assert (moves.failure.path, moves.calls) == ("0.0" if "group" in raw[0] else "0", ())


def test_edited_arguments_replace_an_expression_that_fails() -> None:
    canvas = workflows.read([{"task": "shop.echo", "args": "event.data.n"}])
    scope = Scope(lambda: [EVENT], lambda path: None, NOW)
    (call,) = interpret.replay(canvas, {}, scope=scope, edited={"0": {"args": [9]}}).calls
    assert call.args == [9]


def deep(levels: int) -> Any:
    raw: Any = ["shop.echo"]
    for level in range(levels - 1):
        raw = [{"group" if level % 2 else "sequence": raw, "when": "true"}]
    return raw


def test_deepest_workflow_runs() -> None:
    engine = begun(deep(MAX_LEVELS))
    assert engine.finish() is not None


TASK = {"task": "shop.echo"}


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({}, "tasks must be a list of tasks, groups and sequences, and it is an object"),
        ([], "tasks is empty: write the name of a task"),
        ([5], "tasks[0] must be the name of a task, or an object, and it is a number"),
        ([""], "tasks[0].task must be a text, and it is empty"),
        ([{}], "tasks[0] has no task, group or sequence"),
        ([TASK, {"args": "[]"}], "tasks[1] has no task, group or sequence"),
        ([{"task": "a", "group": ["b"]}], "tasks[0] has both task and group"),
        ([{**TASK, "arg": "[]"}], "tasks[0].arg is not known: there are task, name, args"),
        ([{"group": TASK}], "tasks[0].group must be a list"),
        ([{"group": []}], "tasks[0].group is empty"),
        (
            [{"group": ["a", {"sequence": [None]}]}],
            "tasks[0].group[1].sequence[0] must be the name",
        ),
        ([{"G": {"type": "set", "tasks": ["a"]}}], "tasks[0].G.type must be group or chain"),
        ([{"G": {"type": "group"}}], "tasks[0].G.tasks must be a list"),
        ([{**TASK, "args": ["event.data.x"]}], "tasks[0].args must be an expression in quotes"),
        ([{**TASK, "args": "["}], "tasks[0].args is no expression that works here"),
        ([{**TASK, "when": "evnt.x"}], "tasks[0].when is no expression that works here"),
        ([{**TASK, "when": "steps.echo"}], "tasks[0].when names 'echo', which is no step that has"),
        ([{**TASK, "args": "[steps]"}], "tasks[0].args is no expression that works here: steps"),
        ([{**TASK, "countdown": "x"}], "tasks[0].countdown must be a number of seconds"),
        (["celery.chain"], "tasks[0].task is Celery's own task"),
        (
            [{"group": ["a", {"task": "b", "args": "[steps.a]"}]}],
            "tasks[0].group[1].args names 'a', which is no step that has ended: there is none",
        ),
        (
            ["a", "a", {"task": "b", "args": "[steps.a]"}],
            "tasks[2].args names 'a', and 2 steps have this name",
        ),
        (["a"] * (MAX_TASKS + 1), "tasks has more than 10,000 tasks"),
        (deep(MAX_LEVELS + 1), "is nested deeper than 100 levels: make it flatter"),
    ],
)
def test_bad_workflow_is_refused_with_the_place(raw: Any, message: str) -> None:
    with pytest.raises(Invalid) as refused:
        workflows.read(raw)
    assert message in refused.value.message
