"""Random workflows: without conditions they give what the same canvas gives."""

from random import Random
from typing import Any

import pytest
from celery import chain, group

from inngest_py.domain.canvas import interpret, signatures
from inngest_py.domain.canvas.interpret import Call

from ..canvases import TASKS, Engine, as_json, begun, run


def any_workflow(rng: Random, levels: int = 4) -> tuple[list[Any], Any]:
    """A random workflow without conditions, and the canvas that Celery's operators make of it.

    Each list begins with a task: Celery makes one group of a group in a group.
    """
    entries: list[Any] = []
    parts: list[Any] = []
    for _ in range(rng.randrange(1, 4)):
        kind = rng.random() if levels and parts else 0
        if kind < 0.5:
            task = rng.choice(TASKS)
            given = rng.random() < 0.3
            entries.append({"task": task.name, "args": "[4]"} if given else task.name)
            parts.append(task.si(4) if given else task.s())
        elif kind < 0.7:
            inner, canvas = any_workflow(rng, levels - 1)
            entries.append({"sequence": inner})
            parts.append(canvas)
        else:
            members = [any_workflow(rng, levels - 1) for _ in range(rng.randrange(2, 4))]
            entries.append({"group": [{"sequence": inner} for inner, _ in members]})
            parts.append(group([canvas for _, canvas in members]))
    return entries, chain(parts)


@pytest.mark.parametrize(
    "seeds", [range(start, start + 250) for start in range(0, 1000, 250)], ids=str
)
def test_workflow_gives_what_the_same_canvas_gives(seeds: range) -> None:
    for seed in seeds:
        raw, canvas = any_workflow(Random(seed))
        engine = begun(raw, seed)
        other = Engine(signatures.read(as_json(canvas)), Random(seed))
        other.apply(interpret.begin(other.canvas))
        assert engine.finish() == other.finish(), raw
        calls = sorted((call.name, str(call.args)) for call in replayed(engine))
        assert calls == sorted((call.name, str(call.args)) for call in replayed(other))


def replayed(engine: Engine) -> list[Call]:
    """All calls of a canvas, made again from nothing."""
    again = Engine(engine.canvas, Random(0), engine.scope)
    calls = []
    again.apply(interpret.begin(again.canvas, scope=again.scope))
    while again.calls:
        path = min(again.calls)
        calls.append(again.calls[path])
        again.answer(path)
    return calls


def test_random_conditions_agree_with_a_plain_reading() -> None:
    for seed in range(400):
        rng = Random(seed)
        raw, _ = any_workflow(rng)
        raw = with_conditions(rng, raw)
        engine = begun(raw, seed)
        assert engine.finish() == plainly(raw, [])[0], raw


def with_conditions(rng: Random, entries: list[Any]) -> list[Any]:
    made = []
    for one in entries:
        entry: Any = {"task": one} if isinstance(one, str) else dict(one)
        for key in ("group", "sequence"):
            if key in entry:
                entry[key] = with_conditions(rng, entry[key])
        if rng.random() < 0.3:
            entry["when"] = rng.choice(["true", "false", "result == 4.0", "event.data.n == 3"])
        made.append(entry)
    return made


def plainly(entries: list[Any], given: list[Any]) -> tuple[Any, bool]:
    """Run entries one after the other; return the last value, and whether one has run."""
    value, ran = None, False
    for entry in entries:
        when = entry.get("when", "true")
        if when == "false" or (when == "result == 4.0" and given != [4]):
            continue
        if "task" in entry:
            args = [4] if "args" in entry else given
            value = run(Call("", "", entry["task"], args, {}, {}))
        elif "sequence" in entry:
            found, any_ran = plainly(entry["sequence"], given)
            if not any_ran:
                continue
            value = found
        else:
            value = [plainly([one], given)[0] for one in entry["group"]]
        given, ran = [value], True
    return value, ran
