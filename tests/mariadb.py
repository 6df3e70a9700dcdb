"""MariaDB from Debian as a real server: the database of an app that uses MySQL."""

import os
import pwd
import shutil
import tempfile
from pathlib import Path
from typing import Self

import pymysql

from .processes import LOOPBACK, Process, free_port

PROGRAM = shutil.which("mariadbd") or "/usr/sbin/mariadbd"
MISSING = not Path(PROGRAM).exists()
_UNPRIVILEGED = "nobody"  # MariaDB refuses to run as root


class MariaDb:
    """One server on a folder of its own, on loopback, without users and without system tables."""

    def __init__(self) -> None:
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="inngest-py-mariadb-"))
        data = self.folder / "data"
        data.mkdir()
        options = [f"--datadir={data}", f"--socket={self.folder}/s", f"--port={self.port}"]
        options += [f"--bind-address={LOOPBACK}", "--skip-grant-tables", "--skip-name-resolve"]
        # tests kill clients, never the machine; and a small pool starts quickly
        options += ["--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=32M"]
        options += ["--innodb-log-file-size=8M", f"--pid-file={self.folder}/pid"]
        if os.geteuid() == 0:
            owner = pwd.getpwnam(_UNPRIVILEGED)
            for path in (self.folder, data):
                os.chown(path, owner.pw_uid, owner.pw_gid)
            options.append(f"--user={_UNPRIVILEGED}")
        self._process = Process([PROGRAM, "--no-defaults", *options], log=self.folder / "log")
        self._made = 0

    def start(self) -> Self:
        """Start it and wait until it answers."""
        self._process.start().wait_ready(self.answers)
        return self

    def answers(self) -> bool:
        """Whether it can be connected to."""
        try:
            self._connect().close()
        except pymysql.OperationalError:
            return False
        return True

    def create_database(self) -> str:
        """Make a fresh database and return its URL for SQLAlchemy."""
        self._made += 1
        name = f"test_{self._made}"
        with self._connect() as connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
        return f"mysql+pymysql://root@{LOOPBACK}:{self.port}/{name}"

    def close(self) -> None:
        """Stop it and remove its folder."""
        self._process.kill9()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _connect(self) -> "pymysql.connections.Connection[pymysql.cursors.Cursor]":
        return pymysql.connect(host=LOOPBACK, port=self.port, user="root")
