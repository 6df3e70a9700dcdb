"""Large and deep canvases: an answer costs the same in all, and nothing runs out of stack."""

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from inngest_py.domain.canvas import interpret, signatures
from inngest_py.domain.canvas.nodes import Canvas
from inngest_py.domain.canvas.signatures import MAX_LEVELS, MAX_TASKS
from inngest_py.domain.errors import Invalid

Raw = dict[str, Any]
# What read() and the interpreter may add to the stack. Python allows 1,000 frames by default.
MOST_FRAMES = 550


def task(*args: Any, **options: Any) -> Raw:
    return {"task": "shop.work", "args": list(args), "kwargs": {}, "options": options}


def chain(*tasks: Raw, **options: Any) -> Raw:
    return {"task": "celery.chain", "kwargs": {"tasks": list(tasks)}, "options": options}


def group(*tasks: Raw, **options: Any) -> Raw:
    return {"task": "celery.group", "kwargs": {"tasks": list(tasks)}, "options": options}


def chord(header: Any, body: Raw, **options: Any) -> Raw:
    return {"task": "celery.chord", "kwargs": {"header": header, "body": body}, "options": options}


def chunks(count: int, size: int) -> Raw:
    items = [[number] for number in range(count)]
    return {"task": "celery.chunks", "kwargs": {"task": task(), "it": items, "n": size}}


