"""Connections to PostgreSQL over a silent network, to a slow server, and through a pooler."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from inngest_py.cli import databases
from inngest_py.storage.db.outages import Fault, fault, outage, too_long
from inngest_py.storage.db.server_limits import ServerLimits
from inngest_py.storage.db.session import Database, later, limit_time
from inngest_py.storage.runs import run_counts
from inngest_py.storage.schema import migrate
from tests.pooler import pooled
from tests.processes import LOOPBACK, ROOT, free_port, wait_until
from tests.servers import Postgres
from tests.tcp import Wire

# the seconds within which a silent network is noticed
NOTICED = 15.0
HASTY = ServerLimits(connect=2, network=2, statement=1, lock=0.5)
TCP_USER_TIMEOUT = 18  # Linux's number; Python's socket module has no name for it before 3.12
SHOW = "SELECT current_setting('statement_timeout') || ' ' || current_setting('lock_timeout')"


@pytest.fixture
def wire(postgres: Postgres) -> Iterator[Wire]:
    with Wire(postgres.port) as made:
        yield made


def shown(db: Database, query: str = SHOW, *, writes: bool = False) -> str:
    with db.transaction() if writes else db.reading() as tx:
        return str(tx.execute(text(query)).scalar_one())


def option(db: Database, level: int, name: int) -> int:
    with db.reading() as tx:
        driver = tx.connection.dbapi_connection
        assert driver is not None
        link = socket.fromfd(driver.fileno(), socket.AF_INET, socket.SOCK_STREAM)
        with link:
            return link.getsockopt(level, name)


def test_kernel_notices_a_network_that_drops_packets(postgres_url: str) -> None:
    db = Database(postgres_url)
    tcp = socket.IPPROTO_TCP
    assert option(db, socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    assert option(db, tcp, TCP_USER_TIMEOUT) / 1000 < NOTICED
    idle, every = option(db, tcp, socket.TCP_KEEPIDLE), option(db, tcp, socket.TCP_KEEPINTVL)
    assert idle + every * option(db, tcp, socket.TCP_KEEPCNT) < NOTICED
    patience = ServerLimits().patience
    assert patience is not None
    assert patience < NOTICED
    db.close()


def test_what_keeps_a_process_busy_is_no_silence(postgres_url: str) -> None:
    """In greenlets: the loop's time stands still meanwhile. Imports may take so long."""
    db = Database(postgres_url, limits=HASTY)

    def compute(seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            pass

    compute(2.2)  # as long as a new connection may take
    assert shown(db, "SELECT 1") == "1"
    compute(4.2)  # as long as a statement may take
    assert shown(db, "SELECT 2") == "2"
    db.close()


def test_parameters_of_the_url_override_ours(postgres_url: str) -> None:
    db = Database(f"{postgres_url}?tcp_user_timeout=3000&keepalives_idle=7")
    assert option(db, socket.IPPROTO_TCP, TCP_USER_TIMEOUT) == 3000
    assert option(db, socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 7
    db.close()


def test_silent_server_is_an_outage_until_it_answers_again(postgres_url: str, wire: Wire) -> None:
    db = Database(wire.url(postgres_url), limits=HASTY)
    assert shown(db, "SELECT 1") == "1"
    wire.silent = True
    began = time.monotonic()
    with pytest.raises(DBAPIError) as caught:
        shown(db, "SELECT 2")
    assert outage(caught.value)
    assert "did not answer" in str(caught.value)
    with pytest.raises(DBAPIError) as caught:  # a new connection gets no answer either
        shown(db, "SELECT 3", writes=True)
    assert outage(caught.value)
    assert time.monotonic() - began < NOTICED
    wire.silent = False
    assert shown(db, "SELECT 4", writes=True) == "4"
    db.close()


GREENLETS = """
from gevent import monkey
monkey.patch_all()
import sys, time, gevent
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from inngest_py.storage.db.server_limits import ServerLimits
from inngest_py.storage.db.outages import Fault, fault, outage, too_long
from inngest_py.storage.db.session import Database

def read(db, query):
    with db.reading() as tx:
        return tx.execute(text(query)).scalar_one()

def ticks():
    while True:
        seen.append(time.monotonic())
        gevent.sleep(0.05)

seen = []
db = Database(sys.argv[1], limits=ServerLimits(connect=2, network=2, statement=1, lock=0.5))
assert read(db, "SELECT 1 FROM pg_sleep(0.1)") == 1
assert read(db, "SELECT sum(n) FROM generate_series(1, 100000) AS n") == 5000050000
gevent.spawn(ticks)
print("silence", flush=True)
sys.stdin.readline()
reads = [gevent.spawn(read, db, "SELECT 2") for _ in range(5)]
gevent.joinall(reads)
for each in reads:
    assert isinstance(each.exception, DBAPIError) and outage(each.exception), each.exception
assert max(b - a for a, b in zip(seen, seen[1:])) < 1.5, "others kept running"
print("noise", flush=True)
sys.stdin.readline()
assert read(db, "SELECT 3") == 3
db.close()
print("done", flush=True)
"""


def test_greenlets_waiting_for_a_silent_server_block_no_others(
    postgres_url: str, wire: Wire
) -> None:
    command = [sys.executable, "-c", GREENLETS, wire.url(postgres_url)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        for said, silent in (("silence", True), ("noise", False)):
            assert child.stdout.readline().strip() == said
            wire.silent = silent
            child.stdin.write("go\n")
            child.stdin.flush()
        assert child.stdout.readline().strip() == "done"
        child.stdin.close()
        assert child.wait(30) == 0


@pytest.fixture
def hole() -> Iterator[int]:
    """Give a port that does not answer to connect, like a machine that is gone."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server((LOOPBACK, 0), backlog=0))
        while True:
            link = stack.enter_context(socket.socket())
            link.settimeout(0.5)
            try:
                link.connect(listener.getsockname())
            except TimeoutError:
                break
        yield listener.getsockname()[1]


ADDRESSES = """
import sys
if sys.argv[1] == "greenlets":
    from gevent import monkey
    monkey.patch_all()
from sqlalchemy import text
from inngest_py.storage.db.server_limits import ServerLimits
from inngest_py.storage.db.session import Database

db = Database(sys.argv[2], limits=ServerLimits(connect=2))
with db.reading() as tx:
    print(tx.execute(text("SELECT 1")).scalar_one())
db.close()
"""


@pytest.mark.parametrize("pool", ["greenlets", "threads"])
@pytest.mark.parametrize("first", ["refuses", "silent"])
def test_next_address_is_tried(
    pool: str, first: str, postgres: Postgres, request: pytest.FixtureRequest
) -> None:
    """`localhost` may have two addresses as well, one of IPv6 and one of IPv4."""
    dead = request.getfixturevalue("hole") if first == "silent" else free_port()
    hosts = "&".join(f"host={LOOPBACK}:{port}" for port in (dead, postgres.port))
    url = f"postgresql://postgres@/postgres?{hosts}"
    command = [sys.executable, "-c", ADDRESSES, pool, url]
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, cwd=ROOT, timeout=60
    )
    assert done.stdout == "1\n", done.stderr


def test_statements_and_lock_waits_that_take_too_long_fail_as_busy(postgres_url: str) -> None:
    db = Database(postgres_url, limits=HASTY)
    assert shown(db) == shown(db, writes=True) == "1s 500ms"
    with pytest.raises(DBAPIError) as caught, db.transaction() as tx:
        tx.execute(text("SELECT pg_sleep(30)"))
    assert fault(caught.value) is Fault.BUSY
    with db.transaction() as tx:
        tx.execute(text("CREATE TABLE numbers (n int)"))
    with db.transaction() as holder:
        holder.execute(text("LOCK TABLE numbers"))
        with pytest.raises(DBAPIError) as caught, db.transaction() as tx:
            tx.execute(text("INSERT INTO numbers VALUES (1)"))
    assert fault(caught.value) is Fault.BUSY
    with db.transaction() as tx:
        later(tx, "INSERT INTO numbers VALUES (2)")
    db.close()


def test_counting_runs_has_no_statement_timeout(postgres_url: str) -> None:
    db = Database(postgres_url, limits=HASTY)
    migrate.prepare(db)
    slow = "SELECT 1 FROM pg_sleep(1.2)"
    for opened in (db.reading, db.transaction):
        before = shown(db)
        with opened() as tx:
            assert run_counts.of_functions(tx, ["f"]) == (0, 0)
            assert tx.execute(text(slow)).scalar_one() == 1
            assert tx.execute(text(SHOW)).scalar_one() == "0 5s", "the limit for locks stays"
        assert shown(db) == before, "later statements have their limits again"
    db.close()


def test_slow_list_is_recognised_as_too_long(postgres_url: str) -> None:
    from datetime import timedelta

    db = Database(postgres_url)
    with pytest.raises(DBAPIError) as caught, db.reading() as tx:
        limit_time(tx, timedelta(milliseconds=100))
        tx.execute(text("SELECT pg_sleep(30)"))
    assert too_long(caught.value)
    assert shown(db) == "10s 5s"
    db.close()


@pytest.fixture
def pooler(postgres: Postgres, tmp_path: Path) -> Iterator[str]:
    with pooled(postgres, tmp_path, sessions=1) as made:
        yield made


def test_session_settings_behind_a_pooler_stay_unchanged(
    postgres: Postgres, postgres_url: str, pooler: str
) -> None:
    through = postgres_url.replace(f"{LOOPBACK}:{postgres.port}", pooler)
    db, other = Database(through, limits=HASTY), Database(through)
    assert shown(db, writes=True) == "1s 500ms"
    assert shown(other, writes=True) == "10s 5s"
    assert shown(db) == shown(other) == "0 0", "PgBouncer's one session has no settings of ours"
    with pytest.raises(DBAPIError) as caught, db.transaction() as tx:
        tx.execute(text("SELECT pg_sleep(30)"))
    assert fault(caught.value) is Fault.BUSY
    with db.transaction() as tx:
        later(tx, "CREATE TABLE numbers (n int)")
    wait_until(lambda: shown(other, "SELECT count(*) FROM numbers") == "0")
    for made in (db, other):
        made.close()


def test_commands_use_the_lock_timeout_of_the_settings(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INNGEST_DATABASE_LOCK_SECONDS", "7")
    with databases.opened({"database_url": postgres_url}) as db, db.reading() as tx:
        assert tx.scalar(text("SHOW lock_timeout")) == "7s"
