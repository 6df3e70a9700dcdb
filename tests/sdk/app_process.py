"""A real SDK app as a subprocess: started, registered with a server, stopped and killed."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import requests

from tests.processes import LOOPBACK, Process, free_port

from . import node_runtime
from .apps import effects

# the TypeScript SDK 4 sends checkpoints by default: here one step per call, or in batches
KINDS = (
    *("python-flask", "python-flask-checkpoints", "python-fastapi", "python-fastapi-checkpoints"),
    *("ts-v4", "ts-v4-buffered", "ts-v4-classic", "ts-v3"),
)
_OWN = (
    "steps",
    "cron",
    "defers",
    "endpoint",
    "extras",
    "flow",
    "realtime",
    "replay",
)  # ways that are apps of their own


class SdkApp(Process):
    """One app; its Inngest app id is its kind, its events are `<kind>/<scenario>`."""

    def __init__(
        self,
        kind: str,
        server_url: str,
        folder: Path,
        env: Mapping[str, str | None] | None = None,
    ) -> None:
        """Prepare it in dev mode; `env` comes on top."""
        self.kind = kind
        self.port = free_port()
        self.effects_path = folder / f"{kind}.effects"
        super().__init__(
            _argv(kind, self.port),
            log=folder / f"{kind}.log",
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

    @property
    def url(self) -> str:
        """Its serve endpoint."""
        return f"http://{LOOPBACK}:{self.port}/api/inngest"

    def start(self) -> Self:
        """Start it and wait until its endpoint introduces itself."""
        super().start()
        return self.wait_ready(lambda: self.introduction() is not None)

    def introduction(self) -> dict[str, Any] | None:
        """What it answers to GET, None while it does not."""
        try:
            reply = requests.get(self.url, timeout=5)
        except requests.RequestException:
            return None
        if reply.status_code != 200 or "x-inngest-sdk" not in reply.headers:
            return None
        found: dict[str, Any] = reply.json()
        return found

    def register(self) -> requests.Response:
        """Let the app register its functions with the server, as a deployment hook does."""
        return requests.put(self.url, timeout=20)

    def effects(self, run_id: str | None = None) -> list[dict[str, Any]]:
        """What its step bodies did, in order, in one run or in all."""
        lines = effects.written(self.effects_path)
        return [line for line in lines if run_id in (None, line["run_id"])]


def _argv(kind: str, port: int) -> list[str]:
    language, variant, *way = kind.split("-")
    if language == "python" and variant in (
        "cron",
        "effects",
        "extras",
        "flow",
        "leaving",
        "realtime",
        "steps",
    ):
        return [sys.executable, "-m", f"tests.sdk.apps.{variant}_app", kind, str(port)]
    if language == "python":
        return [sys.executable, "-m", "tests.sdk.apps.python_app", kind, str(port)]
    script = node_runtime.HERE / (f"{way.pop(0)}.mjs" if way[:1] and way[0] in _OWN else "app.mjs")
    folder = node_runtime.installed(variant)
    return [str(node_runtime.NODE), str(script), kind, str(folder), str(port), *way]
