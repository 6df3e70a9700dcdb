"""celeryconfig.py: the file that an operator edits is the same as the one in the package."""

import logging
import sys
from pathlib import Path

import pytest

from inngest_py.config_reading import load
from inngest_py.domain.errors import Invalid
from inngest_py.domain.runs.items import ItemKind
from inngest_py.tasks import celeryconfig as packaged
from inngest_py.tasks.app import create_celery
from inngest_py.tasks.kombu.publishing import task_name

ROOT = Path(__file__).resolve().parents[2]


def test_both_files_are_the_same() -> None:
    assert (ROOT / "celeryconfig.py").read_text() == Path(packaged.__file__).read_text()


def test_every_kind_has_its_task_queue_and_route() -> None:
    app = create_celery(load({"database_url": "sqlite://"}, {}))
    for kind in ItemKind:
        assert task_name(kind) in app.tasks
        assert packaged.task_routes[task_name(kind)]["queue"] in packaged.task_queues
    assert app.conf.task_acks_late is False


SHOPS = """
raise AssertionError("somebody else's file is run")
task_default_queue = "shop"
"""
OURS = """
configures = "inngest_py"
task_default_queue = "mine"
worker_enable_remote_control = False
broker_transport_options = {"master_name": "primary", "region": "eu-central-1"}
"""


def put(folder: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a celeryconfig.py that is found first."""
    file = folder / "celeryconfig.py"
    file.write_text(text)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "celeryconfig", raising=False)
    return file


def test_a_file_of_another_program_is_named_and_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    file = put(tmp_path, SHOPS, monkeypatch)
    with caplog.at_level(logging.WARNING, "inngest_py"):
        app = create_celery(load({"database_url": "sqlite://"}, {}))
    assert app.conf.task_default_queue == packaged.task_default_queue
    [event] = [one for one in caplog.records if one.message == "celeryconfig.ignored"]
    assert event.__dict__["fields"]["file"] == str(file)
    assert 'configures = "inngest_py"' in event.__dict__["fields"]["text"]


@pytest.mark.parametrize("broken", ["raise ValueError('no')", "import nothing_of_the_kind", "1 +"])
def test_a_file_that_is_broken(
    broken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, f'configures = "inngest_py"\n{broken}\n', monkeypatch)
    with pytest.raises(Invalid, match=r"celeryconfig\.py cannot be imported"):
        create_celery(load({"database_url": "sqlite://"}, {}))


@pytest.mark.parametrize(
    ("url", "is_redis"),
    [
        ("redis://h:1/0", True),
        ("rediss://h:1/0", True),
        ("sentinel://h:1;sentinel://i:1", True),
        ("amqp://redis-user@h:1//", False),
        ("sqs://", False),
    ],
)
def test_every_broker_gets_its_options(
    url: str, is_redis: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, OURS, monkeypatch)
    app = create_celery(load({"database_url": "sqlite://", "broker_url": url}, {}))
    options = app.conf.broker_transport_options
    assert (options["master_name"], options["region"]) == ("primary", "eu-central-1")
    assert ("visibility_timeout" in options) is is_redis
    assert options.get("max_retries") == (url.count(";") if is_redis else None)
    assert app.conf.worker_enable_remote_control is False
    assert app.conf.task_default_queue == "mine"


def test_our_own_file_is_marked(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.syspath_prepend(ROOT)
    monkeypatch.delitem(sys.modules, "celeryconfig", raising=False)
    create_celery(load({"database_url": "sqlite://"}, {}))
    assert not caplog.records
