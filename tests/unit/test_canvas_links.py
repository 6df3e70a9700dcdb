"""Signatures that a canvas calls beside its own way: `link` after a success, `link_error`."""

import json
from typing import Any

from celery import Celery, Signature, chain, chord, group

from inngest_py.domain.canvas import interpret, signatures
from inngest_py.domain.canvas.interpret import Moves
from inngest_py.domain.canvas.nodes import Canvas
from inngest_py.domain.canvas.places import following

app = Celery("shop", broker="memory://", set_as_current=False)


@app.task(name="shop.work", shared=False)
def work(*args: Any) -> None: ...


@app.task(name="shop.note", shared=False)
def note(*args: Any) -> None: ...


@app.task(name="shop.alarm", shared=False)
def alarm(*args: Any) -> None: ...


def read(signature: Signature) -> Canvas:
    return signatures.read(json.loads(json.dumps(signature)))


def sent(moves: Moves) -> dict[str, list[Any]]:
    """The arguments of the calls, by path."""
    return {call.path: call.args for call in moves.calls}


def with_link(signature: Signature, *links: Signature) -> Signature:
    return signature.set(link=list(links))


def test_the_run_ends_when_links_have_ended_too() -> None:
    canvas = read(chain(with_link(work.s(1), note.s("a"), note.si("b")), work.s(2)))
    assert interpret.begin(canvas).opens == {"": 3}
    found = interpret.after(canvas, "0", 5)
    assert sent(found) == {"0+0": [5, "a"], "0+1": ["b"], "1": [5, 2]}
    assert found.joins is None
    assert [call.joins for call in found.calls] == ["", "", ""]
    assert interpret.after(canvas, "1", 6) == Moves(joins="")
    assert interpret.after(canvas, "0+1", None) == Moves(joins="")
    assert interpret.joined(canvas, "", {"1": 6}.__getitem__) == Moves(ended=True, result=6)


def test_a_link_may_be_a_canvas_with_links() -> None:
    inner = chain(with_link(note.s(1), alarm.s()), group(note.s(2), note.s(3)))
    canvas = read(with_link(work.s(), inner))
    assert interpret.begin(canvas).opens == {"": 3}
    assert sent(interpret.after(canvas, "0", "r")) == {"0+0.0": ["r", 1]}
    found = interpret.after(canvas, "0+0.0", "n")
    assert sent(found) == {"0+0.0+0": ["n"], "0+0.1.0": ["n", 2], "0+0.1.1": ["n", 3]}
    assert found.opens == {"0+0.1": 2}
    assert interpret.joined(canvas, "0+0.1", str) == Moves(joins="")
    assert interpret.joined(canvas, "", str) == Moves(ended=True, result="0")


def test_a_link_of_a_chain_or_group_follows_its_last_tasks() -> None:
    whole = with_link(chain(work.s(), work.s()), note.s())
    assert [path for path, *_ in interpret.tasks(read(whole))] == ["0", "1", "1+0"]
    both = with_link(group(work.s(), chain(work.s(), work.s())), note.s())
    paths = [path for path, *_ in interpret.tasks(read(both))]
    assert paths == ["0.0", "0.0+0", "0.1.0", "0.1.1", "0.1.1+0"]
    body = with_link(chord([work.s()], work.s()), note.s())
    assert [path for path, *_ in interpret.tasks(read(body))] == ["0.0", "1", "1+0"]
    kept = chain(work.s(), with_link(chain(work.s(), work.s()), note.s()), work.s())
    assert [path for path, *_ in interpret.tasks(read(kept))] == ["0", "1", "2", "2+0", "3"]


def test_a_link_without_a_task_is_nobody_to_wait_for() -> None:
    canvas = read(with_link(work.s(), group([]), chain([])))
    assert interpret.begin(canvas).opens == {}
    assert interpret.after(canvas, "0", 1) == Moves(ended=True, result=1)


def failing(signature: Signature, path: str) -> Moves:
    return interpret.failed(read(signature), path, "id")


