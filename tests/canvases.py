"""Random Celery canvases, the tasks that they are made of, and a small engine that runs them."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from random import Random
from typing import Any

from celery import Celery, Signature, chain, chord, group

from inngest_py.domain.canvas import interpret, workflows
from inngest_py.domain.canvas.expressions import Scope
from inngest_py.domain.canvas.interpret import Call, Moves
from inngest_py.domain.canvas.nodes import Canvas

app = Celery("canvases", broker="memory://", set_as_current=False)
app.conf.task_always_eager = True
LOG: list[str] = []  # of each call of a task, whoever has made it
FUNCTIONS: dict[str, Callable[..., Any]] = {}
MOST_LEVELS = 4
# what workflows get
EVENT = {"name": "shop/page", "data": {"url": "u", "n": 3, "deep": False}}
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def task(function: Callable[..., Any]) -> Any:
    """Make a task of a function that says which arguments it got."""

    def logged(*args: Any, **kwargs: Any) -> Any:
        LOG.append(json.dumps([function.__name__, args, kwargs], sort_keys=True))
        return function(*args, **kwargs)

    name = f"shop.{function.__name__}"
    FUNCTIONS[name] = logged
    return app.task(logged, name=name, shared=False)


def numbers(value: Any) -> Iterator[int]:
    """All numbers in a value."""
    if isinstance(value, list | tuple):
        for one in value:
            yield from numbers(one)
    elif isinstance(value, int):
        yield value


@task
def xsum(*args: Any, **kwargs: Any) -> int:
    return sum(numbers(args)) + 7 * len(kwargs)


@task
def pair(*args: Any, **kwargs: Any) -> list[Any]:
    return [list(args), *kwargs.values()]


@task
def echo(*args: Any) -> Any:
    return args[0] if len(args) == 1 else list(args)


@task
def nothing(*args: Any) -> None:
    return None


TASKS = (xsum, pair, echo, nothing)


def as_json(signature: Signature) -> dict[str, Any]:
    """What a broker or our API would carry of a signature."""
    found: dict[str, Any] = json.loads(json.dumps(signature))
    return found


def any_canvas(rng: Random, levels: int = MOST_LEVELS, *, links: bool = True) -> Signature:
    """Make a random canvas, built with Celery's own operators."""
    makes = [_task, _task, _map]
    if levels:
        makes += [_chain, _chain, _group, _chord, _chord, _piped]
    return rng.choice(makes)(rng, levels, links)


def _task(rng: Random, levels: int, links: bool) -> Signature:
    args = [rng.choice((rng.randrange(9), [rng.randrange(9)])) for _ in range(rng.randrange(3))]
    name = rng.choice(TASKS)
    found = (name.si if rng.random() < 0.2 else name.s)(*args)
    if name in (xsum, pair) and rng.random() < 0.2:
        found.kwargs["extra"] = rng.randrange(9)
    if links and rng.random() < 0.15:
        found.link(_linked(rng))
    return found


def _linked(rng: Random) -> Signature:
    """A link: eager Celery refuses to wait within a task, so it holds no chord or group."""
    first = _task(rng, 0, links=rng.random() < 0.3)
    return first if rng.random() < 0.6 else chain(first, _task(rng, 0, links=False))


def _map(rng: Random, levels: int, links: bool) -> Signature:
    count = rng.randrange(4)
    if rng.random() < 0.3:
        return rng.choice(TASKS).map([rng.randrange(9) for _ in range(count)])
    items = [[rng.randrange(9) for _ in range(rng.randrange(3))] for _ in range(count)]
    if rng.random() < 0.5:
        return rng.choice(TASKS).starmap(items)
    # .group(): what a bare `chunks` gives when it is sent is not the same everywhere
    return rng.choice((xsum, pair)).chunks(items, rng.randrange(1, 3)).group()


def _parts(rng: Random, levels: int, links: bool, least: int = 0) -> list[Signature]:
    return [
        any_canvas(rng, rng.randrange(levels), links=links) for _ in range(rng.randrange(least, 4))
    ]


def _chain(rng: Random, levels: int, links: bool) -> Signature:
    return chain(_parts(rng, levels, links, 1))