class Cost:
    """Counts the calls of functions while it is open, and how deep they are."""

    def __enter__(self) -> "Cost":
        self.calls = self.frames = 0
        self._start = _depth(sys._getframe())
        sys.setprofile(self._count)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def _count(self, frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            self.calls += 1
            self.frames = max(self.frames, _depth(frame) - self._start)
        elif event == "c_call":
            self.calls += 1


def _depth(frame: FrameType | None) -> int:
    depth = 0
    while frame is not None:
        depth, frame = depth + 1, frame.f_back
    return depth


def costs(count: int) -> list[int]:
    """The calls that a chord of so many members takes, in each part of its run."""
    members = [chain(task(number), task()) for number in range(count // 2)]
    raw = chord(members, task())
    found = []
    with Cost() as cost:
        canvas = signatures.read(raw)
    found.append(cost.calls)
    with Cost() as cost:
        begun = interpret.begin(canvas)
    found.append(cost.calls)
    assert len(begun.calls) == begun.opens["0"] == count // 2
    results = {f"0.{number}.{step}": number for number in range(count // 2) for step in (0, 1)}
    with Cost() as cost:
        interpret.joined(canvas, "0", results.__getitem__)
    found.append(cost.calls)
    with Cost() as cost:
        interpret.replay(canvas, results)
    found.append(cost.calls)
    return found


def test_ten_times_the_tasks_cost_ten_times_as_much() -> None:
    for small, large in zip(costs(300), costs(3_000), strict=True):
        assert large < 10.5 * small


def test_an_answer_costs_the_same_among_many() -> None:
    found = set()
    for count in (2, 1_000, 9_000):
        canvas = signatures.read(chord([task() for _ in range(count)], task()))
        with Cost() as cost:
            assert interpret.after(canvas, f"0.{count - 1}", 1).joins == "0"
        found.add(cost.calls)
    assert len(found) == 1


def test_a_chord_of_ten_thousand_tasks_runs() -> None:
    canvas = signatures.read(chord([task(number) for number in range(MAX_TASKS - 1)], task()))
    begun = interpret.begin(canvas)
    missing = begun.opens["0"]
    for call in begun.calls:
        missing -= interpret.after(canvas, call.path, call.args[0]).joins == "0"
    assert missing == 0
    (body,) = interpret.joined(canvas, "0", lambda path: int(path[2:])).calls
    assert body.args == [list(range(MAX_TASKS - 1))]


@pytest.mark.parametrize(
    "raw",
    [
        group(*[task()] * (MAX_TASKS + 1)),
        chunks(2 * MAX_TASKS + 1, 2),
        group(chunks(MAX_TASKS, 1), task()),
        group(*[task()] * (MAX_TASKS // 2), link=chain(task(), task())),
        group(*[chain(*[task()] * 100, link=task())] * 100),
        task(link_error=[task()] * MAX_TASKS),
    ],
    ids=["group", "chunks", "both", "links of a group", "links of chains", "errbacks"],
)
def test_too_many_tasks_are_refused(raw: Raw) -> None:
    with pytest.raises(Invalid, match=r"^signature has more than 10,000 tasks: split it"):
        signatures.read(raw)


@pytest.mark.parametrize("key", ["link", "link_error"])
def test_links_that_multiply_are_refused_at_once(key: str) -> None:
    raw = task()
    for _ in range(40):  # each level doubles the number of tasks
        raw = group(task(), task(), link=raw)
    raw = task(**{key: raw})
    with Cost() as cost, pytest.raises(Invalid, match="more than 10,000 tasks"):
        signatures.read(raw)
    assert cost.calls < 60 * MAX_TASKS


def test_errbacks_within_errbacks_are_no_more_work_when_a_task_fails() -> None:
    raw = task()
    for _ in range(90):  # each of the tasks has the errbacks of its chain
        raw = chain(*[task()] * 100, link_error=raw)
    canvas = signatures.read(raw)
    with Cost() as cost:
        assert len(interpret.failed(canvas, "99", "id").calls) == 1
    assert cost.calls < 10 * MAX_TASKS


WRAPS: dict[str, Callable[[Raw], Raw]] = {
    "chain": lambda raw: chain(raw, task()),
    "end of a chain": lambda raw: chain(task(), raw),
    "group": lambda raw: group(task(), raw),
    "header": lambda raw: chord([raw, task()], task()),
    "body": lambda raw: chord([task(), task()], raw),
    "link": lambda raw: task(link=raw),
    "link of a chain": lambda raw: chain(task(), link=[raw]),
    "errback": lambda raw: task(link_error=raw),
}


def nested(wrap: Callable[[Raw], Raw], levels: int) -> Raw:
    raw = task()
    for _ in range(levels - 1):
        raw = wrap(raw)
    return raw


@pytest.mark.parametrize("wrap", WRAPS.values(), ids=WRAPS)
def test_the_deepest_canvases_fit_the_stack(wrap: Callable[[Raw], Raw]) -> None:
    with Cost() as cost:
        canvas = signatures.read(nested(wrap, MAX_LEVELS))
        run_all(canvas)
    assert cost.frames < MOST_FRAMES


def run_all(canvas: Canvas) -> None:
    """Take each way through a canvas, and through the errbacks of its last task."""
    interpret.begin(canvas)
    results = {path: 1 for path, *_ in interpret.tasks(canvas)}
    assert interpret.replay(canvas, results).ended
    for path in results:
        interpret.after(canvas, path, 1)
    deepest = max(results, key=len)
    for call in interpret.failed(canvas, deepest, "id").calls:
        interpret.after(canvas, call.path, 1)
    assert interpret.joined(canvas, "", results.__getitem__).ended


@pytest.mark.parametrize("levels", [MAX_LEVELS + 1, 10_000])
@pytest.mark.parametrize("wrap", WRAPS.values(), ids=WRAPS)
def test_deeper_ones_are_refused(wrap: Callable[[Raw], Raw], levels: int) -> None:
    raw = nested(wrap, levels)
    with pytest.raises(Invalid, match=r"^signature\..* is nested deeper than 100 signatures"):
        signatures.read(raw)
    while raw:  # free it level by level: Python's own way would go as deep as the signature
        inner = [raw["options"].pop(key, None) for key in ("link", "link_error")]
        for key in ("header", "body", "tasks"):
            inner.append(raw["kwargs"].pop(key, None))
        flat = [
            one for part in inner if part for one in (part if isinstance(part, list) else [part])
        ]
        raw = next((one for one in flat if one["kwargs"] or len(one["options"])), {})
