"""The house: how large its rooms are, who may ask which database it is, and where links lead."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "inngest_py"
MODULES = sorted(PACKAGE.rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
_LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
_WHICH_DATABASE = re.compile(r"dialect\.name")


def test_files_and_functions_are_short() -> None:
    long = [str(file) for file in (*MODULES, *TESTS) if file.read_text().count("\n") >= 400]
    for file in (*MODULES, *TESTS):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > 50:
                    long.append(f"{file}: {node.name} has {lines} lines")
    assert long == []


def test_a_folder_holds_few_modules() -> None:
    folders = {file.parent for file in MODULES if file.parent.name != "versions"}
    counts = {
        str(folder.relative_to(ROOT)): len(
            [file for file in folder.glob("*.py") if not file.name.startswith("__")]
        )
        for folder in folders
    }
    assert {folder: count for folder, count in counts.items() if count > 20} == {}


def test_only_the_database_room_asks_which_database_it_is() -> None:
    room = PACKAGE / "storage" / "db"
    elsewhere = [
        str(file.relative_to(ROOT))
        for file in MODULES
        if not file.is_relative_to(room)
        and file.parent.name != "versions"
        and _WHICH_DATABASE.search(file.read_text())
    ]
    assert elsewhere == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.name))
def test_links_of_documents_lead_somewhere(document: Path) -> None:
    links = [link for link in _LINK.findall(document.read_text()) if "://" not in link]
    missing = [link for link in links if not (document.parent / link).exists()]
    assert missing == []
