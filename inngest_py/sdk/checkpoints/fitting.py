"""Whether a function's context has the internals of the SDK that checkpointing needs."""

from collections.abc import Iterator

_PATHS = (
    "step.run",
    "step._target_hashed_id",
    "step._execution._memos.size",
    "step._execution._request.ctx.disable_immediate_execution",
    "step._middleware._disabled_hooks.discard",
    "step._middleware.middleware",
)
_HOOKS = ("before_execution", "after_execution", "transform_output")


def lacks(context: object) -> str | None:
    """Name the first thing that it does not have; None when it fits."""
    return next(_lacking(context), None)


def _lacking(context: object) -> Iterator[str]:
    hooks = tuple(f"step._middleware.{hook}{ending}" for hook in _HOOKS for ending in ("", "_sync"))
    for path in _PATHS + hooks:
        found = context
        for name in path.split("."):
            if not hasattr(found, name):
                yield f"ctx.{path}"
                break
            found = getattr(found, name)
