"""Checkpoints for apps in Python: no round trip a step (protocol: checkpointing.md §2).

A middleware of the SDK. A new step that succeeded is sent to the server while the request is still
open, and the function goes on. All else is answered as without it. See docs/python.md.
"""

from .middleware import checkpointing

__all__ = ["checkpointing"]
