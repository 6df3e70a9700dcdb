"""What Flower shows of real tasks."""

import re
import sys

import requests

from tests.acceptance.test_workers import Installation, api, installation
from tests.endpoint import send, statuses
from tests.processes import LOOPBACK, Process, answers, free_port, wait_until

__all__ = ["api", "installation"]


def test_flower_shows_names_arguments_and_states_of_tasks(
    installation: Installation,
) -> None:
    url, port = installation.api.url, free_port()
    flower_url = f"http://{LOOPBACK}:{port}"
    argv = [sys.executable, "-m", "celery", "-A", "inngest_py", "flower"]
    argv += [f"--port={port}", f"--address={LOOPBACK}"]
    env = {**installation.env, "FLOWER_UNAUTHENTICATED_API": "true"}
    flower = Process(argv, installation.folder / "flower.log", env)
    with flower, installation.worker("one", "gevent") as worker:
        flower.start().wait_ready(lambda: answers(flower_url))
        worker.start().wait_ready(lambda: installation.workers() == 1)
        send(url, 1)
        wait_until(lambda: statuses(url) == {"completed": 1}, 30, "the run to complete")

        def tasks() -> list[dict[str, str]]:
            found = requests.get(f"{flower_url}/api/tasks", timeout=10).json().values()
            return [task for task in found if task["state"] == "SUCCESS"]

        task = wait_until(tasks, 30, "Flower to show the task")[0]
        assert task["name"] == "inngest.start"
        assert re.fullmatch(r"start …[0-9A-Z]{8}", task["args"])
        assert task["result"] in ("0", "1")
        assert worker.terminate() == 0
