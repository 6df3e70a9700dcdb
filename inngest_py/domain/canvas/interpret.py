"""Say what a canvas does next: the tasks to send, the groups to wait for, and its result.

It starts with begin(). Each result is given to after(); it leads to the next task of its chain, or
it ends a member of a group. Once all members of a group have ended, joined() goes on. The answer to
each of the three is due once. replay() finds the same from stored results alone.

A result costs the same however large the canvas is. The caller counts the members of groups, and
has each message of a task lead to one call of after().
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from .merging import merged
from .nodes import Branch, Canvas, Chain, Group, Node, Task, under, walk
from .places import Around, errbacks, find_group, find_task, joined_by, outermost


@dataclass(frozen=True, slots=True)
class Call:
    """A task to be sent.

    `joins` is the group of which its success ends a member and does nothing else: the caller may
    count that without asking. With None, after() says what its success leads to.
    """

    path: str
    label: str
    name: str
    args: list[object]
    kwargs: dict[str, object]
    options: dict[str, object]
    joins: str | None = None


@dataclass(frozen=True, slots=True)
class Moves:
    """What follows: tasks to send, groups that begin, a group of which one member has ended.

    `opens` has the number of members of each group that have to end. With `ended`, the canvas is
    done and `result` is its result.
    """

    calls: tuple[Call, ...] = ()
    opens: dict[str, int] = field(default_factory=dict)
    joins: str | None = None
    ended: bool = False
    result: object = None


def tasks(canvas: Canvas) -> list[tuple[str, str, str]]:
    """List all tasks, links among them, as path, label and name, in the order of the tree."""
    return [(path, canvas.labels[path], task.name) for path, task in walk(canvas.root, "")]


def begin(
    canvas: Canvas, *, args: Sequence[object] = (), kwargs: Mapping[str, object] | None = None
) -> Moves:
    """Start a canvas; its first tasks get these arguments before their own."""
    return replay(canvas, {}, args=args, kwargs=kwargs)


def replay(
    canvas: Canvas,
    results: Mapping[str, object],
    *,
    args: Sequence[object] = (),
    kwargs: Mapping[str, object] | None = None,
) -> Moves:
    """Find all that is due from the results of tasks that are stored, by path.

    Tasks that were sent and have not ended are among the calls. Each group in `opens` waits for
    that many members. Errbacks are left out.
    """
    interpreter = _Interpreter(canvas, results)
    given = _Given(tuple(args), dict(kwargs or {}))
    value = interpreter.chain(canvas.root, "", given, joined_by((), canvas))
    waiting = (value is _PENDING) + canvas.side_branches - interpreter.side_branches_ended
    if waiting and canvas.side_branches:
        interpreter.opens[outermost("")] = waiting
    if waiting:
        return interpreter.moves()
    return interpreter.moves(ended=True, result=value)


def after(canvas: Canvas, path: str, result: object) -> Moves:
    """Say what follows from the result of one task. Raises NotFound."""
    task, around = find_task(canvas, path)
    interpreter = _Interpreter(canvas, {})
    interpreter.links(task, path, result)
    return interpreter.climb(around, result)


def joined(canvas: Canvas, path: str, results: Callable[[str], object]) -> Moves:
    """Say what follows when all members of a group have ended.

    `results` reads the stored result of a task by its path. Raises NotFound.
    """
    if path.endswith("!"):  # the errbacks of a task: the run ends as failed
        return Moves(ended=True)
    if not path:
        return Moves(ended=True, result=_value(canvas.root, "", results))
    group, around = find_group(canvas, path)
    return _Interpreter(canvas, {}).climb(around, _value(group, path, results))


def failed(canvas: Canvas, path: str, task_id: str) -> Moves:
    """Call the errbacks of a task that has failed for good, with the task's id, as Celery does.

    They are one group; joined() of it ends the canvas without a result. Without errbacks the
    canvas ends at once. Raises NotFound.
    """
    found = errbacks(*find_task(canvas, path))
    interpreter = _Interpreter(canvas, {})
    group = f"{path}!"
    for index, errback in enumerate(found):
        interpreter.branch(errback, f"{group}{index}", _Given((task_id,)), group)
    if not found:
        return Moves(ended=True)
    interpreter.opens[group] = len(found) + sum(
        len(task.links) for errback in found for _, task in walk(errback, "")
    )
    return interpreter.moves()


class _Pending:
    """Stands for a value that is not there yet."""


_PENDING = _Pending()


@dataclass(frozen=True, slots=True)
class _Given:
    """What a task gets from outside: arguments before its own, and options over its own."""

    args: tuple[object, ...] = ()
    kwargs: dict[str, object] = field(default_factory=dict)
    options: dict[str, object] = field(default_factory=dict)


class _Interpreter:
    """Goes through a part of a canvas and collects what is due; `known` are stored results.

    Each method returns the value of a node, or _PENDING while tasks of it have not ended. `joins`
    is the group that the node ends a member of.
    """

    def __init__(self, canvas: Canvas, known: Mapping[str, object]) -> None:
        self._canvas = canvas
        self._known = known
        self._calls: list[Call] = []
        self.opens: dict[str, int] = {}
        self.side_branches_ended = 0

    def moves(
        self, *, joins: str | None = None, ended: bool = False, result: object = None
    ) -> Moves:
        """Return what was collected."""
        return Moves(tuple(self._calls), self.opens, joins, ended, result)

    def climb(self, around: tuple[Around, ...], value: object) -> Moves:
        """Go on from a node that has ended with a value: to the next of its chain, or outwards."""
        if around and isinstance(around[-1].node, Chain):
            chain, around = around[-1], around[:-1]
            assert isinstance(chain.node, Chain)
            joins = joined_by(around, self._canvas)
            value = self.rest(chain.node, chain.path, chain.index + 1, value, joins)
            if value is _PENDING:
                return self.moves()
        group = joined_by(around, self._canvas)
        if group is None:
            return self.moves(ended=True, result=value)
        return self.moves(joins=group)

    def branch(self, node: Branch, path: str, given: _Given, joins: str | None) -> object:
        """Run a member of a group, a link or an errback."""
        if isinstance(node, Chain):
            return self.chain(node, path, given, joins)
        return self.task(node, path, given, joins)

    def chain(self, node: Chain, path: str, given: _Given, joins: str | None) -> object:
        """Run a chain from its first part on."""
        if not node.members:
            return None
        last = len(node.members) == 1
        value = self.part(node.members[0], under(path, 0), given, joins if last else None)
        return value if value is _PENDING else self.rest(node, path, 1, value, joins)

    def rest(self, node: Chain, path: str, start: int, value: object, joins: str | None) -> object:
        """Run a chain from one part on, which gets the value of the part before it."""
        for index in range(start, len(node.members)):
            last = index == len(node.members) - 1
            at = under(path, index)
            value = self.part(node.members[index], at, _Given((value,)), joins if last else None)
            if value is _PENDING:
                break
        return value

    def part(self, node: Task | Group, path: str, given: _Given, joins: str | None) -> object:
        """Run a part of a chain."""
        if isinstance(node, Task):
            return self.task(node, path, given, joins)
        args, kwargs = merged(node, given.args, given.kwargs)
        inner = _Given(args, kwargs, {**node.options, **given.options})
        values = [
            self.branch(member, under(path, index), inner, path)
            for index, member in enumerate(node.members)
        ]
        waiting = sum(value is _PENDING for value in values)
        if waiting:
            self.opens[path] = waiting
            return _PENDING
        return values

    def task(self, node: Task, path: str, given: _Given, joins: str | None) -> object:
        """Return a task's result where it is known, or have it called."""
        if path in self._known:
            self.links(node, path, self._known[path])
            return self._known[path]
        args, kwargs = merged(node, given.args, given.kwargs)
        options = {**node.options, **given.options}
        label = self._canvas.labels.get(path) or self._errback_label(node, path)
        known = None if node.links else joins
        self._calls.append(Call(path, label, node.name, list(args), dict(kwargs), options, known))
        return _PENDING

    def links(self, node: Task, path: str, result: object) -> None:
        """Run what a task links to; each of these signatures is a side branch of the canvas."""
        for index, link in enumerate(node.links):
            value = self.branch(link, f"{path}+{index}", _Given((result,)), outermost(path))
            self.side_branches_ended += value is not _PENDING

    def _errback_label(self, node: Task, path: str) -> str:
        """Name an errback for people by the task that has failed."""
        task = self._canvas.labels.get(path.partition("!")[0], "")
        return f"{node.short_name} after {task} failed"


def _value(node: Node, path: str, results: Callable[[str], object]) -> object:
    """Put the value of a node that has ended together from its tasks' stored results."""
    if isinstance(node, Task):
        return results(path)
    if isinstance(node, Group):
        return [
            _value(member, under(path, index), results) for index, member in enumerate(node.members)
        ]
    last = len(node.members) - 1
    return None if last < 0 else _value(node.members[last], under(path, last), results)
