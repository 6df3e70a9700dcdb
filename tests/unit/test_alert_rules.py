"""Prometheus' own tool tries the alert rules: who is told what, state by state."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.processes import ROOT

RULES = ROOT / "docker" / "prometheus" / "rules.yml"
PRESENCE = ("InngestNoWorkers", "InngestNoWorkersNoBroker", "InngestBrokerAway")

promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")


def tried(*arguments: str | Path) -> None:
    done = subprocess.run(
        ["promtool", *map(str, arguments)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr


def expected(name: str, fires: bool) -> dict[str, Any]:
    """Say what fires three minutes on, with its labels and its words."""
    groups = yaml.safe_load(RULES.read_text())["groups"]
    [rule] = [rule for group in groups for rule in group["rules"] if rule["alert"] == name]
    told = {"exp_labels": rule["labels"], "exp_annotations": rule["annotations"]}
    return {"alertname": name, "eval_time": "3m", "exp_alerts": [told] if fires else []}


@promtool
@pytest.mark.parametrize(
    ("workers", "brokers", "fires"),
    [
        (2, (1,), None),
        (2, (0,), "InngestBrokerAway"),
        (0, (1,), "InngestNoWorkers"),
        (0, (0,), "InngestNoWorkersNoBroker"),
        # one API of two cannot reach it
        (2, (1, 0), "InngestBrokerAway"),
        (0, (1, 0), "InngestNoWorkers"),
        # without the database nobody knows the workers
        (None, (1,), None),
        (None, (0,), "InngestBrokerAway"),
        # nobody says anything of the broker
        (0, (), "InngestNoWorkers"),
    ],
)
def test_of_workers_and_broker_one_alert_fires_that_says_which_is_gone(
    tmp_path: Path, workers: int | None, brokers: tuple[int, ...], fires: str | None
) -> None:
    series = {f'inngest_broker_up{{instance="{n}"}}': up for n, up in enumerate(brokers)}
    if workers is not None:
        for n in range(max(1, len(brokers))):
            series[f'inngest_workers{{instance="{n}"}}'] = workers
    state = {
        "interval": "15s",
        "input_series": [{"series": name, "values": f"{n}x20"} for name, n in series.items()],
        "alert_rule_test": [expected(name, name == fires) for name in PRESENCE],
    }
    file = tmp_path / "state.json"  # JSON is YAML, too
    file.write_text(
        json.dumps({"rule_files": [str(RULES)], "evaluation_interval": "15s", "tests": [state]})
    )
    tried("test", "rules", file)


@promtool
def test_prometheus_takes_rules_and_settings(tmp_path: Path) -> None:
    tried("check", "rules", RULES)
    settings = yaml.safe_load((RULES.parent / "prometheus.yml").read_text())
    settings["rule_files"] = [str(RULES)]  # where it lies here
    file = tmp_path / "prometheus.yml"
    file.write_text(yaml.safe_dump(settings))
    tried("check", "config", file)
