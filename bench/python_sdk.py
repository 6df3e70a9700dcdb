"""The real Python SDK with checkpointing and without: rates of `seq5`, and of steps of one run."""

import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from statistics import mean, median
from typing import Any

import orjson
import psutil

from tests.processes import LOOPBACK, Process, free_port

from . import load
from .python_app import APP, WAYS
from .server import Subject, cpu, fetch

FRAMEWORKS = ("fastapi", "flask")
_THREADS = 16
_PATIENCE_SECONDS = 300.0
_POLL_SECONDS = 0.02


def measure(subject: Subject, framework: str, runs: int, steps: int) -> dict[str, float]:
    """Measure bursts of `seq5`, then one run of many steps, by each way; figures by name."""
    figures: dict[str, float] = {}
    if subject.mode == "distributed":  # the limit is changed in the process of the API alone
        steps = min(steps, 900)
    with served(subject, framework) as (url, pid):
        for way in WAYS:
            _burst(subject, url, pid, way, 20)  # to warm up
        for way in WAYS:
            found = _burst(subject, url, pid, way, runs)
            figures[f"{way}_runs_s"] = runs / found["seconds"]
            figures[f"{way}_calls_run"] = found["calls"] / runs
            figures[f"{way}_cpu_ms_run"] = found["cpu"] * 1000 / runs
            figures[f"{way}_app_cpu_ms_run"] = found["app_cpu"] * 1000 / runs
            alone = _burst(subject, url, pid, way, 1, steps=100)
            figures[f"{way}_step_p50_ms"] = median(alone["gaps"]) * 1000
        for way in WAYS[1:]:
            limit = f"step-limit?functionId={APP}-{way}&limit={steps + 1}"
            fetch(f"{subject.server.url}/fn/{limit}", {})
            long = _burst(subject, url, pid, way, 1, steps=steps)
            figures[f"{way}_long_steps_s"] = steps / long["seconds"]
            figures[f"{way}_long_cpu_ms_step"] = long["cpu"] * 1000 / steps
            tenth = steps // 10
            figures[f"{way}_first_tenth_ms"] = mean(long["gaps"][:tenth]) * 1000
            figures[f"{way}_last_tenth_ms"] = mean(long["gaps"][-tenth:]) * 1000
    figures["long_steps"] = float(steps)
    return figures


def _burst(
    subject: Subject, url: str, pid: int, way: str, count: int, *, steps: int = 5
) -> dict[str, Any]:
    """Send events, wait for their runs, and say what was seen."""
    fetch(f"{url}/reset")
    server_cpu, app_cpu = subject.cpu_seconds(), _app_cpu(pid)
    began = time.time()
    if steps == 5:
        load.burst(subject.server.port, f"python-{way}", count)
    else:
        event = {"name": f"bench/python-{way}", "data": {"i": 0, "steps": steps}}
        fetch(f"{subject.server.url}/e/bench", event)
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while (seen := fetch(f"{url}/count"))["finished"] < count:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{seen['finished']} of {count} runs finished")
        time.sleep(_POLL_SECONDS)
    found: dict[str, Any] = fetch(f"{url}/stats")
    found["seconds"] = max(run[2] for run in found["runs"]) - began
    found["cpu"] = subject.cpu_seconds() - server_cpu
    found["app_cpu"] = _app_cpu(pid) - app_cpu
    return found


def _app_cpu(pid: int) -> float:
    parent = psutil.Process(pid)
    return sum(cpu(one) for one in (parent, *parent.children(recursive=True)))


@contextmanager
def served(
    subject: Subject, framework: str, env: Mapping[str, str] | None = None
) -> Iterator[tuple[str, int]]:
    """Start the app and let the server know it; yield its URL and the id of its process."""
    port = free_port()
    url = f"http://{LOOPBACK}:{port}"
    log = Path(subject.folder) / f"{framework}.log"
    process = Process(
        _argv(framework, port), log, {"INNGEST_DEV": subject.server.url, **(env or {})}
    )
    process.start().wait_ready(lambda: _answers(f"{url}/count"))
    try:
        request = urllib.request.Request(f"{url}/api/inngest", method="PUT", data=b"")
        with urllib.request.urlopen(request, timeout=30) as answer:
            orjson.loads(answer.read())
        yield url, process.pid
    except BaseException:
        print(process.log_tail(), file=sys.stderr)
        raise
    finally:
        process.kill9()


def _argv(framework: str, port: int) -> list[str]:
    if framework == "fastapi":
        quiet = ("--log-level", "warning", "--no-access-log")
        server = ["uvicorn", "bench.python_app:fastapi_app", "--factory", *quiet]
        return [sys.executable, "-m", *server, "--host", LOOPBACK, "--port", str(port)]
    server = ["gunicorn", "bench.python_app:flask_app()", "--threads", str(_THREADS)]
    return [sys.executable, "-m", *server, "--bind", f"{LOOPBACK}:{port}", "--keep-alive", "60"]


def _answers(url: str) -> bool:
    try:
        return fetch(url) is not None
    except OSError:
        return False
