"""`check` reports all errors together, and errors of the database and broker themselves."""

from pathlib import Path

import psycopg2
import pytest
from click.testing import CliRunner, Result

from inngest_py.cli import cli
from inngest_py.storage.db.session import Database
from inngest_py.storage.schema import migrate
from tests.processes import LOOPBACK, free_port

KEYS = ("--event-key", "k" * 16, "--signing-key", "ab" * 16)
FOREIGN = "CREATE TABLE alembic_version (version_num VARCHAR(32)); INSERT INTO alembic_version"


def checked(*args: str, **environ: str) -> Result:
    result = CliRunner(env=environ).invoke(cli, ["check", *args])
    assert isinstance(result.exception, SystemExit | None), repr(result.exception)
    return result


def run(url: str, sql: str) -> None:
    connection = psycopg2.connect(url)
    with connection, connection.cursor() as cursor:
        cursor.execute(sql)
    connection.close()


def test_all_errors_are_reported_together(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("colour: red\n")
    away = ("--database-url", f"postgresql://u:hidden@{LOOPBACK}:{free_port()}/x")
    broker = ("--broker-url", f"redis://{LOOPBACK}:{free_port()}")
    result = checked(
        "--config", str(file), *away, *broker, "--port", "0", INNGEST_TICK_MS="x", INNGEST_TICK="5"
    )
    assert result.exit_code == 1
    expected = [
        "error: " + str(file),
        "INNGEST_TICK_MS='x'",
        "--port",
        "a signing key is required",
        "an event key is required",
        "the database cannot be reached",
        "the broker cannot be reached",
        "warning: INNGEST_TICK is not a setting: did you mean INNGEST_TICK_MS?",
    ]
    lines = result.output.splitlines()
    assert len(lines) == len(expected), result.output
    assert all(text in line for text, line in zip(expected, lines, strict=True)), result.output


def test_a_driver_that_is_not_ours_is_reported() -> None:
    result = checked(*KEYS, "--database-url", "postgresql+psycopg://h/x")
    assert result.exit_code == 1
    assert "begin the database URL with postgresql://" in result.output


@pytest.mark.parametrize(
    ("made", "named"),
    [
        ("CREATE TABLE events (id int); CREATE TABLE theirs (id int)", "(events)"),
        (FOREIGN + " VALUES ('3f2a9c1b7d5e')", "(alembic_version)"),
        (FOREIGN + " VALUES ('0007')", "(alembic_version)"),
    ],
)
def test_tables_of_another_program_are_reported(postgres_url: str, made: str, named: str) -> None:
    run(postgres_url, made)
    for command in (["check", *KEYS], ["db", "upgrade"], ["users", "list"]):
        result = CliRunner().invoke(cli, [*command, "--database-url", postgres_url])
        assert result.exit_code == 1
        assert f"tables of another program {named}" in result.output
        assert "a database of its own" in result.output


def test_tables_beside_ours_are_ignored(postgres_url: str) -> None:
    run(postgres_url, "CREATE TABLE theirs (id int)")
    database = Database(postgres_url)
    migrate.prepare(database)
    database.close()
    result = checked(*KEYS, "--database-url", postgres_url)
    assert result.exit_code == 0, result.output


def test_the_host_of_a_list_that_answers_is_used(migrated_postgres: str) -> None:
    place = migrated_postgres.partition("@")[2]
    url = f"postgresql://postgres@{LOOPBACK}:{free_port()},{place}"
    result = checked(*KEYS, "--database-url", url)
    assert result.exit_code == 0, result.output
