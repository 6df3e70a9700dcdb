"""Many workers that connect at the same time, as after a start of their server."""

import time
from pathlib import Path

import psycopg2
import requests

from inngest_py.domain.connect.messages_pb2 import GatewayMessageType as Kind
from tests.api.raw_workers import greeted, hello, next_message
from tests.processes import Server

WORKERS = 60  # three for each connection to the database
# longer than anybody waits for a connection of the pool
HELD_SECONDS = 6


def test_they_leave_the_database_to_others(tmp_path: Path, postgres_url: str) -> None:
    env = {"DATABASE_URL": postgres_url}
    args = ("--no-discovery", "--db-pool", "10", "--db-max", "20", "--db-lock", "0")
    with Server("dev", *args, log=tmp_path / "server.log", env=env) as server:
        server.start()
        holder = psycopg2.connect(postgres_url)
        holder.cursor().execute("LOCK TABLE connections IN SHARE ROW EXCLUSIVE MODE")
        workers = []
        for number in range(WORKERS):
            started, made = greeted(server)
            made.send(hello(started, instance_id=f"raw-{number}"))
            workers.append(made)
        until = time.monotonic() + HELD_SECONDS
        while time.monotonic() < until:
            sent = requests.post(f"{server.url}/e/key", json={"name": "others/go"}, timeout=5)
            assert sent.status_code == 200, sent.text
        holder.close()
        for made in workers:
            assert next_message(made).kind == Kind.GATEWAY_CONNECTION_READY, server.log_tail()
            made.close()
