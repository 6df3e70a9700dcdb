"""`backup` and `restore` as commands: what they say, and which database they take."""

import json
from pathlib import Path

from inngest_py.storage.db.session import Database
from inngest_py.storage.schema import migrate
from tests.command import command


def test_a_backup_is_made_and_restored(tmp_path: Path) -> None:
    one, two, file = (str(tmp_path / name) for name in ("one.db", "two.db", "b"))
    missing = command("backup", file, "--db", one)
    assert (missing.exit_code, missing.output) == (1, f"Error: there is no database at {one}\n")
    made = Database(f"sqlite:///{one}")
    migrate.prepare(made)
    made.close()
    told = command("backup", file, "--db", one).output
    assert told.startswith(f"{file}: 0.") and told.endswith("MB, a copy of SQLite's file\n")
    nothing = "0 functions, 0 events, 0 runs, of which 0 have not ended"
    restored = command("restore", file, "--db", two).output
    assert restored == f"{file}: {nothing}; the schema is at {migrate.head()}\n"
    found = json.loads(
        command("restore", file, "--database-url", f"sqlite:///{two}", "--json").stdout
    )
    assert (found["form"], found["revision"], found["runs"]) == ("sqlite", migrate.head(), 0)


def test_wrong_arguments_are_named(tmp_path: Path) -> None:
    gone, two = str(tmp_path / "gone"), str(tmp_path / "two.db")
    refused = command("restore", gone, "--db", two)
    assert (refused.exit_code, f"there is no file {gone}" in refused.output) == (2, True)
    both = command("backup", gone, "--db", two, "--database-url", f"sqlite:///{two}")
    assert (both.exit_code, "give one of them" in both.output) == (2, True)
    assert list(tmp_path.iterdir()) == []
