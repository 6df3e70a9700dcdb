"""celeryconfig.py: the file an operator edits and the one in the package are the same."""

from pathlib import Path

from inngest_py.config_reading import load
from inngest_py.domain.items import ItemKind
from inngest_py.tasks import celeryconfig as packaged
from inngest_py.tasks.app import create_celery
from inngest_py.tasks.publishing import task_name

ROOT = Path(__file__).resolve().parents[2]


def test_both_files_are_the_same() -> None:
    assert (ROOT / "celeryconfig.py").read_text() == Path(packaged.__file__).read_text()


def test_every_kind_has_its_task_queue_and_route() -> None:
    app = create_celery(load({"database_url": "sqlite://"}, {}))
    for kind in ItemKind:
        assert task_name(kind) in app.tasks
        assert packaged.task_routes[task_name(kind)]["queue"] in packaged.task_queues
    assert app.conf.task_acks_late is False
