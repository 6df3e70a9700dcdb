"""`/v1`: the REST API that SDKs use (protocol: api.md §2). One file per resource."""

from . import cancellations, metadata, prom, reading, userland
from .common import blueprint

__all__ = ["blueprint", "cancellations", "metadata", "prom", "reading", "userland"]
