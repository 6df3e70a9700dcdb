"""Report settings at the start of a process: errors, which end it, and warnings."""

import logging
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from . import logs, observe
from .config import Settings
from .config_reading import unknown


def exit_with_errors(settings: Settings, errors: Sequence[str], code: int = 1) -> NoReturn:
    """End the process with one sentence per error, as log lines if logs are JSON."""
    if settings.json_logs:
        logs.set_up("info", as_json=True)
        for text in errors:
            observe.event("server.refused", level=logging.ERROR, text=text)
    else:
        sys.stderr.writelines(f"error: {text}\n" for text in errors)
    raise SystemExit(code)


def warn(settings: Settings, *more: str, logged: bool = False) -> None:
    """Report warnings: as log lines if logs are JSON or `logged` is set, otherwise as text."""
    for text in [*more, *settings.warnings(), *unknown(os.environ)]:
        if logged or settings.json_logs:
            observe.event("server.warning", level=logging.WARNING, text=text)
        else:
            sys.stderr.write(f"warning: {text}\n")
