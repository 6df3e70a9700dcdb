"""Flags of `dev` and `start` do what their help says, with a real app."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import requests
from click.testing import CliRunner

from inngest_py.cli import cli
from inngest_py.cli.serve import start
from tests.processes import Server, free_port, wait_until
from tests.sdk.app_process import SdkApp
from tests.sdk.client import Api
from tests.servers import Valkey

KIND = "python-flask"


def synced(api: Api) -> bool:
    return bool(api.functions(KIND))


def test_flags_of_dev(tmp_path: Path) -> None:
    port, log, file = free_port(), tmp_path / "server.log", tmp_path / "new" / "x.db"
    with SdkApp(KIND, f"http://127.0.0.1:{port}", tmp_path).start() as app:
        args = ("-u", app.url.removeprefix("http://"), "--poll-interval", "0.2", "--json")
        args += ("--retry-interval", "1", "--tick", "50", "--concurrency", "3", "--grace", "2")
        args += ("--db", str(file), "--log-level", "debug", "--no-discovery", "--no-ui")
        with Server("dev", *args, log=log, port=port).start() as server:
            api = Api(server.url)
            wait_until(lambda: synced(api), 20, "the app to be known")
            run = api.run(api.send(f"{KIND}/retry"), timeout=15)
            assert run["status"] == "Completed"
            shell_looks_at_runs(server, run["run_id"])
            shell_skips_a_wait(server, api)
            shell_follows_runs(server, api)
            assert server.terminate() == 0
    assert file.exists()
    events = [json.loads(line)["event"] for line in log.read_text().splitlines()]
    assert "server.ready" in events
    assert {"attempt.failed", "run.ended"} <= set(events)


def shell_looks_at_runs(server: Server, run_id: str) -> None:
    """Ask for runs as users of the command line do."""
    said = {
        words: CliRunner().invoke(cli, ["runs", *words, "--url", server.url]).output
        for words in (("list",), ("list", "--function", "none"), ("cancel", run_id))
    }
    assert run_id in said["list",]
    assert "--function: there is no function none" in said["list", "--function", "none"]
    assert "had ended already: completed" in said["cancel", run_id]
    wrong = CliRunner().invoke(cli, ["runs", "list", "--status", "banana", "--url", server.url])
    assert "status: Must be one of: queued" in wrong.output


def shell_skips_a_wait(server: Server, api: Api) -> None:
    """Skip a sleep of an hour."""
    event_id = api.send(f"{KIND}/nap")
    [run] = wait_until(lambda: api.runs(event_id), 20, "the run")
    why = ["runs", "why", run["run_id"], "--url", server.url]
    wait_until(lambda: "Sleeps in" in CliRunner().invoke(cli, why).output, 20, "the sleep")
    wrong, right, late = [
        CliRunner().invoke(cli, ["runs", "skip", run["run_id"], *step, "--url", server.url])
        for step in (("--step", "other"), ("--step", "nap"), ())
    ]
    assert "Error: no step 'other' of this run waits: what waits is 'nap'" in wrong.output
    assert right.output.startswith("step 'nap': its sleep, due at 20")
    assert "Error: " in late.output
    assert api.run(event_id, timeout=15)["status"] == "Completed"


def shell_follows_runs(server: Server, api: Api) -> None:
    """Follow runs until Ctrl-C, which ends the command without a word."""
    argv = [sys.executable, "-m", "inngest_py", "tail", "--since", "1h", "--url", server.url]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as tail:
        assert tail.stdout is not None
        seen = [tail.stdout.readline() for _ in range(2)]
        tail.send_signal(signal.SIGINT)
        rest, wrong = tail.communicate(timeout=10)
    assert (tail.returncode, wrong) == (0, "")
    assert f"{KIND}-" in seen[0]
    assert {line.split()[1] for line in [*seen, *rest.splitlines()]} == {"started", "completed"}


def test_flags_name_a_trusted_proxy(tmp_path: Path) -> None:
    env = {"INNGEST_DEV": None, "INNGEST_SIGNING_KEY": "ab" * 16, "INNGEST_EVENT_KEY": "k"}
    args = ("--database-url", f"sqlite:///{tmp_path / 'x.db'}", "--ui-proxy-header", "X-User")
    args += ("--ui-proxy", "127.0.0.1", "--ui-proxy", "192.0.2.0/24", "--ui-proxy-role", "admin")
    with Server("start", *args, log=tmp_path / "server.log", env=env).start() as server:
        seen = {
            name: requests.get(
                f"{server.url}/audit",
                headers={"X-User": name} if name else {},
                allow_redirects=False,
                timeout=30,
            )
            for name in ("ann", "")
        }
    assert seen["ann"].status_code == 200
    assert "ann" in seen["ann"].text
    assert seen[""].status_code == 303
    assert seen[""].headers["Location"] == "/login?next=/audit"


def test_start_has_the_flag_no_ui() -> None:
    assert start.make_context("start", ["--no-ui"]).params["ui"] is False
    assert start.make_context("start", []).params["ui"] is None


def test_settings_of_start_in_a_file(tmp_path: Path, postgres_url: str, valkey: Valkey) -> None:
    port, log, file = free_port(), tmp_path / "server.log", tmp_path / "c.toml"
    with SdkApp(KIND, f"http://127.0.0.1:{port}", tmp_path).start() as app:
        file.write_text(
            f"dev = true\nsdk-url = ['{app.url}']\nworkers = 1\njson_logs = true\n"
            f"database_url = '{postgres_url}'\nredis_url = '{valkey.url}'\nconcurrency = 5\n"
        )
        env = {"INNGEST_DEV": None}
        with Server("start", "--config", str(file), log=log, port=port, env=env).start() as server:
            api = Api(server.url)
            wait_until(lambda: synced(api), 20, "the app to be known")
            assert api.run(api.send(f"{KIND}/sequential"))["output"] == [1, 2, 3]
            assert server.terminate() == 0
    events = [json.loads(line)["event"] for line in log.read_text().splitlines() if line[:1] == "{"]
    assert {"server.ready", "worker.ready"} <= set(events)