def test_errbacks_get_the_id_of_the_failed_task() -> None:
    found = failing(work.s().on_error(alarm.s("x")), "0")
    assert sent(found) == {"0!0": ["id", "x"]}
    assert found.opens == {"0!": 1}
    assert (found.calls[0].label, found.calls[0].joins) == ("alarm after work failed", "0!")
    assert failing(work.s(), "0") == Moves(ended=True)


def test_the_canvas_of_an_errback_is_run_and_ends_the_run() -> None:
    alarms = chain(with_link(alarm.s(1), note.s()), group(alarm.s(2), alarm.s(3)))
    canvas = read(work.s().on_error(alarms))
    assert interpret.failed(canvas, "0", "id").opens == {"0!": 2}
    found = interpret.after(canvas, "0!0.0", "a")
    assert sent(found) == {"0!0.0+0": ["a"], "0!0.1.0": ["a", 2], "0!0.1.1": ["a", 3]}
    assert found.opens == {"0!0.1": 2}
    assert interpret.after(canvas, "0!0.0+0", 1) == Moves(joins="0!")
    assert interpret.joined(canvas, "0!0.1", str) == Moves(joins="0!")
    assert interpret.joined(canvas, "0!", str) == Moves(ended=True)


def test_an_errback_of_a_chain_is_called_for_each_of_its_tasks_once() -> None:
    for path in ("0", "1.0", "1.1.1", "2"):
        steps = (work.s(), group(work.s(), chain(work.s(), work.s())), work.s())
        assert len(failing(chain(*steps).on_error(alarm.s()), path).calls) == 1
    same = chain(work.s().on_error(alarm.s()), work.s()).on_error(alarm.s())
    assert len(failing(same, "0").calls) == 1
    both = chain(work.s().on_error(alarm.s("own")), work.s()).on_error(alarm.s("chain"))
    assert sent(failing(both, "0")) == {"0!0": ["id", "own"], "0!1": ["id", "chain"]}
    other = chain(work.s(), work.s().on_error(alarm.s()))
    assert failing(other, "0") == Moves(ended=True)


def test_a_failed_header_calls_the_errbacks_of_its_chords_body() -> None:
    body = work.s().on_error(alarm.s("body"))
    header = [work.s().on_error(alarm.s("own")), chain(work.s(), work.s())]
    assert sent(failing(chord(header, body), "0.0")) == {
        "0.0!0": ["id", "own"],
        "0.0!1": ["id", "body"],
    }
    assert sent(failing(chord(header, body), "0.1.0")) == {"0.1.0!0": ["id", "body"]}
    bodies = group(work.s().on_error(alarm.s("g1")), work.s().on_error(alarm.s("g2")))
    assert len(failing(chord([work.s()], bodies), "0.0").calls) == 2
    last = chain(work.s(), group(work.s(), work.s()))
    assert failing(last, "1.1") == Moves(ended=True)


def test_an_errback_of_the_main_way_is_not_for_its_links() -> None:
    canvas = with_link(work.s(), note.s()).on_error(alarm.s())
    assert failing(canvas, "0+0") == Moves(ended=True)
    assert len(failing(canvas, "0").calls) == 1
    header = [with_link(work.s(), group(note.s(), note.s()))]
    assert failing(chord(header, work.s().on_error(alarm.s())), "0.0+0.0.1") == Moves(ended=True)


def test_an_errback_may_fail_as_well() -> None:
    found = failing(work.s().on_error(alarm.s().on_error(note.s())), "0!0")
    assert sent(found) == {"0!0!0": ["id"]}
    assert found.opens == {"0!0!": 1}


def test_what_follows_a_task_when_it_is_run_again() -> None:
    header = [chain(work.s(), with_link(work.s(), note.s())), work.s()]
    canvas = read(chain(work.s(), chord(header, work.s()), work.s()))
    assert list(following(canvas, "1.0.0")) == ["1.0.0", "1.0.1", "1.0.1+0", "2", "3"]
    assert list(following(canvas, "1.0.1+0")) == ["1.0.1+0"]
    assert len(list(following(canvas, "0"))) == len(interpret.tasks(canvas))
