"""Read a Celery signature, which is JSON, as the canvas that it stands for.

The shapes are those that `celery.canvas` serialises to, and what they mean is what workers make of
them: a chain in a chain and a group in a group are one, a group of one task within a chain is that
task, an empty group in a chain is left out, options of a chain are for its first task.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice

from ..values.checks import kind
from .merging import linked, prepared
from .nodes import (
    MAP,
    STARMAP,
    Branch,
    Canvas,
    Chain,
    Errback,
    Group,
    Node,
    Part,
    Task,
    has_task,
    labels,
    walk,
)
from .options import read_options, read_text, wrong

MAX_LEVELS = 100
MAX_TASKS = 10_000
_KINDS = {
    "celery.chain": "chain",
    "celery.group": "group",
    "celery.chord": "chord",
    "celery.map": "xmap",
    "celery.starmap": "xstarmap",
    "celery.chunks": "chunks",
}
_EMPTY = Group(())


def read(raw: object, where: str = "signature") -> Canvas:
    """Read a signature. `where` is what errors call it.

    Raises Invalid, with the place and the fix, for what no worker could run, for more than
    MAX_LEVELS signatures within each other, and for more than MAX_TASKS tasks, links included.
    """
    place = _Place(where)
    reader = _Reader(where)
    root = _as_chain(reader.node(raw, place))
    found: list[tuple[str, Task]] = []
    for path_and_task in walk(root, ""):
        if len(found) == MAX_TASKS:  # links of a group count once for each of its members
            raise _too_many(where)
        found.append(path_and_task)
    links = sum(len(task.links) for _, task in found)
    return Canvas(root, labels(found), links)


def _too_many(where: str) -> Exception:
    return wrong(where, f"has more than {MAX_TASKS:,} tasks: split it into several runs")


def _as_chain(node: Node) -> Chain:
    return node if isinstance(node, Chain) else Chain((node,))


def _as_branch(node: Node) -> Branch:
    return Chain((node,)) if isinstance(node, Group) else node


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a signature stands: its name for errors, its level, the errbacks of what is around."""

    where: str
    level: int = 1
    errbacks: tuple[Errback, ...] = ()

    def inner(self, part: str, errbacks: tuple[Errback, ...] = ()) -> "_Place":
        """The place of a signature within this one."""
        if self.level == MAX_LEVELS:
            problem = f"is nested deeper than {MAX_LEVELS} signatures: make it flatter"
            raise wrong(f"{self.where[:200]}…", problem)
        return _Place(f"{self.where}{part}", self.level + 1, errbacks)


@dataclass(frozen=True, slots=True)
class _Signature:
    """The fields of one signature, checked, before its parts are read."""

    kind: str
    name: str
    args: tuple[object, ...]
    kwargs: dict[str, object]
    given: dict[str, object]
    options: dict[str, object]
    immutable: bool


def _open(raw: object, where: str) -> _Signature:
    if not isinstance(raw, dict):
        raise wrong(where, f"must be a signature, an object with a task, and it is {kind(raw)}")
    if raw.get("task") is None:
        raise wrong(f"{where}.task", "is missing: write the name of a task")
    name = read_text(raw["task"], f"{where}.task")
    args, kwargs = raw.get("args"), raw.get("kwargs")
    given, immutable = raw.get("options"), raw.get("immutable")
    if args is not None and not isinstance(args, list | tuple):
        raise wrong(f"{where}.args", f"must be an array, and it is {kind(args)}")
    if kwargs is not None and not isinstance(kwargs, dict):
        raise wrong(f"{where}.kwargs", f"must be an object, and it is {kind(kwargs)}")
    if given is not None and not isinstance(given, dict):
        raise wrong(f"{where}.options", f"must be an object, and it is {kind(given)}")
    if immutable is not None and not isinstance(immutable, bool):
        raise wrong(f"{where}.immutable", f"must be true or false, and it is {kind(immutable)}")
    return _Signature(
        kind=_kind_of(raw),
        name=name,
        args=tuple(args or ()),
        kwargs=kwargs or {},
        given=given or {},
        options=read_options(given or {}, f"{where}.options"),
        immutable=bool(immutable),
    )


def _kind_of(raw: object) -> str:
    """Name the shape of a signature; a plain task has none."""
    if not isinstance(raw, dict):
        return ""
    typed, name = raw.get("subtask_type"), raw.get("task")
    if isinstance(typed, str) and typed in _KINDS.values():
        return typed
    return _KINDS.get(name, "") if isinstance(name, str) else ""


