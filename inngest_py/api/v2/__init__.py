"""`/v2`, also under `/api/v2`: the REST API for people and tools (protocol: api.md §4).

Proto-JSON: camelCase, zero values left out, 64-bit integers as strings. One file per resource.
"""

from . import (
    absent,
    actions,
    apps,
    events,
    functions,
    health,
    invoke,
    keys,
    runs,
    scores,
    syncs,
    trace,
)
from .common import PREFIXES, blueprint

__all__ = [
    "PREFIXES",
    "absent",
    "actions",
    "apps",
    "blueprint",
    "events",
    "functions",
    "health",
    "invoke",
    "keys",
    "runs",
    "scores",
    "syncs",
    "trace",
]
