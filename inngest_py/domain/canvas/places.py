"""Find a task or a group of a canvas by its path, with what stands around it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ..errors import NotFound
from .nodes import Branch, Canvas, Chain, Errback, Group, Node, Task, under, walk

_PART = re.compile(r"([.+!]?)(\d{1,9})")
_PATH = re.compile(r"\d{1,9}(?:[.+!]\d{1,9})*")


@dataclass(frozen=True, slots=True)
class Around:
    """A node that another one stands in, its path, and where in it: `index` after `sign`."""

    node: Node
    path: str
    sign: str
    index: int


def find_task(canvas: Canvas, path: str) -> tuple[Task, tuple[Around, ...]]:
    """Find a task, and what it stands in, from the outside to the inside. Raises NotFound."""
    node, around = find_node(canvas, path)
    if not isinstance(node, Task):
        raise NotFound(f"{path!r} is no task of the canvas")
    return node, around


def find_group(canvas: Canvas, path: str) -> tuple[Group, tuple[Around, ...]]:
    """Find a group, and what it stands in, from the outside to the inside. Raises NotFound."""
    node, around = find_node(canvas, path)
    if not isinstance(node, Group):
        raise NotFound(f"{path!r} is no group of the canvas")
    return node, around


def find_node(canvas: Canvas, path: str) -> tuple[Node, tuple[Around, ...]]:
    """Find what has a path, and what it stands in, from the outside in. Raises NotFound."""
    if _PATH.fullmatch(path) is None:
        raise NotFound(f"{path!r} is no path in a canvas")
    node: Node = canvas.root
    around: list[Around] = []
    at = ""
    for sign, digits in _PART.findall(path):
        around.append(Around(node, at, sign, int(digits)))
        inside = _inside(node, sign, around)
        if int(digits) >= len(inside):
            raise NotFound(f"the canvas has nothing at {path!r}")
        node = inside[int(digits)]
        at = f"{at}{sign}{digits}"
    return node, tuple(around)


def _inside(node: Node, sign: str, around: list[Around]) -> tuple[Node, ...]:
    if isinstance(node, Task):
        if sign == "!":
            return errbacks(node, tuple(around[:-1]))
        return node.links if sign == "+" else ()
    return node.members if sign in (".", "") else ()


def joined_by(around: tuple[Around, ...], canvas: Canvas) -> str | None:
    """Say which group a branch ends a member of; None when the whole canvas ends with it.

    `around` is what the branch stands in: nothing, a group, or a task by its links.
    """
    if not around:
        return outermost("") if canvas.side_branches else None
    above = around[-1]
    if above.sign == "+":
        return outermost(above.path)
    return f"{above.path}!" if above.sign == "!" else above.path


def outermost(path: str) -> str:
    """Return the group that waits for side branches: of the canvas, or of a task's errbacks.

    That of the canvas has the empty path.
    """
    return path[: path.rfind("!") + 1]


def errbacks(task: Task, around: tuple[Around, ...]) -> tuple[Branch, ...]:
    """List what is called when a task has failed for good, each signature once.

    These are its own and those of its chains and groups, and, in a group, those of the part that
    the group's results were for: Celery calls a chord's errbacks when its header fails.
    """
    found = list(task.errbacks)
    for outer, inner in zip(reversed(around[:-1]), reversed(around), strict=False):
        if inner.sign in ("+", "!"):
            break
        if isinstance(inner.node, Group) and isinstance(outer.node, Chain):
            for part in outer.node.members[outer.index + 1 : outer.index + 2]:
                found.extend(_of_first_tasks(part))
    return tuple({repr(one.raw): one.branch for one in found}.values())


def _of_first_tasks(node: Node) -> Iterator[Errback]:
    if isinstance(node, Task):
        yield from node.errbacks
        return
    for member in node.members if isinstance(node, Group) else node.members[:1]:
        yield from _of_first_tasks(member)


def following(canvas: Canvas, path: str) -> Iterator[str]:
    """Yield the paths of a task, its links and all tasks that come after it, in the tree's order.

    These are run again when the run is started again from that task; the others keep their
    results. Errbacks are not among them. Raises NotFound.
    """
    task, around = find_task(canvas, path)
    for at, _ in walk(task, path):
        yield at
    for outer in reversed(around):
        if isinstance(outer.node, Task):  # nothing waits for a link
            return
        if isinstance(outer.node, Chain):
            for index in range(outer.index + 1, len(outer.node.members)):
                for at, _ in walk(outer.node.members[index], under(outer.path, index)):
                    yield at


def ended_by_failure(canvas: Canvas, path: str) -> tuple[str, int]:
    """Return the group of errbacks that a failed task stands in, and how many members it ends.

    With its errback end the links of tasks that will not be called any more. The group is empty
    for a task of the canvas itself. Raises NotFound.
    """
    group = outermost(path)
    if not group:
        return group, 1
    uncalled = (find_task(canvas, at)[0] for at in following(canvas, path))
    return group, 1 + sum(len(task.links) for task in uncalled)
