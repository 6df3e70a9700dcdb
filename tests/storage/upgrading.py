"""Run by test_index_builds.py: a process that migrates by a folder of migrations, and is killed."""

import logging
import sys
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event

from inngest_py.storage.db.server_limits import ServerLimits
from inngest_py.storage.db.session import Database
from inngest_py.storage.schema import migrate


def _note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
    if "pg_try_advisory" in statement:
        print("asks for the lock of builds", flush=True)
    if "pg_stat_progress_create_index" in statement:
        print("asks whether another builds", flush=True)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    event.listen(Engine, "before_cursor_execute", _note)
    migrate._FOLDER = Path(sys.argv[2])
    migrate.upgrade(Database(sys.argv[1], limits=ServerLimits(statement=1, lock=0.5)))
