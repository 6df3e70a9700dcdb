"""`start` with keys and SDKs in production mode: every call is signed and checked."""

from pathlib import Path

import pytest
import requests

from inngest_py.domain.access import signatures
from tests.processes import Process, Server, answers, free_port, wait_until

from .app_process import SdkApp
from .client import Api

EVENT_KEY = "an-event-key"
OLD, NEW, OTHER = "signkey-prod-12345678", "00aa11bb22cc33dd", "signkey-prod-ffff0000"
KINDS = ("python-flask", "ts-v4")
# the keys of the server and of the app, each with a fallback
ROTATION = {
    "settled": ((OLD,), (OLD,)),
    "the server first": ((NEW, OLD), (OLD,)),
    "the app first": ((OLD,), (NEW, OLD)),
}
_VARIABLES = ("INNGEST_SIGNING_KEY", "INNGEST_SIGNING_KEY_FALLBACK")


class Production:
    """A server with keys, told of an app in production mode with keys of its own."""

    def __init__(self, kind: str, folder: Path, server: tuple[str, ...], app: tuple[str, ...]):
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        env = {"INNGEST_DEV": "0", "INNGEST_BASE_URL": url, "INNGEST_EVENT_KEY": EVENT_KEY}
        env["NODE_ENV"] = "production"
        self.app = SdkApp(kind, url, folder, {**env, **dict(zip(_VARIABLES, app, strict=False))})
        keys = dict(zip(_VARIABLES, server, strict=False))
        args = ("--database-url", f"sqlite:///{folder / 'x.db'}", "-u", self.app.url)
        self.server = Server(
            *("start", *args, "--poll-interval", "0.5", "--log-level", "debug"),
            log=folder / "server.log",
            env={"INNGEST_DEV": None, "INNGEST_EVENT_KEY": EVENT_KEY, **keys},
            port=port,
        )
        self.api = Api(url, EVENT_KEY, signatures.bearer(server[-1]))

    def start_app(self) -> None:
        Process.start(self.app)

    def start_server(self) -> None:
        self.server.start()

    def error(self) -> str | None:
        """The error of the app's last sync."""
        found: str | None = self.api.apps()[0]["error"]
        return found

    def told(self) -> str:
        """What server and app have written."""
        return self.server.log_tail(10**6) + self.app.log_tail(10**6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", ROTATION)
def test_runs_continue_whichever_side_has_the_new_key(tmp_path: Path, kind: str, case: str) -> None:
    made = Production(kind, tmp_path, *ROTATION[case])
    with made.server, made.app:
        made.start_app()
        made.start_server()
        wait_until(lambda: made.api.functions(kind), 30, f"the app to sync\n{made.told()}")
        # several requests; state fetched with the key; an event sent with the event key
        events = [made.api.send(f"{kind}/{name}") for name in ("sequential", "large", "send")]
        runs = [made.api.run(event) for event in events]
        assert [run["status"] for run in runs] == ["Completed"] * 3, made.told()
        assert [run["output"] for run in runs[:2]] == [[1, 2, 3], 4_500_000]
        steps = made.app.effects(runs[0]["run_id"])
        wait_until(lambda: [e for e in made.app.effects() if e["step"] == "child"], 20, "the child")
        checked = made.api.replay_check(runs[0]["run_id"], made.app.url)
        assert (checked["changed"], made.app.effects(runs[0]["run_id"])) == (0, steps), checked
        assert made.error() is None
        for key in (OLD, NEW, EVENT_KEY):
            assert signatures.strip_prefix(key) not in made.server.log_tail(10**6)


@pytest.mark.parametrize("kind", KINDS)
def test_an_app_with_another_key_is_refused_and_shown(tmp_path: Path, kind: str) -> None:
    made = Production(kind, tmp_path, (NEW, OLD), (OTHER,))
    with made.server, made.app:
        made.start_app()
        made.start_server()
        wait_until(lambda: made.error() == "unauthorized", 30, "the refusal to be seen")
        assert "signing key" in made.api.apps()[0]["error_detail"]
        # requests of the app to the server are refused as well
        made.app.register()
        assert made.api.functions(kind) == []
        assert made.error() == "unauthorized"


def test_callers_without_keys_are_refused(tmp_path: Path) -> None:
    made = Production("python-flask", tmp_path, (OLD,), (OLD,))
    with made.server:
        made.start_server()
        url = made.server.url
        assert answers(f"{url}/health")
        for path in ("/v1/events", "/api/v1/runs", "/v0/runs/x/actions", "/dev"):
            assert requests.get(url + path, timeout=10).status_code == 401
        refused = requests.post(f"{url}/e/other", json={"name": "a/b"}, timeout=10)
        assert refused.status_code == 401
        assert made.api.send("a/b")
