"""Keep the objects of the loaded code out of garbage collections.

A full collection walks every object, and the loaded code alone is half a million objects. That
delayed every call in flight, and used a share of all CPU under load.
"""

import gc

_FIRST_GENERATION = 10_000


def freeze_objects() -> None:
    """Keep all objects that exist now out of later collections, and make collections rarer."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_FIRST_GENERATION, 20, 20)
