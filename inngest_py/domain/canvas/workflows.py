"""Read a workflow, as people write one in YAML, as the canvas that it stands for.

It is a list of entries that run one after the other: the name of a task, an object that also says
how the task is called, a `group` of entries that run at the same time, or a `sequence` of entries,
for a condition or within a group. celery-director's form of groups is read, too.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from ..values.checks import kind
from . import expressions
from .nodes import (
    Branch,
    Canvas,
    Chain,
    Computed,
    Condition,
    Group,
    Node,
    Part,
    Task,
    labels,
    under,
    walk,
)
from .options import read_options, read_text, wrong
from .signatures import MAX_LEVELS, MAX_TASKS

OPTIONS = ("queue", "countdown", "expires", "priority", "time_limit", "soft_time_limit")
TASK_FIELDS = ("task", "name", "args", "kwargs", "when", *OPTIONS)
GROUP_FIELDS = ("group", "name", "when")
SEQUENCE_FIELDS = ("sequence", "when")
_DIRECTOR_FIELDS = ("type", "tasks", "when")
_DIRECTOR_TYPES = {"group": "group", "chain": "sequence"}
_OWN_PREFIX = "celery."
_Before = tuple[set[str], ...]  # names of steps, of the lists around an entry


def read(raw: object, where: str = "tasks", *, queue: str | None = None) -> Canvas:
    """Read the entries of a workflow. `where` is what errors call it.

    Tasks without a queue of their own are sent to `queue`; None means the app's. Raises Invalid,
    with the place and the fix, also for expressions that do not compile or that name a step which
    has not ended before, for more than MAX_LEVELS lists in each other, and for more than MAX_TASKS
    tasks.
    """
    reader = _Reader(where, queue)
    parts = reader.sequence(raw, where, 1, ())
    root = Chain(parts.members, parts.conditions)
    found = list(walk(root, ""))
    return Canvas(root, labels(found), 0, reader.checked_names(root))


def uses(raw: object) -> set[str]:
    """List the names of the tasks that a workflow calls. Raises Invalid."""
    return {task.name for _, task in walk(read(raw).root, "")}


@dataclass(frozen=True, slots=True)
class _Parts:
    """What entries become within a chain, and the names that steps after them may use."""

    members: tuple[Part, ...]
    conditions: dict[int, tuple[Condition, ...]]
    names: set[str]

    def when(self, text: str | None) -> "_Parts":
        """Put a condition before these parts."""
        if text is None:
            return self
        first = (Condition(text, len(self.members)), *self.conditions.get(0, ()))
        return _Parts(self.members, {**self.conditions, 0: first}, self.names)


class _Reader:
    """Reads one workflow; `before` are always the names of the steps that have ended before."""

    def __init__(self, where: str, queue: str | None) -> None:
        self._where = where
        self._queue = queue
        self._count = 0
        self._named: list[tuple[str, str]] = []  # names that expressions read, with their places

    def sequence(self, raw: object, where: str, level: int, before: _Before) -> _Parts:
        """Read entries that run one after the other."""
        members: list[Part] = []
        conditions: dict[int, tuple[Condition, ...]] = {}
        names: set[str] = set()
        for index, one in enumerate(_listed(raw, where, level)):
            found = self._entry(one, f"{where}[{index}]", level, (*before, names))
            conditions.update({len(members) + at: all_ for at, all_ in found.conditions.items()})
            members.extend(found.members)
            names.update(found.names)
        return _Parts(tuple(members), conditions, names)

    def _entry(self, raw: object, where: str, level: int, before: _Before) -> _Parts:
        if isinstance(raw, str):
            return self._task({"task": raw}, where, before)
        entry, sort, where, listed = _plain(raw, where)
        if sort == "task":
            return self._task(entry, where, before)
        _check_fields(entry, GROUP_FIELDS if sort == "group" else SEQUENCE_FIELDS, where)
        when = self._condition(entry.get("when"), f"{where}.when", before)
        if sort == "group":
            return self._group(entry, listed, level + 1, before).when(when)
        return self.sequence(entry[sort], listed, level + 1, before).when(when)

    def _task(self, entry: dict[str, object], where: str, before: _Before) -> _Parts:
        _check_fields(entry, TASK_FIELDS, where)
        self._count += 1
        if self._count > MAX_TASKS:
            raise wrong(self._where, f"has more than {MAX_TASKS:,} tasks: split it")
        name = read_text(entry["task"], f"{where}.task")
        if name.startswith(_OWN_PREFIX):
            raise wrong(f"{where}.task", f"is Celery's own task {name!r}: write one of the app's")
        title = entry.get("name")
        args = self._expression(entry.get("args"), f"{where}.args", before)
        kwargs = self._expression(entry.get("kwargs"), f"{where}.kwargs", before)
        options = read_options({key: entry[key] for key in OPTIONS if key in entry}, where)
        if self._queue is not None:
            options = {"queue": self._queue, **options}
        task = Task(
            name,
            options=options,
            title="" if title is None else read_text(title, f"{where}.name"),
            computed=None if args is None and kwargs is None else Computed(args, kwargs),
        )
        when = self._condition(entry.get("when"), f"{where}.when", before)
        return _Parts((task,), {}, {task.short_name}).when(when)

    def _group(self, entry: dict[str, object], where: str, level: int, before: _Before) -> _Parts:
        members: list[Branch] = []
        names: set[str] = set()
        for index, one in enumerate(_listed(entry["group"], where, level)):
            found = self._entry(one, f"{where}[{index}]", level, before)
            members.append(_member(found))
            names.update(found.names)
        title = entry.get("name")
        if title is not None:
            title = read_text(title, f"{where}.name")
            names.add(title)
        group = Group(tuple(members), title=title or "")
        return _Parts((group,), {}, names)

    def _condition(self, given: object, where: str, before: _Before) -> str | None:
        if isinstance(given, bool):
            given = "true" if given else "false"
        return self._expression(given, where, before)

    def _expression(self, text: object, where: str, before: _Before) -> str | None:
        if text is None:
            return None
        for name in sorted(expressions.check(text, where)):
            if not any(name in names for names in before):
                all_ = sorted(set().union(*before))[:20]
                known = f"those are {', '.join(all_)}" if all_ else "there is none"
                raise wrong(where, f"names {name!r}, which is no step that has ended: {known}")
            self._named.append((name, where))
        return str(text)

    def checked_names(self, root: Chain) -> dict[str, str]:
        """Return the paths of steps by their names. Raises Invalid for one that is used twice."""
        found: dict[str, list[str]] = {}
        for name, path in _names(root, ""):
            found.setdefault(name, []).append(path)
        for name, where in self._named:
            if len(found[name]) > 1:
                problem = f"{len(found[name])} steps have this name: give each a name of its own"
                raise wrong(where, f"names {name!r}, and {problem}")
        return {name: paths[0] for name, paths in found.items() if len(paths) == 1}


def _member(found: _Parts) -> Branch:
    """Return what an entry is as a member of a group."""
    first = found.members[0]
    if isinstance(first, Task) and len(found.members) == 1 and not found.conditions:
        return first
    return Chain(found.members, found.conditions)


def _names(node: Node, path: str) -> Iterator[tuple[str, str]]:
    """Yield the names of tasks and groups, with their paths."""
    left: list[tuple[str, Node]] = [(path, node)]
    while left:
        at, one = left.pop()
        if isinstance(one, Task):
            yield one.short_name, at
            continue
        if isinstance(one, Group) and one.title:
            yield one.title, at
        left.extend((under(at, index), member) for index, member in enumerate(one.members))


def _listed(raw: object, where: str, level: int) -> list[object]:
    if level > MAX_LEVELS:
        problem = f"is nested deeper than {MAX_LEVELS} levels: make it flatter"
        raise wrong(f"{where[:200]}…", problem)
    if not isinstance(raw, list | tuple):
        raise wrong(where, f"must be a list of tasks, groups and sequences, and it is {kind(raw)}")
    if not raw:
        raise wrong(where, "is empty: write the name of a task")
    return list(raw)


def _plain(raw: object, where: str) -> tuple[dict[str, object], str, str, str]:
    """Return an entry that is an object, what it is, its place, and that of its list.

    celery-director's form becomes ours.
    """
    if not isinstance(raw, dict):
        raise wrong(where, f"must be the name of a task, or an object, and it is {kind(raw)}")
    found = [key for key in ("task", "group", "sequence") if key in raw]
    if len(found) > 1:
        raise wrong(where, f"has both {found[0]} and {found[1]}: write an entry for each")
    if found:
        return raw, found[0], where, f"{where}.{found[0]}"
    name, inner = next(iter(raw.items()), (None, None))
    if len(raw) > 1 or not isinstance(inner, dict) or not isinstance(name, str):
        raise wrong(where, "has no task, group or sequence: write one of them")
    where = f"{where}.{name[:64]}"
    _check_fields(inner, _DIRECTOR_FIELDS, where)
    sort = _DIRECTOR_TYPES.get(str(inner.get("type")))
    if sort is None:
        raise wrong(f"{where}.type", "must be group or chain")
    made = {sort: inner.get("tasks"), "when": inner.get("when")}
    return made | ({"name": name} if sort == "group" else {}), sort, where, f"{where}.tasks"


def _check_fields(entry: dict[str, object], known: tuple[str, ...], where: str) -> None:
    for name in entry:
        if name not in known:
            raise wrong(f"{where}.{str(name)[:64]}", f"is not known: there are {', '.join(known)}")
