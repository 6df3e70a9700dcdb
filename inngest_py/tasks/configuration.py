"""Finding celeryconfig.py: the one on the path is ours only if it says so.

Celery's users have a file of that name in their working directory. Taken for ours it would bring
other queues, and workers that wait for messages which nobody sends.
"""

import importlib
import importlib.util
import logging
import re
from pathlib import Path
from typing import Any

from .. import observe
from ..domain.errors import Invalid
from . import celeryconfig as packaged

_NAME = "celeryconfig"
_MARK = 'configures = "inngest_py"'
_MARKED = re.compile(rb"""^configures\b[^=\n]*=\s*["']inngest_py["']""", re.MULTILINE)
# Redis's transport, and Sentinel's, which is made of it
_REDIS = ("redis", "rediss", "sentinel")


def find() -> Any:
    """Give the module of Celery's settings: the file on the path, if it is marked, else ours.

    Raises Invalid when the file is marked and cannot be imported.
    """
    spec = importlib.util.find_spec(_NAME)
    if spec is None:
        return packaged
    file = spec.origin or str(spec.name)
    if not _is_marked(file):
        told = f"our own defaults are used; one for inngest_py says {_MARK}"
        observe.event("celeryconfig.ignored", level=logging.WARNING, file=file, text=told)
        return packaged
    try:
        return importlib.import_module(_NAME)
    except Exception as error:
        raise Invalid(f"{file} cannot be imported: {type(error).__name__}: {error}") from error


def transport_options(config: Any, broker_url: str) -> dict[str, Any]:
    """Join ours for Redis with those that the file has for whatever broker there is."""
    options: dict[str, Any] = {}
    if is_redis(broker_url):
        # each address is tried once before a publish fails
        ours = config.get("redis_transport_options", packaged.redis_transport_options)
        options |= ours | {"max_retries": broker_url.count(";")}
    options |= config.broker_transport_options or {}  # Celery takes None, too
    return options


def is_redis(broker_url: str) -> bool:
    """Say whether a URL leads to Redis, by Sentinel or not."""
    return broker_url.partition(":")[0].partition("+")[0] in _REDIS


def _is_marked(file: str) -> bool:
    """Look for the mark without running the file, which may be anybody's."""
    try:
        return _MARKED.search(Path(file).read_bytes()) is not None
    except OSError:
        return False
