"""Find celeryconfig.py: the one on the path is ours only if it is marked as ours.

Other users of Celery have a file of that name in their working directory. With such a file our
workers would read other queues, and wait for messages that nobody sends.
"""

import importlib
import importlib.util
import logging
import re
from pathlib import Path
from types import ModuleType
from typing import Any

from .. import observe
from ..domain.errors import Invalid
from . import celeryconfig as packaged

_NAME = "celeryconfig"
_MARK = 'configures = "inngest_py"'
_MARKED = re.compile(rb"""^configures\b[^=\n]*=\s*["']inngest_py["']""", re.MULTILINE)
# the transport of Redis, and that of Sentinel, which is built on it
_REDIS = ("redis", "rediss", "sentinel")


def find() -> ModuleType:
    """Return the module of Celery's settings: the file on the path if it is marked, else ours.

    Raises Invalid when the file is marked and cannot be imported.
    """
    spec = importlib.util.find_spec(_NAME)
    if spec is None:
        return packaged
    file = spec.origin or str(spec.name)
    if not _is_marked(file):
        text = f"our own defaults are used; a file for inngest_py has the line {_MARK}"
        observe.event("celeryconfig.ignored", level=logging.WARNING, file=file, text=text)
        return packaged
    try:
        return importlib.import_module(_NAME)
    except Exception as error:
        raise Invalid(f"{file} cannot be imported: {type(error).__name__}: {error}") from error


def transport_options(config: Any, broker_url: str) -> dict[str, object]:
    """Join the options for Redis with the file's options for any broker."""
    options: dict[str, object] = {}
    if is_redis(broker_url):
        # try each address once before a publish fails
        ours = config.get("redis_transport_options", packaged.redis_transport_options)
        options |= ours | {"max_retries": broker_url.count(";")}
    options |= config.broker_transport_options or {}  # Celery takes None, too
    return options


def is_redis(broker_url: str) -> bool:
    """Say whether a URL leads to Redis, by Sentinel or not."""
    return broker_url.partition(":")[0].partition("+")[0] in _REDIS


def _is_marked(file: str) -> bool:
    """Look for the mark without running the file, which may not be ours."""
    try:
        return _MARKED.search(Path(file).read_bytes()) is not None
    except OSError:
        return False
