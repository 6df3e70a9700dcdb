"""Say what a canvas does next: the tasks to send, the groups to wait for, and its result.

It starts with begin(). Each result is given to after(); it leads to the next task of its chain, or
it ends a member of a group. Once all members of a group have ended, joined() goes on. The answer to
each of the three is due once. replay() finds the same from stored results alone.

A result costs the same however large the canvas is. The caller counts the members of groups, and
has each message of a task lead to one call of after().

The expressions of a workflow are evaluated when their step is reached; its `scope` has what they
read. A canvas without expressions needs no scope.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import wraps
from typing import ParamSpec, TypedDict

from . import expressions
from .expressions import At, ExpressionFailed, Scope, Skipped
from .merging import merged
from .nodes import Branch, Canvas, Chain, Computed, Group, Task, under, walk
from .places import (
    Around,
    ended_by_failure,
    errbacks,
    find_group,
    find_node,
    find_task,
    joined_by,
    outermost,
)
from .stored import first_task, skipped_before, value_of, was_skipped

P = ParamSpec("P")


class Edited(TypedDict, total=False):
    """Arguments in place of a task's own."""

    args: list[object]
    kwargs: dict[str, object]


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

    `opens` has the number of members of each group that have to end; `members` is how many of the
    group `joins` have ended or never will. With `ended`, the canvas is done and `result` is its
    result. `skips` has the tasks whose condition is false, by path. With `failure` nothing follows:
    an expression has failed.
    """

    calls: tuple[Call, ...] = ()
    opens: dict[str, int] = field(default_factory=dict)
    joins: str | None = None
    ended: bool = False
    result: object = None
    skips: dict[str, Skipped] = field(default_factory=dict)
    failure: ExpressionFailed | None = None
    members: int = 1


def _or_failure(find: Callable[P, Moves]) -> Callable[P, Moves]:
    """Return the failure of an expression in place of what follows."""

    @wraps(find)
    def found(*args: P.args, **kwargs: P.kwargs) -> Moves:
        try:
            return find(*args, **kwargs)
        except ExpressionFailed as failure:
            return Moves(failure=failure)

    return found


def tasks(canvas: Canvas) -> list[tuple[str, str, str]]:
    """List all tasks, links among them, as path, label and name, in the order of the tree."""
    return [(path, canvas.labels[path], task.name) for path, task in walk(canvas.root, "")]


def begin(
    canvas: Canvas,
    *,
    args: Sequence[object] = (),
    kwargs: Mapping[str, object] | None = None,
    scope: Scope | None = None,
) -> Moves:
    """Start a canvas; its first tasks get these arguments before their own."""
    return replay(canvas, {}, args=args, kwargs=kwargs, scope=scope)


@_or_failure
def replay(
    canvas: Canvas,
    results: Mapping[str, object],
    *,
    args: Sequence[object] = (),
    kwargs: Mapping[str, object] | None = None,
    scope: Scope | None = None,
    edited: Mapping[str, Edited] | None = None,
) -> Moves:
    """Find all that is due from the results of tasks that are stored, by path.

    Tasks that were sent and have not ended are among the calls. Each group in `opens` waits for
    that many members. Errbacks are left out. `edited` has other arguments for tasks, by path.
    """
    interpreter = _Interpreter(canvas, results, scope, edited)
    given = _Given(tuple(args), dict(kwargs or {}))
    value = interpreter.rest(canvas.root, "", 0, given, None, joined_by((), canvas))
    waiting = (value is _PENDING) + canvas.side_branches - interpreter.side_branches_ended
    if waiting and canvas.side_branches:
        interpreter.opens[outermost("")] = waiting
    if waiting:
        return interpreter.moves()
    return interpreter.moves(ended=True, result=value)


@_or_failure
def after(canvas: Canvas, path: str, result: object, scope: Scope | None = None) -> Moves:
    """Say what follows from the result of one task. Raises NotFound."""
    task, around = find_task(canvas, path)
    interpreter = _Interpreter(canvas, {path: result} if scope else {}, scope)
    interpreter.links(task, path, result)
    return interpreter.climb(around, result)


@_or_failure
def joined(
    canvas: Canvas, path: str, results: Callable[[str], object], scope: Scope | None = None
) -> Moves:
    """Say what follows when all members of a group have ended.

    `results` reads the stored result of a task by its path. Raises NotFound.
    """
    if path.endswith("!"):  # the errbacks of a task
        return _ended_badly(canvas, path[:-1])
    if not path:
        return Moves(ended=True, result=value_of(canvas.root, "", results))
    group, around = find_group(canvas, path)
    return _Interpreter(canvas, {}, scope).climb(around, value_of(group, path, results))


def failed(canvas: Canvas, path: str, task_id: str) -> Moves:
    """Call the errbacks of a task that has failed for good, with the task's id, as Celery does.

    They are one group; joined() of it ends the canvas without a result. Without errbacks the
    canvas ends at once. A task of an errback ends its errback instead. Raises NotFound.
    """
    found = errbacks(*find_task(canvas, path))
    interpreter = _Interpreter(canvas, {})
    group = f"{path}!"
    for index, errback in enumerate(found):
        interpreter.branch(errback, f"{group}{index}", _Given((task_id,)), group)
    if not found:
        return _ended_badly(canvas, path)
    interpreter.opens[group] = len(found) + sum(
        len(task.links) for errback in found for _, task in walk(errback, "")
    )
    return interpreter.moves()


def _ended_badly(canvas: Canvas, path: str) -> Moves:
    """Say what the end of a failed task ends: the canvas, or the errback that it is a task of."""
    group, members = ended_by_failure(canvas, path)
    return Moves(joins=group, members=members) if group else Moves(ended=True)


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

    def __init__(
        self,
        canvas: Canvas,
        known: Mapping[str, object],
        scope: Scope | None = None,
        edited: Mapping[str, Edited] | None = None,
    ) -> None:
        self._canvas = canvas
        self._known = known
        self._scope = scope
        self._edited = edited or {}
        self._calls: list[Call] = []
        self._skips: dict[str, Skipped] = {}
        self.opens: dict[str, int] = {}
        self.side_branches_ended = 0

    def moves(
        self, *, joins: str | None = None, ended: bool = False, result: object = None
    ) -> Moves:
        """Return what was collected."""
        return Moves(tuple(self._calls), self.opens, joins, ended, result, self._skips)

    def climb(self, around: tuple[Around, ...], value: object) -> Moves:
        """Go on from a node that has ended with a value: to the next of its chain, or outwards."""
        if around and isinstance(around[-1].node, Chain):
            chain, around = around[-1], around[:-1]
            assert isinstance(chain.node, Chain)
            joins = joined_by(around, self._canvas)
            given = _Given((value,))
            value = self.rest(chain.node, chain.path, chain.index + 1, given, value, joins)
            if value is _PENDING:
                return self.moves()
        group = joined_by(around, self._canvas)
        if group is None:
            return self.moves(ended=True, result=value)
        return self.moves(joins=group)

    def branch(self, node: Branch, path: str, given: _Given, joins: str | None) -> object:
        """Run a member of a group, a link or an errback."""
        if isinstance(node, Chain):
            return self.rest(node, path, 0, given, None, joins)
        return self.task(node, path, given, joins)

    def rest(
        self, node: Chain, path: str, start: int, given: _Given, value: object, joins: str | None
    ) -> object:
        """Run a chain from one part on, which gets `given`; `value` is the chain's before it."""
        index, end = start, len(node.members)
        while index < end:
            if node.conditions and (skipped := self._skipped(node, path, index, given)):
                index += skipped
                continue
            at = under(path, index)
            value = self.part(node.members[index], at, given, joins if index == end - 1 else None)
            if value is _PENDING:
                break
            given = _Given((value,))
            index += 1
        return value

    def _skipped(self, node: Chain, path: str, index: int, given: _Given) -> int:
        """Return how many parts of a chain are skipped from one on, by its conditions."""
        conditions = node.conditions.get(index)
        if conditions is None:
            return 0
        at = under(path, index)
        first = first_task(node.members[index], at)
        if first in self._known:
            return skipped_before(node, path, index, self._known)
        step = At(first, self._canvas.labels[first])
        for one in conditions:
            scope, variables = self._variables(one.text, given)
            if not expressions.holds(one.text, variables, scope.now, step):
                for place in range(index, index + one.parts):
                    for task, _ in walk(node.members[place], under(path, place)):
                        self._skips[task] = Skipped(at, self._canvas.labels[task])
                return one.parts
        return 0

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
        label = self._canvas.labels.get(path) or self._errback_label(node, path)
        args, kwargs = merged(node, given.args, given.kwargs)
        new = self._edited.get(path, {})
        if node.computed is not None:
            args, kwargs = self._computed(node.computed, At(path, label), given, args)
        args, kwargs = tuple(new.get("args", args)), new.get("kwargs", kwargs)
        options = {**node.options, **given.options}
        known = None if node.links else joins
        self._calls.append(Call(path, label, node.name, list(args), dict(kwargs), options, known))
        return _PENDING

    def _computed(
        self, computed: Computed, step: At, given: _Given, args: tuple[object, ...]
    ) -> tuple[tuple[object, ...], dict[str, object]]:
        """Evaluate a task's arguments; without an expression it gets `args`."""
        kwargs: dict[str, object] = {}
        new = self._edited.get(step.path, {})
        if computed.args is not None and "args" not in new:
            scope, variables = self._variables(computed.args, given)
            args = expressions.arguments(computed.args, variables, scope.now, step)
        if computed.kwargs is not None and "kwargs" not in new:
            scope, variables = self._variables(computed.kwargs, given)
            kwargs = expressions.keywords(computed.kwargs, variables, scope.now, step)
        return args, kwargs

    def _variables(self, text: str, given: _Given) -> tuple[Scope, dict[str, object]]:
        """Return what an expression reads."""
        scope = self._scope
        assert scope is not None, "a canvas with expressions needs a scope"
        names = expressions.steps_of(text)
        steps = {name: self._step(self._canvas.names[name], scope) for name in names}
        return scope, scope.variables(given.args[0] if given.args else None, steps)

    def _step(self, path: str, scope: Scope) -> object:
        """Return the result of a step before; null for one that was skipped."""

        def result(at: str) -> object:
            for here in (self._known, self._skips):
                if at in here:
                    return here[at]
            return scope.stored(at)

        node, _ = find_node(self._canvas, path)
        return None if was_skipped(node, path, result) else value_of(node, path, result)

    def links(self, node: Task, path: str, result: object) -> None:
        """Run what a task links to; each of these signatures is a side branch of the canvas."""
        for index, link in enumerate(node.links):
            value = self.branch(link, f"{path}+{index}", _Given((result,)), outermost(path))
            self.side_branches_ended += value is not _PENDING

    def _errback_label(self, node: Task, path: str) -> str:
        """Name an errback for people by the task that has failed."""
        task = self._canvas.labels.get(path.partition("!")[0], "")
        return f"{node.short_name} after {task} failed"
