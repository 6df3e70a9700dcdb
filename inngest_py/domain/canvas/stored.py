"""Values of a canvas that has run in part, from the stored results of its tasks."""

from collections.abc import Callable, Mapping

from .expressions import Skipped
from .nodes import Chain, Group, Node, Task, under, walk


def value_of(node: Node, path: str, results: Callable[[str], object]) -> object:
    """Put the value of a node that has ended together from its tasks' stored results.

    A chain's value is that of its last part that was not skipped.
    """
    if isinstance(node, Task):
        return results(path)
    if isinstance(node, Group):
        return [
            value_of(member, under(path, index), results)
            for index, member in enumerate(node.members)
        ]
    for index in reversed(range(len(node.members))):
        at = under(path, index)
        if not node.conditions or not was_skipped(node.members[index], at, results):
            return value_of(node.members[index], at, results)
    return None


def was_skipped(node: Node, path: str, results: Callable[[str], object]) -> bool:
    """Say whether a whole part was skipped, not only what is within it."""
    found = results(first_task(node, path))
    return isinstance(found, Skipped) and not found.by.startswith(f"{path}.")


def skipped_before(node: Chain, path: str, index: int, known: Mapping[str, object]) -> int:
    """Count the parts that one condition skipped in the run whose results are known."""
    by, count = Skipped(under(path, index)), 0
    for place in range(index, len(node.members)):
        if known.get(first_task(node.members[place], under(path, place))) != by:
            break
        count += 1
    return count


def first_task(node: Node, path: str) -> str:
    """Return the path of the first task in a node; parts with conditions are not empty."""
    return next(walk(node, path))[0]
