"""A Celery worker's log: where `--logfile` says, JSON from the first line, and short refusals."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import Process, wait_until
from tests.servers import Valkey

CELERY = (sys.executable, "-m", "celery", "-A", "inngest_py")
KEYS = {"INNGEST_EVENT_KEY": "k" * 16, "INNGEST_SIGNING_KEY": "ab" * 16}


def environment(url: str, broker: str, **more: str) -> dict[str, str]:
    return {"DATABASE_URL": url, "REDIS_URL": broker, **KEYS, **more}


@pytest.mark.parametrize(
    ("pool", "name"), [("gevent", "w.log"), ("prefork", "w.log"), ("prefork", "w-%i.log")]
)
def test_logfile_gets_the_log(
    migrated_sqlite: Path, valkey: Valkey, tmp_path: Path, pool: str, name: str
) -> None:
    env = environment(f"sqlite:///{migrated_sqlite}", valkey.url, INNGEST_JSON_LOGS="1")
    command = [*CELERY, "worker", "-P", pool, "-c", "1", "--logfile", str(tmp_path / name)]
    worker = Process([*command, "--loglevel", "INFO"], tmp_path / "output", env).start()
    file = tmp_path / name.replace("%i", "0")
    try:
        worker.wait_ready(lambda: file.exists() and "worker.ready" in file.read_text())
        wait_until(lambda: " ready." in file.read_text(), 30, "Celery's own line")
    finally:
        worker.terminate()
    # before it has the file, Celery may warn of a worker that root runs
    outside = events(tmp_path / "output")
    assert set(outside) <= {"py.warnings"}
    assert "worker.ready" in events(file)


def test_every_log_line_is_json(migrated_sqlite: Path, valkey: Valkey, tmp_path: Path) -> None:
    env = environment(f"sqlite:///{migrated_sqlite}", valkey.url, INNGEST_KEEP_RUN="30d")
    command = [sys.executable, "-m", "inngest_py", "worker", "--json", "--concurrency", "2"]
    worker = Process(command, tmp_path / "output", env).start()
    try:
        worker.wait_ready(lambda: "worker.ready" in (tmp_path / "output").read_text())
    finally:
        worker.terminate()
    lines = [json.loads(line) for line in (tmp_path / "output").read_text().splitlines()]
    told = [line["text"] for line in lines if line["event"] == "server.warning"]
    assert "INNGEST_KEEP_RUN is not a setting: did you mean INNGEST_KEEP_RUNS?" in told


def events(log: Path) -> list[str]:
    return [json.loads(line)["event"] for line in log.read_text().splitlines()]


@pytest.mark.parametrize("command", [("worker", "-P", "solo"), ("inspect", "ping")])
def test_unusable_settings_end_celery_with_sentences(command: tuple[str, ...]) -> None:
    env = {"INNGEST_PORT": "x", "INNGEST_TICK_MS": "0", "DATABASE_URL": "mysql://u:hidden@h/x"}
    done = ended([*CELERY, *command], env)
    assert [line.partition(" ")[0] for line in done] == ["error:"] * 3
    for told, line in zip(("INNGEST_PORT='x'", "--tick", "not supported"), done, strict=True):
        assert told in line


def test_refusal_is_json_if_the_log_is() -> None:
    env = {"INNGEST_JSON_LOGS": "1", "INNGEST_PORT": "0"}
    for command in ([*CELERY, "worker"], [sys.executable, "-m", "inngest_py", "start"]):
        found = [json.loads(line) for line in ended(command, env)]
        assert {line["event"] for line in found} == {"server.refused"}
        assert "--port" in found[0]["text"]


def test_log_file_that_cannot_be_opened_is_reported(tmp_path: Path) -> None:
    file = tmp_path / "none" / "w.log"
    command = [*CELERY, "worker", "-P", "solo", "--logfile", str(file)]
    # before it, Celery may warn of a worker that root runs
    *_, line = ended(command, {"DATABASE_URL": f"sqlite:///{tmp_path / 'x.db'}", **KEYS})
    assert line == f"error: the log file {file} cannot be opened: No such file or directory"


def ended(command: list[str], env: dict[str, str]) -> list[str]:
    """Run a command that must fail by itself; return its output."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("INNGEST_")}
    done = subprocess.run(
        command, env=clean | env, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode != 0
    assert "hidden" not in done.stdout + done.stderr
    return (done.stdout + done.stderr).splitlines()
