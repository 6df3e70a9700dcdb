"""The code in the documents runs."""

import re
from pathlib import Path

import psycopg2
import pytest

from inngest_py import observe
from tests.servers import Postgres

ROOT = Path(__file__).resolve().parents[2]
_BLOCK = re.compile(r"```(python|sql)\n(.*?)```", re.DOTALL)


def blocks(language: str) -> list[tuple[str, str]]:
    files = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [
        (f"{file.name}-{number}", code)
        for file in files
        for number, (found, code) in enumerate(_BLOCK.findall(file.read_text()), start=1)
        if found == language
    ]


# the SDK's own use of pydantic warns
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("file", sorted({name.rsplit("-", 1)[0] for name, _ in blocks("python")}))
def test_python_code_runs(file: str) -> None:
    """The blocks of a document, one after another: later ones may use names of earlier ones."""
    names: dict[str, object] = {"__name__": file}
    for name, code in blocks("python"):
        if name.rsplit("-", 1)[0] == file:
            exec(compile(code, name, "exec"), names)


@pytest.mark.parametrize(("name", "code"), blocks("sql"), ids=lambda value: value[:30])
def test_postgresql_accepts_sql_code(
    name: str, code: str, postgres: Postgres, migrated_postgres: str
) -> None:
    url = postgres.create_database(like=migrated_postgres)
    connection = psycopg2.connect(url)
    connection.autocommit = True
    with connection.cursor() as cursor:
        for statement in filter(str.strip, code.split(";")):
            cursor.execute(statement)
        cursor.execute("ALTER SYSTEM RESET ALL")
    connection.close()
    postgres.drop_database(url)


def test_the_documents_hold_code() -> None:
    assert len(blocks("python")) >= 2
    assert len(blocks("sql")) >= 1


def test_a_listener_gets_signals_and_a_broken_one_disturbs_no_other() -> None:
    heard = []

    def broken(_sender: object, **_: object) -> None:
        raise RuntimeError("no")

    def listens(_sender: object, **fields: object) -> None:
        heard.append(fields)

    observe.run_finished.connect(broken)
    observe.run_finished.connect(listens)
    observe.send(observe.run_finished, run_id="r", function_id="f", status="failed", output=None)
    assert heard == [{"run_id": "r", "function_id": "f", "status": "failed", "output": None}]
