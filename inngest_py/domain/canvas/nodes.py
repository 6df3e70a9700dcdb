"""What a signature becomes when it is read: tasks, chains and groups, and nothing else.

A chord is a chain of its header, which is a group, and its body. A chain holds no chain and a group
no group: the inner one is part of the outer one, as in Celery.

A path names a place in this tree: `0.3.1` is the second part of the fourth member of a group that
stands first. `+0` leads from a task to the first signature of its `link`, `!0` to the first that is
called when it has failed. Paths are stored with runs: what names a place must go on naming it.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Union

MAP = "celery.map"
STARMAP = "celery.starmap"

Branch = Union["Task", "Chain"]  # what may stand in a group, in a link and in a link_error
Part = Union["Task", "Group"]  # what may stand in a chain
Node = Union["Task", "Group", "Chain"]


@dataclass(frozen=True, slots=True)
class Computed:
    """Expressions in CEL for a task's arguments; None where the task has none of its own."""

    args: str | None
    kwargs: str | None


@dataclass(frozen=True, slots=True)
class Condition:
    """An expression in CEL; when it is false, so many parts of a chain are skipped."""

    text: str
    parts: int


@dataclass(frozen=True, slots=True)
class Task:
    """One message for a worker. `options` are Celery's, without the links.

    `mapped` is the name of the task that a map calls for each item, and empty for other tasks.
    `title` and `computed` come from workflows: a name that people gave, and expressions.
    """

    name: str
    args: tuple[object, ...] = ()
    kwargs: dict[str, object] = field(default_factory=dict)
    options: dict[str, object] = field(default_factory=dict)
    immutable: bool = False
    links: tuple[Branch, ...] = ()
    errbacks: tuple["Errback", ...] = ()
    mapped: str = ""
    title: str = ""
    computed: Computed | None = None

    @property
    def short_name(self) -> str:
        """The last part of the name; for a map, what it does to which task: `parse.map`."""
        if self.title:
            return self.title
        name = _last_part(self.name)
        return f"{_last_part(self.mapped)}.{name}" if self.mapped else name


@dataclass(frozen=True, slots=True)
class Errback:
    """What is called when a task has failed for good. `raw` is its signature as it came."""

    branch: Branch
    raw: object


@dataclass(frozen=True, slots=True)
class Group:
    """Members that run at the same time; each gets the group's arguments and options.

    `title` is the name that a workflow gives it.
    """

    members: tuple[Branch, ...]
    args: tuple[object, ...] = ()
    kwargs: dict[str, object] = field(default_factory=dict)
    options: dict[str, object] = field(default_factory=dict)
    immutable: bool = False
    title: str = ""


@dataclass(frozen=True, slots=True)
class Chain:
    """Parts that run one after the other; each gets the result of the one before.

    `conditions` are judged, in order, when the part of that index is reached.
    """

    members: tuple[Part, ...]
    conditions: Mapping[int, tuple[Condition, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Canvas:
    """A whole canvas: its chain, and its tasks' labels by path.

    `side_branches` counts the signatures in `link` that will be called, wherever they stand.
    `names` has the paths of the tasks and groups that expressions of a workflow may name.
    """

    root: Chain
    labels: dict[str, str]
    side_branches: int
    names: dict[str, str] = field(default_factory=dict)


def under(path: str, index: int) -> str:
    """Return the path of a member of a chain or group; the root's path is empty."""
    return f"{path}.{index}" if path else str(index)


def walk(node: Node, path: str) -> Iterator[tuple[str, Task]]:
    """Yield each task below a node and in its links, with its path, in the order of the tree."""
    left: list[tuple[str, Node]] = [(path, node)]
    while left:
        at, one = left.pop()
        if isinstance(one, Task):
            yield at, one
            inner: list[tuple[str, Node]] = [
                (f"{at}+{index}", link) for index, link in enumerate(one.links)
            ]
        else:
            inner = [(under(at, index), member) for index, member in enumerate(one.members)]
        left.extend(reversed(inner))


def is_line(canvas: Canvas) -> bool:
    """Say whether a canvas has one task at a time under way: no groups, links or conditions."""
    root = canvas.root
    plain = all(isinstance(part, Task) and not part.links for part in root.members)
    return plain and not root.conditions


def labels(found: Sequence[tuple[str, Task]]) -> dict[str, str]:
    """Name each task for people: `parse`, or `store [2/14]` where several have that name."""
    names = [task.short_name for _, task in found]
    totals = Counter(names)
    seen = dict.fromkeys(totals, 0)
    made = {}
    for (path, _), name in zip(found, names, strict=True):
        seen[name] += 1
        made[path] = name if totals[name] == 1 else f"{name} [{seen[name]}/{totals[name]}]"
    return made


def has_task(node: Node) -> bool:
    """Say whether a node runs anything: groups may be empty."""
    return isinstance(node, Task) or any(map(has_task, node.members))


def _last_part(name: str) -> str:
    return name.rpartition(".")[2] or name
