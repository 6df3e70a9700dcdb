"""Canvases built with Celery, and what they mean: calls, arguments, options, labels, results."""

import json
from typing import Any

import pytest
from celery import Celery, Signature, chain, chord, group
from celery.canvas import _chain

from inngest_py.domain.canvas import interpret, signatures
from inngest_py.domain.canvas.interpret import Call, Moves
from inngest_py.domain.canvas.nodes import Canvas
from inngest_py.domain.errors import NotFound

app = Celery("shop", broker="memory://", set_as_current=False)


@app.task(name="shop.orders.add", shared=False)
def add(*args: Any) -> None: ...


@app.task(name="shop.store", shared=False)
def store(*args: Any) -> None: ...


@app.task(name="report", shared=False)
def report(*args: Any) -> None: ...


def read(signature: Signature) -> Canvas:
    return signatures.read(json.loads(json.dumps(signature)))


def sent(moves: Moves) -> dict[str, list[Any]]:
    """The arguments of the calls, by path."""
    return {call.path: call.args for call in moves.calls}


def first(signature: Signature) -> Call:
    """The first call of a canvas."""
    return interpret.begin(read(signature)).calls[0]


def test_a_chain_puts_the_result_before_the_arguments() -> None:
    canvas = read(chain(add.s(1, 2), add.s(3), report.si(9), store.s()))
    assert sent(interpret.begin(canvas)) == {"0": [1, 2]}
    assert sent(interpret.after(canvas, "0", "one")) == {"1": ["one", 3]}
    assert sent(interpret.after(canvas, "1", "two")) == {"2": [9]}
    assert sent(interpret.after(canvas, "2", None)) == {"3": [None]}
    assert interpret.after(canvas, "3", "end") == Moves(ended=True, result="end")


def test_a_group_in_a_chain_becomes_a_chord() -> None:
    built = chain(add.s(1), group(store.s(2), store.s(3)), report.s(), add.s(4))
    assert built.tasks[-1].task == "celery.chord"
    canvas = read(built)
    opened = interpret.after(canvas, "0", "a")
    assert sent(opened) == {"1.0": ["a", 2], "1.1": ["a", 3]}
    assert opened.opens == {"1": 2}
    assert [call.joins for call in opened.calls] == ["1", "1"]
    assert interpret.after(canvas, "1.1", "y") == Moves(joins="1")
    results = {"1.0": "x", "1.1": "y"}
    assert sent(interpret.joined(canvas, "1", results.__getitem__)) == {"2": [["x", "y"]]}
    assert sent(interpret.after(canvas, "2", "r")) == {"3": ["r", 4]}


def test_a_chain_that_was_not_built_by_celery_means_the_same() -> None:
    parts = [add.s(1), group(store.s(2), store.s(3)), chain(report.s(), add.s(4))]
    assert read(_chain(*parts)) == read(chain(*parts))


def test_a_chord_calls_its_body_with_the_list() -> None:
    canvas = read(chord([add.s(1), add.s(2)], report.s("x")))
    assert interpret.begin(canvas).opens == {"0": 2}
    assert sent(interpret.joined(canvas, "0", {"0.0": 5, "0.1": 6}.__getitem__)) == {
        "1": [[5, 6], "x"]
    }


def test_a_header_may_be_a_group() -> None:
    frozen = chord([add.s(1), add.s(2)], report.s())
    frozen.freeze()  # writes ids and the body into the options, and makes the header a group
    canvas = read(frozen)
    assert sent(interpret.begin(canvas)) == {"0.0": [1], "0.1": [2]}
    assert [call.options for call in interpret.begin(canvas).calls] == [{}, {}]


def test_a_nested_group_is_a_part_of_the_outer_one() -> None:
    canvas = read(group(add.s(1), group(add.s(2), add.s(3))))
    begun = interpret.begin(canvas, args=[0])
    assert sent(begun) == {"0.0": [0, 1], "0.1": [0, 2], "0.2": [0, 3]}
    assert interpret.joined(canvas, "0", str) == Moves(ended=True, result=["0.0", "0.1", "0.2"])


