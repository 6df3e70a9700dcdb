"""`inngest_py.sdk.steps` in functions of a connected worker."""

from pathlib import Path

import pytest

from tests.processes import Server

from .client import Api
from .connect_worker import ConnectWorker


@pytest.mark.parametrize("server", ["embedded"], indirect=True)
def test_map_race_and_compensate(server: Server, tmp_path: Path) -> None:
    api = Api(server.url)
    with ConnectWorker(server.url, tmp_path, instance="steps").start() as worker:
        items = [3, 1, 4, 1, 5]
        mapped = api.send(f"{worker.kind}/mapped", {"items": items, "concurrency": 2})
        raced = api.send(f"{worker.kind}/raced")
        booked = api.send(f"{worker.kind}/booked", {"how": "step"})
        assert api.run(mapped)["output"] == [item * 2 for item in items], worker.log_tail()
        assert api.run(raced)["output"] == ["quick", "then", "last"], worker.log_tail()
        assert api.run(booked)["output"]["message"] == "no room", worker.log_tail()
