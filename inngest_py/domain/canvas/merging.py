"""Merge what is given to a whole chain or group into its parts, as Celery does when it is sent."""

from dataclasses import replace
from typing import TypeVar

from .nodes import Branch, Chain, Group, Node, Part, Task

N = TypeVar("N", Task, Group, Chain, Part, Branch, Node)


def merged(
    node: Task | Group, args: tuple[object, ...], kwargs: dict[str, object]
) -> tuple[tuple[object, ...], dict[str, object]]:
    """Put arguments before a node's own, and keyword arguments over them.

    An immutable node keeps its own.
    """
    if node.immutable:
        return node.args, node.kwargs
    return (*args, *node.args), {**node.kwargs, **kwargs} if kwargs else node.kwargs


def prepared(node: N, entry: Group) -> N:
    """Give a node the arguments, options and immutability of what is around it, `entry`.

    In a chain they are for its first part. Options from outside replace the node's own.
    """
    if not (entry.args or entry.kwargs or entry.options or entry.immutable):
        return node
    if isinstance(node, Chain):
        if not node.members:
            return node
        return replace(node, members=(prepared(node.members[0], entry), *node.members[1:]))
    if isinstance(node, Group) and not node.members:
        return node
    args, kwargs = merged(node, entry.args, entry.kwargs)
    return replace(
        node,
        args=args,
        kwargs=kwargs,
        options={**node.options, **entry.options},
        immutable=node.immutable or entry.immutable,
    )


def linked(node: N, links: tuple[Branch, ...]) -> N:
    """Have links called with the result of a node: after a chain's last part, each of a group."""
    if not links or (not isinstance(node, Task) and not node.members):
        return node
    if isinstance(node, Task):
        return replace(node, links=(*node.links, *links))
    if isinstance(node, Group):
        return replace(node, members=tuple(linked(member, links) for member in node.members))
    return replace(node, members=(*node.members[:-1], linked(node.members[-1], links)))
