"""A connected worker: the Python SDK in a process without a port."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import requests

from inngest_py.domain.values import ids
from tests.processes import Process

from . import node_runtime
from .apps import effects

KIND = "python-connect"
READY = 1  # of the numbers of connect.md
CONNECTED = (KIND, "ts-connect")


class ConnectWorker(Process):
    """One worker; its app's id is its kind, its events are `<kind>/<scenario>`."""

    def __init__(
        self,
        server_url: str,
        folder: Path,
        env: Mapping[str, str | None] | None = None,
        *,
        kind: str = KIND,
        instance: str = "worker-1",
        effects: Path | None = None,
        prefix: Sequence[str] = (),
    ) -> None:
        """Prepare it in dev mode; `env` comes on top, and `prefix` before its command."""
        self.kind, self.instance, self._server_url = kind, instance, server_url
        self.effects_path = effects or folder / f"{kind}.effects"
        super().__init__(
            [*prefix, *_argv(kind, instance)],
            log=folder / f"{instance}.log",
            env={
                "INNGEST_DEV": server_url,
                "EFFECTS": str(self.effects_path),
                # a developer's own settings must not reach the app
                "INNGEST_SIGNING_KEY": None,
                "INNGEST_SIGNING_KEY_FALLBACK": None,
                "INNGEST_EVENT_KEY": None,
                **(env or {}),
            },
        )

    def start(self) -> Self:
        """Start it and wait until it is connected, and ready for calls."""
        super().start()
        app = ids.app_id(self.kind)  # another app's worker of this name may just have been stopped
        return self.wait_ready(lambda: self.instance in ready_workers(self._server_url, app))

    def effects(self, run_id: str | None = None) -> list[dict[str, Any]]:
        """What its step bodies did, in order, in one run or in all."""
        lines = effects.written(self.effects_path)
        return [line for line in lines if run_id in (None, line["run_id"])]


def ready_workers(server_url: str, app_id: str | None = None) -> list[str]:
    """Name the workers that are ready, once for each connection: those of an app, or all."""
    reply = requests.get(f"{server_url}/v0/connect/envs/dev/conns", timeout=5)
    ready = [one for one in reply.json()["data"] if one["status"] == READY]
    if app_id is not None:
        ready = [one for one in ready if app_id in one["synced_worker_groups"].values()]
    return [one["instance_id"] for one in ready]


def _argv(kind: str, instance: str) -> list[str]:
    if kind.startswith("ts-"):
        script, folder = node_runtime.HERE / "connect.mjs", node_runtime.installed("v4")
        return [str(node_runtime.NODE), str(script), kind, str(folder), instance]
    return [sys.executable, "-m", "tests.sdk.apps.connect_app", kind, instance]
