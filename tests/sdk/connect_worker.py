"""A connected worker: the Python SDK in a process without a port."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from tests.processes import Process

from . import node_runtime
from .client import Api

KIND = "python-connect"
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
    ) -> None:
        """Prepare it in dev mode; `env` comes on top."""
        self.kind, self.instance, self._server_url = kind, instance, server_url
        self.effects_path = effects or folder / f"{kind}.effects"
        super().__init__(
            _argv(kind, instance),
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
        """Start it and wait until its functions are known."""
        super().start()
        api = Api(self._server_url)
        return self.wait_ready(lambda: bool(api.functions(self.kind)))

    def effects(self, run_id: str | None = None) -> list[dict[str, Any]]:
        """What its step bodies did, in order, in one run or in all."""
        if not self.effects_path.exists():
            return []
        lines = [json.loads(line) for line in self.effects_path.read_text().splitlines()]
        return [line for line in lines if run_id in (None, line["run_id"])]


def _argv(kind: str, instance: str) -> list[str]:
    if kind.startswith("ts-"):
        script, folder = node_runtime.HERE / "connect.mjs", node_runtime.installed("v4")
        return [str(node_runtime.NODE), str(script), kind, str(folder), instance]
    return [sys.executable, "-m", "tests.sdk.apps.connect_app", kind, instance]
