"""PgBouncer, as a real process before PostgreSQL."""

import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from .processes import LOOPBACK, Process, free_port
from .servers import Postgres


@contextmanager
def pooled(postgres: Postgres, folder: Path, sessions: int) -> Iterator[str]:
    """Run PgBouncer in transaction mode with so many sessions; give its host and port."""
    program = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
    if program is None:
        pytest.skip("PgBouncer is not installed")
    port = free_port()
    users, ini = folder / "users.txt", folder / "pgbouncer.ini"
    users.write_text('"postgres" ""\n')
    ini.write_text(
        f"[databases]\n* = host={LOOPBACK} port={postgres.port}\n[pgbouncer]\n"
        f"listen_addr = {LOOPBACK}\nlisten_port = {port}\nauth_type = trust\nunix_socket_dir =\n"
        f"auth_file = {users}\npool_mode = transaction\ndefault_pool_size = {sessions}\n"
    )
    for path in (folder, users, ini):
        path.chmod(0o755)
    for parent in folder.parents:
        if parent.stat().st_uid == folder.stat().st_uid and parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o011)
    command = [program, "-u", "nobody", str(ini)]
    with Process(command, folder / "pgbouncer.log") as process:
        process.start().wait_ready(lambda: _listens(port), 20)
        yield f"{LOOPBACK}:{port}"


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((LOOPBACK, port)) == 0
