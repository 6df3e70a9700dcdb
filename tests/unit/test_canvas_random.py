"""Random canvases, answered in any order: the results are Celery's own, each call is made once."""

import json
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
from celery import Signature, _state

from inngest_py.domain.canvas import interpret, signatures
from inngest_py.domain.canvas.interpret import Call
from inngest_py.domain.canvas.places import following

from .. import canvases
from ..canvases import LOG, Engine, any_canvas, as_json, same_when_eager

BATCH = 500
BATCHES = [range(start, start + BATCH) for start in range(0, 2500, BATCH)]


@pytest.fixture(autouse=True)
def celery(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Make the canvases' app the current one: parts of a canvas do not always know their app."""
    monkeypatch.setattr(_state._tls, "current_app", canvases.app)
    LOG.clear()
    yield
    LOG.clear()


def started(raw: Any, seed: int, args: tuple[Any, ...] = ()) -> Engine:
    """An engine that has begun a canvas."""
    engine = Engine(signatures.read(raw), Random(seed))
    engine.apply(interpret.begin(engine.canvas, args=args))
    return engine


def drained() -> list[str]:
    """The calls of tasks since the last time, sorted."""
    found = sorted(LOG)
    LOG.clear()
    return found


def eager(signature: Signature, args: tuple[Any, ...]) -> Any:
    """Celery's own result; an empty chain has none."""
    found = signature.apply(args)
    return json.loads(json.dumps(None if found is None else found.get()))


@pytest.mark.parametrize("seeds", BATCHES, ids=str)
def test_results_and_calls_are_those_of_celery(seeds: range) -> None:
    compared = 0
    for seed in seeds:
        rng = Random(seed)
        args = (rng.randrange(9),) if rng.random() < 0.3 else ()
        canvas = any_canvas(rng)
        raw = as_json(canvas)
        if not same_when_eager(raw):
            continue
        compared += 1
        expected = eager(canvas, args), drained()
        assert (started(raw, seed, args).finish(), drained()) == expected, (seed, raw)
    assert compared > 0.95 * len(seeds)


def due(calls: Any) -> dict[str, Call]:
    """Calls by path."""
    return {call.path: call for call in calls}


@pytest.mark.parametrize("seeds", BATCHES[:1], ids=str)
def test_stored_results_alone_say_the_same_at_each_point(seeds: range) -> None:
    for seed in seeds:
        raw = as_json(any_canvas(Random(seed)))
        if not same_when_eager(raw):
            continue
        engine = started(raw, seed)

        def agree(engine: Engine = engine) -> None:
            found = interpret.replay(engine.canvas, engine.results)
            assert due(found.calls) == engine.calls
            assert found.opens == engine.groups
            assert found.ended is (engine.end is not None)

        result = engine.finish(agree)
        assert interpret.replay(engine.canvas, engine.results).result == result
        assert sorted(engine.made) == sorted(path for path, *_ in interpret.tasks(engine.canvas))


@pytest.mark.parametrize("seeds", [range(250)], ids=str)
def test_the_order_of_answers_changes_nothing(seeds: range) -> None:
    for seed in seeds:
        raw = as_json(any_canvas(Random(seed)))
        if not same_when_eager(raw):
            continue
        engine = started(raw, seed)
        first = engine.finish(), drained(), engine.results
        other = started(raw, seed + 1)
        assert (other.finish(), drained(), other.results) == first


@pytest.mark.parametrize("seeds", BATCHES[:1], ids=str)
def test_a_run_can_be_taken_up_from_any_task(seeds: range) -> None:
    for seed in seeds:
        rng = Random(seed)
        raw = as_json(any_canvas(rng))
        if not same_when_eager(raw):
            continue
        engine = started(raw, seed)
        result = engine.finish()
        paths = [path for path, *_ in interpret.tasks(engine.canvas)]
        if not paths:
            continue
        chosen = rng.choice(paths)
        again = list(following(engine.canvas, chosen))
        second = Engine(engine.canvas, rng)
        second.results = {k: v for k, v in engine.results.items() if k not in again}
        second.apply(interpret.replay(engine.canvas, second.results))
        assert list(second.calls) == [chosen]
        assert second.finish() == result
        assert sorted(second.made) == sorted(again)
