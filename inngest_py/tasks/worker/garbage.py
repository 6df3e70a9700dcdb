"""Garbage: what the process is made of is not looked at again.

A full collection walks every object, and the loaded code alone is half a million of them: it held
up every call in flight and took a share of all CPU under load.
"""

import gc

_FIRST_GENERATION = 10_000


def settle() -> None:
    """Leave all objects that are there now out of later collections, which become rarer."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_FIRST_GENERATION, 20, 20)
