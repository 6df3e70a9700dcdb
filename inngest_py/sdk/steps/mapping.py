"""Map: a step for each item, side by side."""

import hashlib
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar, overload

import inngest

from .. import internals, json_values
from ..internals import AnyContext, Note
from .arguments import check_id
from .groups import Branches

_LONGEST_KEY = 60  # characters of a key that stands in a step's id as it is
I = TypeVar("I")  # noqa: E741
T = TypeVar("T")


@overload
def map(
    ctx: inngest.ContextSync,
    step_id: str,
    items: Iterable[I],
    fn: Callable[[I], T],
    *,
    concurrency: int | None = None,
    key: Callable[[I], str | int] | None = None,
) -> list[T]: ...


@overload
def map(
    ctx: inngest.Context,
    step_id: str,
    items: Iterable[I],
    fn: Callable[[I], Awaitable[T]],
    *,
    concurrency: int | None = None,
    key: Callable[[I], str | int] | None = None,
) -> Awaitable[list[T]]: ...


def map(
    ctx: AnyContext,
    step_id: str,
    items: Iterable[I],
    fn: Callable[[I], T] | Callable[[I], Awaitable[T]],
    *,
    concurrency: int | None = None,
    key: Callable[[I], str | int] | None = None,
) -> list[T] | Awaitable[list[T]]:
    """Call `fn` with each item as a step of its own; return the results in the order of the items.

    At most `concurrency` of the steps run at a time; None sets no limit. The step of an item is
    known by its `key`, or else by the item itself, which must then be JSON: when items are inserted
    or removed by new code, the others keep their results. Equal keys are told apart by their order.

    All items are run, also when one fails for good; then the error of the first failed item is
    raised. Raises ValueError or TypeError for wrong arguments.
    """
    check_id(ctx, step_id)
    if not callable(fn):
        raise TypeError(f"fn: give a function of one item, not {fn!r}")
    if concurrency is not None and (
        isinstance(concurrency, bool) or not isinstance(concurrency, int)
    ):
        raise TypeError(f"concurrency: give a whole number from 1 on, or None, not {concurrency!r}")
    if concurrency is not None and concurrency < 1:
        raise ValueError(f"concurrency: give a whole number from 1 on, or None, not {concurrency}")
    given = list(items)
    named = list(zip(_ids(step_id, given, key), given, strict=True))
    most = concurrency if concurrency is not None and concurrency < len(given) else None
    if isinstance(ctx, inngest.ContextSync):
        return _blocking(ctx, step_id, named, fn, most)  # type: ignore[arg-type]
    return _async(ctx, step_id, named, fn, most)  # type: ignore[arg-type]


def _blocking(
    ctx: inngest.ContextSync,
    step_id: str,
    named: list[tuple[str, I]],
    fn: Callable[[I], T],
    most: int | None,
) -> list[T]:
    def run(name: str, item: I) -> T:
        value = fn(item)
        json_values.check_result(name, value)
        return value

    found = Branches[T]()
    for place, (name, item) in enumerate(named):
        if most is not None and found.open >= most:
            break
        with found.branch(place) as branch:
            branch.value = ctx.step.run(name, run, name, item)
    found.report(race=most is not None)
    if most is not None:
        internals.note(ctx, internals.parsed(ctx, _end(step_id)), Note(len(named), at_once=True))
    return [found.ended[place].result() for place in range(len(named))]


async def _async(
    ctx: inngest.Context,
    step_id: str,
    named: list[tuple[str, I]],
    fn: Callable[[I], Awaitable[T]],
    most: int | None,
) -> list[T]:
    async def run(name: str, item: I) -> T:
        value = await fn(item)
        json_values.check_result(name, value)
        return value

    found = Branches[T]()
    for place, (name, item) in enumerate(named):
        if most is not None and found.open >= most:
            break
        with found.branch(place) as branch:
            branch.value = await ctx.step.run(name, run, name, item)
    found.report(race=most is not None)
    if most is not None:
        await internals.note_async(
            ctx, internals.parsed(ctx, _end(step_id)), Note(len(named), at_once=True)
        )
    return [found.ended[place].result() for place in range(len(named))]


def _end(step_id: str) -> str:
    """Name the step that joins the requests that follow from the last items.

    Each racing step that ends makes a request, and two of them at once would both run what follows.
    """
    return f"{step_id} (all)"


def _ids(step_id: str, items: list[I], key: Callable[[I], str | int] | None) -> list[str]:
    """Name the step of each item: `ID["key"]`, and `ID["key"]#2` for the second of a key."""
    seen: Counter[str] = Counter()
    made = []
    for place, item in enumerate(items):
        name = f"{step_id}[{_key(place, item, key)}]"
        seen[name] += 1
        made.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return made


def _key(place: int, item: I, key: Callable[[I], str | int] | None) -> str:
    if key is None:
        json_values.check(
            item, "argument items (give key=…, or items that are JSON)", f"items[{place}]"
        )
        text = json.dumps(_plain(item), sort_keys=True, ensure_ascii=False)
    else:
        given = key(item)
        if isinstance(given, bool) or not isinstance(given, str | int):
            raise TypeError(f"key: return text or a whole number for items[{place}], not {given!r}")
        text = json.dumps(given, ensure_ascii=False)
    if len(text) <= _LONGEST_KEY:
        return text
    return "~" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _plain(value: object) -> object:
    """Write numbers as the server stores them: an item may have been a step's result before."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {str(name): _plain(part) for name, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, list | tuple) else value
