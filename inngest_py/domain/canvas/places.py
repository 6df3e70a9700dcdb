"""Find a task or a group of a canvas by its path, with what stands around it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ..errors import NotFound
from .nodes import Branch, Canvas, Chain, Group, Node, Task, under, walk

_PART = re.compile(r"([.+!]?)(\d{1,9})")
_PATH = re.compile(r"\d{1,9}(?:[.+!]\d{1,9})*")


@dataclass(frozen=True, slots=True)
class Around:
    """A node that another one stands in, its path, and where in it: `index` after `sign`."""

    node: Node
    path: str
    sign: str
    index: int


@dataclass(frozen=True, slots=True)
class Found:
    """A node of a canvas, and what it stands in, from the outside to the inside."""

    node: Node
    path: str
    around: tuple[Around, ...]


def find(canvas: Canvas, path: str) -> Found:
    """Find a node by its path. Raises NotFound."""
    if _PATH.fullmatch(path) is None:
        raise NotFound(f"the canvas has no task {path!r}")
    node: Node = canvas.root
    around: list[Around] = []
    at = ""
    for sign, digits in _PART.findall(path):
        around.append(Around(node, at, sign, int(digits)))
        inside = _inside(node, sign, around)
        if int(digits) >= len(inside):
            raise NotFound(f"the canvas has no task {path!r}")
        node = inside[int(digits)]
        at = f"{at}{sign}{digits}"
    return Found(node, path, tuple(around))


def _inside(node: Node, sign: str, around: list[Around]) -> tuple[Node, ...]:
    if isinstance(node, Task):
        if sign == "!":
            return errbacks(Found(node, "", tuple(around[:-1])))
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


def errbacks(task: Found) -> tuple[Branch, ...]:
    """List what is called when a task has failed for good, each signature once.

    These are its own and those of its chains and groups, and, in a group, those of the step that
    the group's results were for: Celery calls a chord's errbacks when its header fails.
    """
    assert isinstance(task.node, Task)
    found = list(task.node.errbacks)
    for outer, inner in zip(reversed(task.around[:-1]), reversed(task.around), strict=False):
        if inner.sign in ("+", "!"):
            break
        if isinstance(inner.node, Group) and isinstance(outer.node, Chain):
            for step in outer.node.members[outer.index + 1 : outer.index + 2]:
                found.extend(_of_first_tasks(step))
    return tuple({repr(one): one for one in found}.values())  # options make them unhashable


def _of_first_tasks(node: Node) -> Iterator[Branch]:
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
    task = find(canvas, path)
    for at, _ in walk(task.node, path):
        yield at
    for around in reversed(task.around):
        if isinstance(around.node, Task):  # nothing waits for a link
            return
        if isinstance(around.node, Chain):
            for index in range(around.index + 1, len(around.node.members)):
                for at, _ in walk(around.node.members[index], under(around.path, index)):
                    yield at
