"""Metadata: small objects that are shown with a run or a step."""

from collections.abc import Awaitable, Mapping
from typing import Literal, overload

import inngest

from .. import internals, json_values
from ..internals import AnyContext, Note
from .arguments import check_id, check_name, noted, one_of

_OPS = ("set", "merge", "add", "delete")
_SCOPES = ("run", "step")
_MOST_BYTES = 256  # of a kind, with its prefix
Change = Literal["set", "merge", "add", "delete"]
Scope = Literal["run", "step"]


@overload
def metadata(
    ctx: inngest.ContextSync,
    step_id: str,
    values: Mapping[str, object],
    *,
    kind: str = "default",
    change: Change = "merge",
    of: Scope = "run",
) -> None: ...


@overload
def metadata(
    ctx: inngest.Context,
    step_id: str,
    values: Mapping[str, object],
    *,
    kind: str = "default",
    change: Change = "merge",
    of: Scope = "run",
) -> Awaitable[None]: ...


def metadata(
    ctx: AnyContext,
    step_id: str,
    values: Mapping[str, object],
    *,
    kind: str = "default",
    change: Change = "merge",
    of: Scope = "run",
) -> Awaitable[None] | None:
    """Attach values to the run, or to this very step, once.

    `kind` groups them. `change` says what becomes of the values of this kind that are there: the
    new ones are merged into them, replace all of them ("set"), are added to numbers ("add"), or
    name what is deleted. Raises ValueError or TypeError.
    """
    parsed = internals.parsed(ctx, check_id(ctx, step_id))
    if not isinstance(values, Mapping):
        raise TypeError(f"values: give a dict, not a value of type {type(values).__name__}")
    json_values.check(dict(values), "argument values", "values")
    full = f"userland.{check_name('kind', kind)}"
    if len(full.encode()) > _MOST_BYTES:
        raise ValueError(f"kind: {kind[:40]!r}… is over {_MOST_BYTES - 9} bytes: shorten it")
    note: dict[str, object] = {
        "kind": full,
        "op": one_of("change", change, _OPS),
        "scope": one_of("of", of, _SCOPES),
        "values": dict(values),
    }
    return noted(ctx, parsed, Note(metadata=note), None)
