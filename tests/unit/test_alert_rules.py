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
    tell(
        tmp_path,
        {name: f"{n}x20" for name, n in series.items()},
        [expected(name, name == fires) for name in PRESENCE],
    )


def tell(tmp_path: Path, series: dict[str, str], told: list[dict[str, Any]]) -> None:
    """Give series to the rules, a value each 15 seconds, and look at what they tell."""
    state = {
        "interval": "15s",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "alert_rule_test": told,
    }
    file = tmp_path / "state.json"  # JSON is YAML, too
    file.write_text(
        json.dumps({"rule_files": [str(RULES)], "evaluation_interval": "15s", "tests": [state]})
    )
    tried("test", "rules", file)


@promtool
@pytest.mark.parametrize(
    ("values", "fires"), [("2x20", False), ("2x5 3x15", True), ("3 2x20", False)]
)
def test_an_error_that_was_not_open_before_is_told(
    tmp_path: Path, values: str, fires: bool
) -> None:
    series = {f'inngest_errors{{instance="{n}",state="open"}}': values for n in range(2)}
    tell(tmp_path, series, [expected("InngestNewError", fires)])


@promtool
def test_prometheus_takes_rules_and_settings(tmp_path: Path) -> None:
    tried("check", "rules", RULES)
    settings = yaml.safe_load((RULES.parent / "prometheus.yml").read_text())
    settings["rule_files"] = [str(RULES)]  # where it lies here
    file = tmp_path / "prometheus.yml"
    file.write_text(yaml.safe_dump(settings))
    tried("check", "config", file)