def test_a_group_at_the_end_of_a_member_is_a_list_within_the_list() -> None:
    canvas = read(chord([chain(add.s(1), group(store.s(), store.s())), add.s(2)], report.s()))
    assert interpret.after(canvas, "0.0.0", 7).opens == {"0.0.1": 2}
    assert interpret.joined(canvas, "0.0.1", str) == Moves(joins="0")
    assert sent(interpret.joined(canvas, "0", str)) == {"1": [[["0.0.1.0", "0.0.1.1"], "0.1"]]}


def test_a_map_is_one_message_and_chunks_are_a_group_of_them() -> None:
    call = first(add.map([1, 2]))
    assert (call.name, call.label, call.args) == ("celery.map", "add.map", [])
    assert call.kwargs["it"] == [1, 2]
    assert call.kwargs["task"]["task"] == "shop.orders.add"
    assert first(add.starmap([(1, 2)])).kwargs["it"] == [[1, 2]]
    canvas = read(chain(store.s(), add.chunks([(1, 2), (3, 4), (5, 6)], 2), report.s()))
    opened = interpret.after(canvas, "0", "not for them")
    assert [call.kwargs["it"] for call in opened.calls] == [[[1, 2], [3, 4]], [[5, 6]]]
    assert [call.args for call in opened.calls] == [[], []]
    assert sent(interpret.joined(canvas, "1", str)) == {"2": [["1.0", "1.1"]]}


@pytest.mark.parametrize(
    ("signature", "result"),
    [
        (group([]), []),
        (chain([]), None),
        (group([chain([]), group([])]), []),
        (_chain(group([])), []),
        (chord([], group([])), []),
    ],
)
def test_what_runs_no_task_has_a_result_at_once(signature: Signature, result: Any) -> None:
    canvas = read(signature)
    assert interpret.begin(canvas) == Moves(ended=True, result=result)
    assert interpret.tasks(canvas) == []


def test_empty_groups() -> None:
    canvas = read(chord([], report.s(1)))
    assert sent(interpret.begin(canvas)) == {"1": [[], 1]}
    between = read(_chain(add.s(1), group([]), store.s(2)))
    assert sent(interpret.after(between, "0", "a")) == {"1": ["a", 2]}


def test_a_group_of_one_within_a_chain_is_its_task() -> None:
    canvas = read(_chain(add.s(1), group(group(store.s(2))), report.s()))
    assert sent(interpret.after(canvas, "0", "a")) == {"1": ["a", 2]}
    assert sent(interpret.after(canvas, "1", "b")) == {"2": ["b"]}
    header = read(group(add.s(1)) | report.s())
    assert sent(interpret.joined(header, "0", str)) == {"1": [["0.0"]]}


def test_arguments_of_the_sending_come_first() -> None:
    whole = chain(add.s(1), store.s(2))
    begun = interpret.begin(read(whole), args=[0], kwargs={"x": 1})
    assert (begun.calls[0].args, begun.calls[0].kwargs) == ([0, 1], {"x": 1})
    assert sent(interpret.begin(read(chain(add.si(1), store.s())), args=[0])) == {"0": [1]}
    kept = add.signature((1,), {"x": 2, "y": 3})
    assert interpret.begin(read(kept), kwargs={"x": 1}).calls[0].kwargs == {"x": 1, "y": 3}
    header = chord([add.s(1), chain(add.s(2), add.s(3))], report.s())
    assert sent(interpret.begin(read(header), args=[0])) == {"0.0": [0, 1], "0.1.0": [0, 2]}


def test_options_of_a_chain_are_for_its_first_task() -> None:
    built = chain(add.s(), store.s())
    built.set(queue="slow", countdown=5)
    canvas = read(built)
    assert interpret.begin(canvas).calls[0].options == {"queue": "slow", "countdown": 5}
    assert interpret.after(canvas, "0", 1).calls[0].options == {}


def test_options_of_a_group_are_for_all_and_stronger_than_their_own() -> None:
    own = add.s().set(queue="own", priority=3)
    built = group(own, chain(store.s(), store.s()), group(add.s()))
    built.set(queue="all")
    calls = interpret.begin(read(built)).calls
    assert [call.options for call in calls] == [
        {"queue": "all", "priority": 3},
        {"queue": "all"},
        {"queue": "all"},
    ]