class _Reader:
    """Reads one canvas, and counts its tasks so that a too large one is refused early."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._count = 0
        self._kinds: dict[str, Callable[[_Signature, _Place], Node]] = {
            "": self._task,
            "chain": self._chain,
            "group": self._group,
            "chord": self._chord,
            "xmap": self._map,
            "xstarmap": self._map,
            "chunks": self._chunks,
        }

    def node(self, raw: object, place: _Place) -> Node:
        """Read a signature with its links and errbacks."""
        found = _open(raw, place.where)
        if not found.given:  # most have no options, and this is the hot path of large groups
            return self._kinds[found.kind](found, place)
        links = self._branches(found.given.get("link"), place, "link")
        own = self._errbacks(found.given.get("link_error"), place)
        if own:
            place = _Place(place.where, place.level, (*own, *place.errbacks))
        node = self._kinds[found.kind](found, place)
        return linked(node, tuple(branch for branch, _ in links if has_task(branch)))

    def _errbacks(self, raw: object, place: _Place) -> list[Errback]:
        before = self._count
        found = self._branches(raw, place, "link_error")
        read = self._count - before
        # a link of a group is called for each of its members: read once, run many times
        tasks = (task for branch, _ in found for task in walk(branch, ""))
        self._spend(max(0, sum(1 for _ in islice(tasks, MAX_TASKS + 1)) - read))
        return [Errback(branch, one) for branch, one in found if has_task(branch)]

    def _branches(self, raw: object, place: _Place, key: str) -> list[tuple[Branch, object]]:
        """Read the signatures of `link` or `link_error`: none, one or a list."""
        if raw is None:
            return []
        place = place.inner(f".options.{key}")
        if not isinstance(raw, list | tuple):
            return [(_as_branch(self.node(raw, place)), raw)]
        found: list[tuple[Branch, object]] = []
        for index, one in enumerate(raw):
            inner = _Place(f"{place.where}[{index}]", place.level)
            found.append((_as_branch(self.node(one, inner)), one))
        return found

    def _task(self, found: _Signature, place: _Place) -> Task:
        self._spend(1)
        return Task(
            found.name,
            found.args,
            found.kwargs,
            found.options,
            found.immutable,
            errbacks=place.errbacks,
        )

    def _map(self, found: _Signature, place: _Place) -> Task:
        """Read a map: one message, in whose task the worker calls the other one for each item."""
        mapped, items = self._mapped(found, place)
        return self._mapping(found, place, mapped, items)

    def _chunks(self, found: _Signature, place: _Place) -> Group:
        """Read chunks: a group of starmaps, each for `n` items."""
        mapped, items = self._mapped(found, place)
        size = found.kwargs.get("n")
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise wrong(f"{place.where}.kwargs.n", "must be a whole number above 0")
        parts = (items[at : at + size] for at in range(0, len(items), size))
        members = (self._mapping(found, place, mapped, part) for part in parts)
        return Group(tuple(members), immutable=True)

    def _mapping(
        self, found: _Signature, place: _Place, mapped: str, items: Sequence[object]
    ) -> Task:
        self._spend(1)
        return Task(
            MAP if found.kind == "xmap" else STARMAP,
            (),
            {"task": found.kwargs["task"], "it": list(items)},
            found.options,
            immutable=True,
            errbacks=place.errbacks,
            mapped=mapped,
        )

    def _mapped(self, found: _Signature, place: _Place) -> tuple[str, Sequence[object]]:
        """Return the name of the task that is called for each item, and the items."""
        inner = place.inner(".kwargs.task")
        called = _open(found.kwargs.get("task"), inner.where)
        if called.kind:
            raise wrong(f"{inner.where}.task", "must be a plain task: a map calls one function")
        items = found.kwargs.get("it")
        if not isinstance(items, list | tuple):
            raise wrong(f"{place.where}.kwargs.it", f"must be an array, and it is {kind(items)}")
        if found.kind != "xmap":
            for index, item in enumerate(items):
                if not isinstance(item, list | tuple):
                    problem = f"must be an array of arguments, and it is {kind(item)}"
                    raise wrong(f"{place.where}.kwargs.it[{index}]", problem)
        return called.name, items

    def _group(self, found: _Signature, place: _Place) -> Group:
        raw = _listed(found.kwargs.get("tasks"), f"{place.where}.kwargs.tasks")
        members = self._members(raw, place, ".kwargs.tasks")
        return Group(members, found.args, {}, found.options, found.immutable)

    def _members(self, raw: list[object], place: _Place, part: str) -> tuple[Branch, ...]:
        """Read a group's members: groups in it are flattened, empty chains are left out."""
        members: list[Branch] = []
        for index, one in enumerate(raw):
            node = self.node(one, place.inner(f"{part}[{index}]", place.errbacks))
            if isinstance(node, Group):
                members.extend(prepared(member, node) for member in node.members)
            elif isinstance(node, Task) or node.members:
                members.append(node)
        return tuple(members)

    def _chain(self, found: _Signature, place: _Place) -> Chain:
        raw = _listed(found.kwargs.get("tasks"), f"{place.where}.kwargs.tasks")
        parts: list[Part] = []
        for index, one in enumerate(raw):
            node = self.node(one, place.inner(f".kwargs.tasks[{index}]", place.errbacks))
            parts.extend(_spliced(node, one))
        # an empty group is nothing between others, and the list [] on its own
        kept = [part for part in parts if part is not _EMPTY] or parts[:1]
        entry = Group((), found.args, {}, found.options, found.immutable)
        return prepared(Chain(tuple(kept)), entry)

    def _chord(self, found: _Signature, place: _Place) -> Chain:
        header = self._header(found, place)
        body_place = place.inner(".kwargs.body", place.errbacks)
        raw = found.kwargs.get("body")
        if raw is None:
            raise wrong(body_place.where, "is missing: a chord calls it with the header's results")
        body = self.node(raw, body_place)
        if isinstance(body, Chain) and not body.members:
            raise wrong(body_place.where, "is an empty chain: a chord needs a task to call")
        # a delay is for the header alone
        later = {k: v for k, v in found.options.items() if k not in ("countdown", "eta")}
        body = prepared(body, Group((), options=later))
        return Chain((header, *(body.members if isinstance(body, Chain) else (body,))))

    def _header(self, found: _Signature, place: _Place) -> Group:
        where, raw = f"{place.where}.kwargs.header", found.kwargs.get("header")
        kwargs = found.kwargs.get("kwargs")
        if kwargs is not None and not isinstance(kwargs, dict):
            raise wrong(
                f"{place.where}.kwargs.kwargs", f"must be an object, and it is {kind(kwargs)}"
            )
        if isinstance(raw, dict):
            if _kind_of(raw) in ("chain", "chord"):
                raise wrong(where, "must be a list of signatures, or a group: put it into a list")
            node = self.node(raw, place.inner(".kwargs.header", place.errbacks))
            header = Group((_as_branch(node),)) if isinstance(node, Task) else node
            assert isinstance(header, Group)
        else:
            header = Group(self._members(_listed(raw, where), place, ".kwargs.header"))
        entry = Group((), found.args, kwargs or {}, found.options, found.immutable)
        return prepared(header, entry)

    def _spend(self, tasks: int) -> None:
        self._count += tasks
        if self._count > MAX_TASKS:
            raise _too_many(self._where)


def _listed(raw: object, where: str) -> list[object]:
    if not isinstance(raw, list | tuple):
        raise wrong(where, f"must be an array of signatures, and it is {kind(raw)}")
    return list(raw)


def _spliced(node: Node, raw: object) -> tuple[Part, ...]:
    """Return what a signature is within a chain: a group of one signature is that signature."""
    if isinstance(node, Task):
        return (node,)
    if isinstance(node, Chain):
        return node.members
    while _kind_of(raw) == "group" and len(_parts(raw)) == 1:
        raw = _parts(raw)[0]
    inside = _kind_of(raw)
    if inside == "chunks":  # its result is a list of lists, of however many parts
        return (node,)
    if inside == "group":
        return (node,) if _parts(raw) else (_EMPTY,)
    members = tuple(prepared(member, node) for member in node.members)
    return tuple(part for one in members for part in _spliced(one, None))


def _parts(raw: object) -> Sequence[object]:
    """Return what stands in a group's signature."""
    kwargs = raw.get("kwargs") if isinstance(raw, dict) else None
    found = kwargs.get("tasks") if isinstance(kwargs, dict) else None
    return found if isinstance(found, list | tuple) else ()
