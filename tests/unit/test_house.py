"""The house: sizes of rooms, how much is untyped, who asks which database, where links lead."""

import ast
import re
from graphlib import TopologicalSorter
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "inngest_py"
MODULES = sorted(PACKAGE.rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
# Imports inside a function, and why each is late.
LATE = {
    "inngest_py/__main__.py": ["gevent", "cli"],  # gevent's patch comes before all others
    "inngest_py/api/graphql/route.py": ["request", "server"],  # on first use
    "inngest_py/celery.py": [
        *(".", "config_reading", "domain.errors", "tasks.app", "tasks.kombu.gevent_patching"),
        "tasks.kombu.quiet",  # in workers only
    ],  # while no garbage is collected
    "inngest_py/cli/celery/apps.py": ["api.native"],  # slow: only for the schema
    "inngest_py/cli/check.py": ["kombu.exceptions", "tasks.app"],  # slow: only with a broker
    "inngest_py/cli/outbox.py": ["sdk.outbox.relay", "sdk.outbox.table"],  # an extra
    "inngest_py/config_checks.py": ["kombu.transport"],  # slow: only with a broker
    "inngest_py/sdk/__init__.py": ["checkpoints", "checkpoints"],  # for types; needs the SDK
    "inngest_py/sdk/checkpoints/buffers.py": ["internals"],  # for types
    "inngest_py/sdk/checkpoints/middleware.py": ["calls"],  # needs internals that it checks before
    "inngest_py/sdk/databases/choose.py": [  # only for who passes one of theirs
        *("with_django", "with_sqlalchemy") * 2,
    ],
    "inngest_py/sdk/internals.py": [  # another version of the SDK may lack them
        "inngest._internal.execution_lib",
        "inngest._internal.server_lib",
        "inngest._internal.step_lib",
        "inngest._internal.step_lib.base",
        "inngest._internal.types",
        "inngest._internal.run_context",
        "inngest._internal.execution_lib.models",
    ],
    # after the other server's set-up; for types
    "inngest_py/serving/hosted.py": ["hosted_process", "hosted_process"],
    # psycopg2 only for PostgreSQL; for types
    "inngest_py/storage/db/session.py": ["connection", ".", "connection"],
    "inngest_py/storage/schema/migrate.py": ["alembic", "alembic.config"],  # slow: rarely needed
    "inngest_py/tasks/celery_apps/brokers.py": ["."],  # Redis' package only for who has it
    "inngest_py/tasks/celery_apps/service.py": [  # only for who has a Celery app; for types
        *("answers", "watching") * 2,
    ],
    "inngest_py/testing/__init__.py": [  # for types; what is used loads the engine
        *("cases", "errors", "harness", "importlib"),
    ],
    "inngest_py/testing/apps/client_app.py": ["inngest._internal"],  # it warns
    "inngest_py/testing/apps/served.py": ["client_app"],  # only for who passes a client
    "inngest_py/testing/cases.py": ["unittest"],  # for types: it is a mixin
    "inngest_py/testing/plugin.py": [  # pytest loads this in every project
        *("harness", "named_apps", "."),
    ],
    "inngest_py/tracing.py": [  # an extra
        "opentelemetry.exporter.otlp.proto.http.trace_exporter",
        "opentelemetry.sdk.trace.export",
        "opentelemetry.sdk.resources",
        "opentelemetry.sdk.trace",
        "opentelemetry.sdk.trace.id_generator",
        "opentelemetry",
    ],
}
_LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
_ANY = re.compile(r"\bAny\b")
_MOST_ANY = 311  # lower it when there are fewer
_INSTEAD_OF_ANY = """Any stands {count} times in inngest_py, {most} times are allowed. Write:
- object, where a value is only passed on, or checked by isinstance
- JsonObject (domain/values/json_types.py), or Mapping[str, object] for what is only read
- Record, RowValues, Query and others (storage/db/row_types.py), ItemRow (storage/queue), RowMapping
- a TypedDict, NamedTuple or dataclass for what is read by key; a Protocol for a foreign object
Any is for packages without types, and for arithmetic on values whose types were compared."""
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


def test_queries_write_nothing() -> None:
    """Edges may call all of them, so none may go past the guards of the engine."""
    writes = re.compile(r"\b(insert|update|delete|upsert|with_for_update|db\.statements)\b")
    queries = PACKAGE / "storage" / "queries"
    found = [file.name for file in queries.glob("*.py") if writes.search(file.read_text())]
    assert found == []


def imported_late(file: Path) -> list[str]:
    """List the modules that a file imports elsewhere than at its top."""
    tree = ast.parse(file.read_text())
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    late = sorted((node for node in imports if node not in tree.body), key=lambda node: node.lineno)
    return [
        name
        for node in late
        for name in (
            [node.module or "."]
            if isinstance(node, ast.ImportFrom)
            else [alias.name for alias in node.names]
        )
    ]


def test_late_imports_are_known() -> None:
    found = {str(file.relative_to(ROOT)): imported_late(file) for file in MODULES}
    assert {file: names for file, names in found.items() if names} == LATE


def test_no_modules_import_each_other() -> None:
    """Late imports count, too."""
    graph = grimp.build_graph("inngest_py", cache_dir=None)
    imports = {name: graph.find_modules_directly_imported_by(name) for name in graph.modules}
    assert len(imports) > 400
    TopologicalSorter(imports).prepare()  # raises CycleError, which names the cycle


def test_any_stands_only_where_the_outside_is_untyped() -> None:
    count = sum(len(_ANY.findall(file.read_text())) for file in MODULES)
    assert count <= _MOST_ANY, _INSTEAD_OF_ANY.format(count=count, most=_MOST_ANY)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.name))
def test_links_of_documents_lead_somewhere(document: Path) -> None:
    links = [link for link in _LINK.findall(document.read_text()) if "://" not in link]
    missing = [link for link in links if not (document.parent / link).exists()]
    assert missing == []