def test_a_delay_of_a_chord_is_for_its_header_alone() -> None:
    built = chord([add.s()], report.s())
    built.set(countdown=5, queue="slow")
    canvas = read(built)
    assert interpret.begin(canvas).calls[0].options == {"countdown": 5, "queue": "slow"}
    assert interpret.joined(canvas, "0", str).calls[0].options == {"queue": "slow"}


def test_outer_options_are_stronger() -> None:
    built = chain(add.s().set(queue="own", priority=3), store.s())
    built.set(queue="all")
    assert first(built).options == {"queue": "all", "priority": 3}
    inner = group(add.s().set(queue="own"), add.s())
    inner.set(queue="inner", priority=1)
    outer = group(inner, _chain(group(add.s(), add.s()).set(queue="inner"), store.s()))
    calls = interpret.begin(read(outer.set(queue="outer"))).calls
    found = [call.options for call in calls]
    assert found == [{"queue": "outer", "priority": 1}] * 2 + [{"queue": "outer"}] * 2
    alone = _chain(group(add.s().set(queue="own")).set(queue="all"), store.s())
    assert first(alone).options == {"queue": "all"}


@pytest.mark.parametrize(
    "parts",
    [
        {"task": "celery.chain", "kwargs": {"tasks": [{"task": "a", "args": [1]}, {"task": "b"}]}},
        {"task": "celery.group", "kwargs": {"tasks": [{"task": "a", "args": [1]}, {"task": "b"}]}},
        {
            "task": "celery.chord",
            "kwargs": {"header": [{"task": "a", "args": [1]}], "body": {"task": "b"}},
        },
    ],
    ids=["chain", "group", "chord"],
)
def test_a_chain_a_group_and_a_chord_may_have_arguments_and_be_immutable(parts: Any) -> None:
    own = {**parts, "args": [0]}
    assert interpret.begin(signatures.read(own), args=[9]).calls[0].args == [9, 0, 1]
    fixed = {**own, "immutable": True}
    begun = interpret.begin(signatures.read(fixed), args=[9], kwargs={"x": 1}).calls[0]
    assert (begun.args, begun.kwargs) == ([0, 1], {})


def test_keyword_arguments_of_a_chord_are_for_its_header() -> None:
    raw = {"header": [{"task": "a"}], "body": {"task": "b"}, "kwargs": {"x": 1}}
    canvas = signatures.read({"task": "celery.chord", "kwargs": raw})
    assert interpret.begin(canvas).calls[0].kwargs == {"x": 1}
    assert interpret.joined(canvas, "0", str).calls[0].kwargs == {}


def test_a_map_takes_nothing_from_outside() -> None:
    canvas = read(chain(store.s(), add.map([1])))
    assert interpret.after(canvas, "0", "result").calls[0].args == []
    hand_written = {"task": "celery.map", "kwargs": {"task": {"task": "a"}, "it": [1]}}
    assert interpret.begin(signatures.read(hand_written), args=[5]).calls[0].args == []


def test_labels_tell_tasks_of_one_name_apart() -> None:
    canvas = read(chain(add.s(), group(store.s(i) for i in range(14)), report.s()))
    found = {path: (label, name) for path, label, name in interpret.tasks(canvas)}
    assert found["0"] == ("add", "shop.orders.add")
    assert found["1.1"] == ("store [2/14]", "shop.store")
    assert found["2"] == ("report", "report")
    assert interpret.after(canvas, "0", 1).calls[1].label == "store [2/14]"


@pytest.mark.parametrize(
    "path", ["", "5", "0.0", "0+0", "0!0", "x", "0..1", "0.", "-1", "٣", "9" * 99]
)
def test_unknown_paths(path: str) -> None:
    with pytest.raises(NotFound):
        interpret.after(read(chain(add.s(), store.s())), path, 1)


def test_a_call_does_not_share_its_arguments_with_the_canvas() -> None:
    canvas = read(add.signature((1,), {"x": 1}, {"queue": "q"}))
    call = interpret.begin(canvas).calls[0]
    call.args.append(2)
    call.kwargs.clear()
    call.options.clear()
    again = interpret.begin(canvas).calls[0]
    assert (again.args, again.kwargs, again.options) == ([1], {"x": 1}, {"queue": "q"})
