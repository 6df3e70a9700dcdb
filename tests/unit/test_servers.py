"""The test servers themselves: they answer, keep their data where they should, and restart."""

import sys
from pathlib import Path

import psycopg2
import pytest
import redis

from tests.processes import NotInTimeError, Process, answers, free_port, wait_until
from tests.servers import Postgres, Valkey


def _select(url: str, sql: str) -> object:
    connection = psycopg2.connect(url)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchone()
    finally:
        connection.close()


def test_postgres_answers(postgres_url: str) -> None:
    assert _select(postgres_url, "SELECT 1") == (1,)


def test_each_test_has_its_own_database(postgres: Postgres, postgres_url: str) -> None:
    assert postgres.create_database() != postgres_url


@pytest.mark.parametrize("way", ["restart", "kill"])
def test_postgres_keeps_its_rows(postgres: Postgres, postgres_url: str, way: str) -> None:
    _select(postgres_url, "CREATE TABLE kept AS SELECT 7 AS n; SELECT 1")
    if way == "restart":
        postgres.restart()
    else:
        postgres.kill()
        postgres.start()
    assert _select(postgres_url, "SELECT n FROM kept") == (7,)


def test_valkey_answers_and_restarts_empty(valkey: Valkey) -> None:
    with redis.Redis.from_url(valkey.url) as client:
        client.set("a", "b")
    valkey.stop()
    assert not valkey.answers()
    valkey.start()
    with redis.Redis.from_url(valkey.url) as client:
        assert client.ping()
        assert client.get("a") is None


def test_valkey_flush(valkey: Valkey) -> None:
    with redis.Redis.from_url(valkey.url) as client:
        client.set("a", "b")
        valkey.flush()
        assert client.get("a") is None


def test_kill9_takes_the_whole_group(tmp_path: Path) -> None:
    port = free_port()
    child = (
        f"from http.server import *; HTTPServer(('127.0.0.1', {port}), SimpleHTTPRequestHandler)"
    )
    child += ".serve_forever()"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    url = f"http://127.0.0.1:{port}/"
    process = Process([sys.executable, "-c", parent], tmp_path / "log").start()
    process.wait_ready(lambda: answers(url))
    process.kill9()
    wait_until(lambda: not answers(url), what="the child gone")


def test_a_process_that_ends_early_shows_its_log(tmp_path: Path) -> None:
    process = Process([sys.executable, "-c", "print('no luck')"], tmp_path / "log").start()
    with pytest.raises(NotInTimeError, match="no luck"):
        process.wait_ready(lambda: False)


def test_wait_until_has_a_deadline() -> None:
    with pytest.raises(NotInTimeError, match="the moon"):
        wait_until(lambda: False, timeout=0.05, what="the moon")
