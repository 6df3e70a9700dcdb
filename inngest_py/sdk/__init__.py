"""For apps: what the Python SDK lacks. It needs `inngest` and no part of the server.

Install it with `pip install inngest-py[sdk]`.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .checkpoints import checkpointing

__all__ = ["checkpointing"]


def __getattr__(name: str) -> object:
    """Import what is asked for on first use: the server imports parts of this without `inngest`."""
    if name != "checkpointing":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .checkpoints import checkpointing

    return checkpointing
