"""Logs: write the events of `observe` for people or as JSON, one line per event."""

import json
import logging
import os
import re
import sys
from collections.abc import Mapping
from logging.handlers import WatchedFileHandler
from typing import Any, TextIO

import orjson

from . import observe

_PLAIN = re.compile(r"[^\s\"={}\\\x00-\x1f\x7f-\x9f]+")
_DIM, _BOLD, _END = "\x1b[2m", "\x1b[1m", "\x1b[0m"
_COLOURS = {logging.DEBUG: _DIM, logging.WARNING: "\x1b[33m", logging.ERROR: "\x1b[31m"}


def _fields(record: logging.LogRecord) -> Mapping[str, object]:
    return observe.with_ids(getattr(record, "fields", {}))


class People(logging.Formatter):
    """Formats `12:00:01 warning: item.lease_lost item_id=… run_id=…`, then indents a traceback."""

    def __init__(self, *, colours: bool = False) -> None:
        super().__init__()
        self._colours = colours

    def format(self, record: logging.LogRecord) -> str:
        """Write a record as text."""
        when = self.formatTime(record, "%H:%M:%S")
        level = "" if record.levelno < logging.WARNING else f"{record.levelname.lower()}: "
        name = getattr(record, "event", None) or " ".join(record.getMessage().split("\n"))
        fields = " ".join(f"{key}={_shown(value)}" for key, value in _fields(record).items())
        if self._colours:
            colour = _COLOURS.get(min(record.levelno, logging.ERROR), "")
            when, fields = f"{_DIM}{when}{_END}", fields and f"{_DIM}{fields}{_END}"
            name = f"{_BOLD}{name}{_END}"
            level = level and f"{colour}{level}{_END}"
        line = f"{when} {level}{name} {fields}".rstrip()
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line.replace("\n", "\n    ")


def _shown(value: object) -> str:
    """Write a value on one line, in quotes if its end could not be seen otherwise."""
    text = str(value)
    return text if _PLAIN.fullmatch(text) else json.dumps(text)


class Json(logging.Formatter):
    """Writes one JSON object per record, with its traceback in a field."""

    def format(self, record: logging.LogRecord) -> str:
        """Write a record as JSON."""
        line: dict[str, object] = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "event": getattr(record, "event", record.name),
            "message": record.getMessage(),
        }
        for name, value in _fields(record).items():
            line.setdefault(name, value)
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        try:
            return orjson.dumps(line, default=str).decode()
        except TypeError:  # half a surrogate pair
            return json.dumps(line, default=str)


def formatter(stream: TextIO, *, as_json: bool) -> logging.Formatter:
    """Choose a formatter; colours are for terminals, unless NO_COLOR is set."""
    if as_json:
        return Json()
    return People(colours=stream.isatty() and not os.environ.get("NO_COLOR"))


def set_up(level: str, *, as_json: bool, file: str | None = None) -> None:
    """Log from `level` on to standard error, or to a file. Raises OSError for the file.

    A file that is moved away is opened again, as logrotate expects. With JSON, Python's warnings
    are log lines, too.
    """
    handler: logging.StreamHandler[Any] = (
        WatchedFileHandler(file, encoding="utf-8") if file else logging.StreamHandler(sys.stderr)
    )
    handler.setFormatter(formatter(handler.stream, as_json=as_json))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    logging.captureWarnings(as_json)
    logging.getLogger("inngest_py").setLevel(level.upper())
    logging.getLogger("celery.worker.consumer.connection").setLevel(logging.CRITICAL)