def _group(rng: Random, levels: int, links: bool) -> Signature:
    return group(_parts(rng, levels, links))


def _chord(rng: Random, levels: int, links: bool) -> Signature:
    body = any_canvas(rng, rng.randrange(levels), links=links)
    return chord(_parts(rng, levels, links), body)


def _piped(rng: Random, levels: int, links: bool) -> Signature:
    first, second, *_ = _parts(rng, levels, links, 3)
    return first | second


def same_when_eager(raw: Any) -> bool:
    """Say whether eager Celery does with a signature what Celery's workers do.

    A chain may hold a group of one, such as `chain(a, group(group(b)))`: workers run the one task,
    and eager Celery a group, whose result is a list. (Seen with Valkey and a worker.) A chord
    whose body is an empty chain raises IndexError when it is sent: read() refuses it.
    """
    if isinstance(raw, list):
        return all(map(same_when_eager, raw))
    if not isinstance(raw, dict):
        return True
    parts = raw.get("kwargs") or {}
    if raw.get("task") == "celery.chain" and any(map(_is_group_of_one, parts["tasks"])):
        return False
    if raw.get("task") == "celery.chord" and parts["body"]["kwargs"].get("tasks", [1]) == []:
        return parts["body"]["task"] == "celery.group"
    return all(map(same_when_eager, raw.values()))


def _is_group_of_one(raw: dict[str, Any]) -> bool:
    return raw["task"] == "celery.group" and len(raw["kwargs"]["tasks"]) == 1


class Engine:
    """Runs a canvas as the server does: results by path, a counter for each group."""

    def __init__(self, canvas: Canvas, rng: Random, scope: Scope | None = None) -> None:
        self.canvas = canvas
        self.scope = scope
        self.rng = rng
        self.results: dict[str, Any] = {}
        self.calls: dict[str, Call] = {}
        self.groups: dict[str, int] = {}
        self.made: list[str] = []
        self.end: Moves | None = None

    def apply(self, moves: Moves) -> None:
        """Store what follows, and join the groups that are complete."""
        for call in moves.calls:
            assert call.path not in self.calls
            self.calls[call.path] = call
            self.made.append(call.path)
        assert not set(moves.skips) & set(self.results)
        self.results.update(moves.skips)
        assert not set(moves.opens) & set(self.groups)
        self.groups.update(moves.opens)
        if moves.ended:
            assert self.end is None
            self.end = moves
        if moves.joins is not None:
            self._count(moves.joins)

    def _count(self, path: str) -> None:
        self.groups[path] -= 1
        if self.groups[path] == 0:
            del self.groups[path]
            self.apply(interpret.joined(self.canvas, path, self.results.__getitem__, self.scope))

    def answer(self, path: str) -> None:
        """Run one task that was sent, and store its result."""
        call = self.calls.pop(path)
        self.results[path] = result = run(call)
        moves = interpret.after(self.canvas, path, result, self.scope)
        if call.joins is not None:
            assert moves == Moves(joins=call.joins)
        self.apply(moves)

    def finish(self, watch: Callable[[], None] = lambda: None) -> Any:
        """Answer all tasks in a random order; return the result of the canvas."""
        watch()
        while self.calls:
            self.answer(self.rng.choice(sorted(self.calls)))
            watch()
        assert self.end is not None
        assert self.groups == {}
        return self.end.result


def run(call: Call) -> Any:
    """Do what a worker does with a message, and bring the result through JSON."""
    if call.name in ("celery.map", "celery.starmap"):
        function = FUNCTIONS[call.kwargs["task"]["task"]]
        spread = call.name == "celery.starmap"
        found = [function(*item) if spread else function(item) for item in call.kwargs["it"]]
    else:
        found = FUNCTIONS[call.name](*call.args, **call.kwargs)
    return json.loads(json.dumps(found))


def begun(raw: Any, seed: int = 0, event: object = EVENT) -> Engine:
    """An engine that has begun a workflow."""
    engine = Engine(workflows.read(raw), Random(seed))
    engine.scope = Scope(lambda: [event], lambda path: engine.results[path], NOW)
    engine.apply(interpret.begin(engine.canvas, scope=engine.scope))
    return engine
