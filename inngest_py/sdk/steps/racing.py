"""Race: several branches of steps, of which the first that ends counts."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar, overload

import inngest

from .. import internals
from ..internals import AnyContext, Note
from .arguments import check_id, check_name
from .groups import Branches

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Winner(Generic[T]):
    """The branch that has ended first, and its result."""

    name: str
    value: T


@overload
def race(
    ctx: inngest.ContextSync, step_id: str, branches: Mapping[str, Callable[[], T]]
) -> Winner[T]: ...


@overload
def race(
    ctx: inngest.Context, step_id: str, branches: Mapping[str, Callable[[], Awaitable[T]]]
) -> Awaitable[Winner[T]]: ...


def race(
    ctx: AnyContext,
    step_id: str,
    branches: Mapping[str, Callable[[], T]] | Mapping[str, Callable[[], Awaitable[T]]],
) -> Winner[T] | Awaitable[Winner[T]]:
    """Run branches side by side until one has ended; return its name and its result.

    A branch is a function of no arguments that runs steps, one or several. One that fails for good
    has ended, too: its error is raised. Steps of the others that have begun go on to their end, but
    nothing comes of them, and no later step of these branches is begun. Which branch has won is
    stored as the step `step_id`. Raises ValueError or TypeError for wrong arguments.
    """
    check_id(ctx, step_id)
    if not isinstance(branches, Mapping):
        raise TypeError(f"branches: give a dict of functions by name, not {branches!r}")
    if len(branches) < 2:
        raise ValueError("branches: give two or more")
    for name, branch in branches.items():
        check_name("branches", name)
        if not callable(branch):
            raise TypeError(f"branches: {name!r} is not a function: write `lambda: …`")
    if isinstance(ctx, inngest.ContextSync):
        return _blocking(ctx, step_id, branches)  # type: ignore[arg-type]
    return _async(ctx, step_id, branches)  # type: ignore[arg-type]


def _blocking(
    ctx: inngest.ContextSync, step_id: str, branches: Mapping[str, Callable[[], T]]
) -> Winner[T]:
    decision = internals.parsed(ctx, step_id)
    known = internals.stored(ctx, decision)
    found, ends = Branches[T](), dict[int, int]()
    for place, (name, run) in enumerate(branches.items()):
        if known in (None, name) or internals.is_targeted(ctx):
            with found.branch(place) as branch, internals.watched(ctx) as watched:
                branch.value = run()
            ends[place] = watched.last
    first = _first(found, ends, internals.is_targeted(ctx))
    winner = internals.note(ctx, decision, Note(list(branches)[first], at_once=True))
    return _won(found, list(branches), winner)


async def _async(
    ctx: inngest.Context, step_id: str, branches: Mapping[str, Callable[[], Awaitable[T]]]
) -> Winner[T]:
    decision = internals.parsed(ctx, step_id)
    known = internals.stored(ctx, decision)
    found, ends = Branches[T](), dict[int, int]()
    for place, (name, run) in enumerate(branches.items()):
        if known in (None, name) or internals.is_targeted(ctx):
            with found.branch(place) as branch, internals.watched(ctx) as watched:
                branch.value = await run()
            ends[place] = watched.last
    first = _first(found, ends, internals.is_targeted(ctx))
    winner = await internals.note_async(ctx, decision, Note(list(branches)[first], at_once=True))
    return _won(found, list(branches), winner)


def _first(found: Branches[T], ends: Mapping[int, int], is_targeted: bool) -> int:
    """Return the branch that ended first; if none has, raise what they report.

    A request may be for a step of a branch that has lost meanwhile.
    """
    if not found.ended or (is_targeted and found.responses):
        found.report(race=True)
        raise ValueError("branches: each must run a step or return")  # unreachable: one has ended
    return min(found.ended, key=lambda place: (ends[place], place))


def _won(found: Branches[T], names: list[str], winner: object) -> Winner[T]:
    place = names.index(str(winner)) if winner in names else -1
    if place not in found.ended:
        raise inngest.NonRetriableError(
            f"branches: {winner!r} had won this race, but is not there any more, or has more steps"
        )
    return Winner(names[place], found.ended[place].result())
