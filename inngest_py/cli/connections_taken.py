"""How many connections to PostgreSQL all processes can take together, against what it lets in."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from ..config import Settings
from ..storage.db import session
from ..storage.db.session import Database
from ..storage.queries import worker_list

# what is kept for superusers, and since PostgreSQL 16 for roles that are named, is not for us
_LIMITS = text(
    "SELECT current_setting('max_connections')::int"
    " - current_setting('superuser_reserved_connections')::int"
    " - coalesce(current_setting('reserved_connections', true), '0')::int,"
    " (SELECT rolconnlimit FROM pg_roles WHERE rolname = current_user),"
    " (SELECT datconnlimit FROM pg_database WHERE datname = current_database())"
)
_ONE_CALL = "prefork"  # the pool whose processes have one call each


@dataclass(frozen=True, slots=True)
class Limit:
    """How many connections may come in at a time, and what says so."""

    most: int
    by: str


@dataclass(frozen=True, slots=True)
class Taken:
    """Processes of a kind, and the connections that they can take together."""

    kind: str
    processes: int
    connections: int

    def __str__(self) -> str:
        ending = "" if self.processes == 1 else "es" if self.kind.endswith("s") else "s"
        return f"{self.processes} {self.kind}{ending} with up to {self.connections}"


def told(
    settings: Settings, database: Database, now: datetime, *, has_schema: bool
) -> tuple[list[str], list[str]]:
    """Say how many connections can be taken, and warn if they are too many; both may be empty.

    Without a schema that can be read, no worker is known.
    """
    if settings.is_sqlite:
        return [], []
    with database.reading() as tx:
        if session.is_shared(tx):
            return [], []  # the pooler decides
        limit = _limit(tx)
        alive = worker_list.alive(tx, now) if has_schema else []
        pools = [(str(row["pool"]), int(row["concurrency"])) for row in alive]
    taken = kinds(settings, pools)
    total = sum(one.connections for one in taken)
    said = (
        f"{limit.by} lets in {limit.most} connections; the server's processes can take up to"
        f" {total}: {', '.join(map(str, taken))}"
    )
    return [said], _warnings(limit, taken, total)


def kinds(settings: Settings, alive: Sequence[tuple[str, int]]) -> list[Taken]:
    """Count the processes of the settings, and workers that are `alive`, by pool and slots."""
    most = settings.database_pool_size(settings.concurrency).most
    if settings.embedded:
        return [Taken("process", 1, most)]
    api = Taken("API process", settings.api_processes, settings.api_processes * most)
    wanted = 1 if settings.workers is None else settings.workers
    each = [_of_worker(settings, *worker) for worker in alive]
    each += [most] * (wanted - len(each))
    return [api, Taken("worker", len(each), sum(each))]


def _of_worker(settings: Settings, pool: str, slots: int) -> int:
    if pool != _ONE_CALL:
        return settings.database_pool_size(slots).most
    # each child has a pool, and so has the parent, which does the upkeep
    return (slots + 1) * settings.database_pool_size(1).most


def _limit(tx: Connection) -> Limit:
    server, role, database = tx.execute(_LIMITS).one()
    limits = [Limit(server, "PostgreSQL")]
    limits += [Limit(role, "the role")] if role is not None and role >= 0 else []
    limits += [Limit(database, "the database")] if database >= 0 else []
    return min(limits, key=lambda limit: limit.most)


def _warnings(limit: Limit, taken: Sequence[Taken], total: int) -> list[str]:
    if total <= limit.most:
        return []
    processes = sum(one.processes for one in taken)
    each = max(limit.most // processes, 2)
    return [
        f"{total} connections are more than the {limit.most} of {limit.by}: give each process at"
        f" most {each} (--db-max, INNGEST_DATABASE_MAX), raise the limit, or use PgBouncer"
    ]
