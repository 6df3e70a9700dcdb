"""The dashboard and the alert rules use metrics and labels that exist."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import Counter, Histogram
from prometheus_client.core import GaugeMetricFamily

from inngest_py.config_reading import from_environment
from inngest_py.metrics.counters import Counters
from inngest_py.metrics.figures import Figures
from tests.engine.harness import Engine, prepared, sequence

DOCKER = Path(__file__).resolve().parents[2] / "docker"
_NAME = re.compile(r"\binngest_\w+")
_SELECTED = re.compile(r"\b(inngest_\w+)\{([^}]*)\}")
_LABEL = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)")
_GROUPED = re.compile(r"\bby \(([^)]*)\)")


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """List every series, by Prometheus' name, with its labels."""
    db = prepared(f"sqlite:///{tmp_path_factory.mktemp('known') / 'test.db'}")
    found: dict[str, set[str]] = {}
    for family in Figures(Engine(db, sequence()).ctx).collect():
        assert isinstance(family, GaugeMetricFamily)
        found[family.name] = set(family._labelnames)
    for metric in vars(Counters(lambda _: None)).values():
        if isinstance(metric, Counter):
            found[f"{metric._name}_total"] = set(metric._labelnames)
        elif isinstance(metric, Histogram):
            for end in ("bucket", "sum", "count"):
                found[f"{metric._name}_{end}"] = {*metric._labelnames, "le"}
    db.close()
    return found


def rules() -> list[dict[str, Any]]:
    loaded = yaml.safe_load((DOCKER / "prometheus" / "rules.yml").read_text())
    return [rule for group in loaded["groups"] for rule in group["rules"]]


def dashboard() -> dict[str, Any]:
    [file] = (DOCKER / "grafana" / "dashboards").glob("*.json")
    loaded: dict[str, Any] = json.loads(file.read_text())
    return loaded


def expressions() -> list[str]:
    shown = [target["expr"] for panel in dashboard()["panels"] for target in panel["targets"]]
    variables = [one["query"]["query"] for one in dashboard()["templating"]["list"]]
    return [*shown, *variables, *(rule["expr"] for rule in rules())]


def test_every_queried_metric_exists(known: dict[str, set[str]]) -> None:
    for expression in expressions():
        names = set(_NAME.findall(expression))
        assert names <= known.keys(), expression
        assert names or expression.startswith("up{"), expression
        for name, labels in _SELECTED.findall(expression):
            assert set(_LABEL.findall(labels)) <= known[name], expression
        for labels in _GROUPED.findall(expression):
            given = {label.strip() for label in labels.split(",")}
            assert all(given <= known[name] for name in names), expression
        assert expression.count("(") == expression.count(")"), expression


def test_every_metric_is_on_the_dashboard_or_in_a_rule(known: dict[str, set[str]]) -> None:
    asked = {name for expression in expressions() for name in _NAME.findall(expression)}
    bases = {re.sub("_(bucket|sum|count)$", "", name) for name in known}
    assert {name for name in bases if not any(one.startswith(name) for one in asked)} == set()


def test_every_rule_says_how_bad_it_is_and_what_it_means() -> None:
    for rule in rules():
        assert rule["labels"]["severity"] in ("critical", "warning", "info"), rule["alert"]
        assert rule["annotations"]["summary"], rule["alert"]


def test_compose_runs_monitoring_only_when_asked_and_mounts_existing_files() -> None:
    compose = yaml.safe_load((DOCKER / "compose.yaml").read_text())
    services = compose["services"]
    for name in ("prometheus", "grafana"):
        assert services[name]["profiles"] == ["metrics"]
        for volume in services[name]["volumes"]:
            source = volume.split(":")[0]
            there = source in compose["volumes"] or (DOCKER / source).is_dir()
            assert there, volume
    scraped = yaml.safe_load((DOCKER / "prometheus" / "prometheus.yml").read_text())
    assert scraped["rule_files"] == ["/etc/prometheus/rules.yml"]
    for job in scraped["scrape_configs"]:
        for target in job["dns_sd_configs"]:
            assert set(target["names"]) <= services.keys()
    worker = from_environment(
        services["worker-1"]["environment"] | {"INNGEST_METRICS_OPEN": "0"}
    ).values
    assert worker["metrics_port"] == 9090
    for folder in ("datasources", "dashboards"):
        [file] = (DOCKER / "grafana" / "provisioning" / folder).glob("*.yml")
        assert yaml.safe_load(file.read_text())["apiVersion"] == 1
