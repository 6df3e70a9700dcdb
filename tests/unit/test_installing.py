"""Packages are locked with hashes and have one version; compose can pass every setting."""

import re
from configparser import ConfigParser
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml

from inngest_py.config import Settings
from inngest_py.serving.supervisor import LATER_SECONDS, LEAST_DRAIN

ROOT = Path(__file__).resolve().parents[2]
LOCKED = sorted((ROOT / "requirements").glob("*.txt"))
# set by the compose file itself, or of no use there
FIXED = {"host", "port", "workers", "sqlite_synchronous", "test_api", "clock", "metrics_port"} | {
    "declared_celery_apps"  # only a config file has them
}
ALIASES = {
    "database_url": "DATABASE_URL",
    "broker_url": "REDIS_URL",
    "event_keys": "INNGEST_EVENT_KEY",
}


def pins(file: Path) -> dict[str, str]:
    """Read names and versions; each must have a hash."""
    found = {}
    for entry in re.split(r"\n(?=\S)", file.read_text().strip()):
        name, version = re.match(r"([a-z0-9.-]+)==(\S+)", entry).groups()  # type: ignore[union-attr]
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", entry), entry
        found[name] = version
    return found


def wanted(*extras: str) -> set[str]:
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    lists = [setup["options"]["install_requires"]]
    lists += [setup["options.extras_require"][extra] for extra in extras]
    lines = [line for text in lists for line in text.splitlines() if line and line[0] != "#"]
    return {re.split(r"[<>=\[ ]", line)[0].lower().replace("_", "-") for line in lines}


@pytest.mark.parametrize(
    ("name", "extras"),
    [
        ("server", ["otel"]),
        ("dev", []),
        ("test", ["test", "lint"]),
        ("bench", ["test", "lint", "bench", "otel"]),
    ],
)
def test_every_required_package_is_locked(name: str, extras: list[str]) -> None:
    assert wanted(*extras) <= pins(ROOT / "requirements" / f"{name}.txt").keys()


def test_a_package_has_one_version_in_all_files() -> None:
    found: dict[str, set[str]] = {}
    for file in LOCKED:
        for name, version in pins(file).items():
            found.setdefault(name, set()).add(version)
    assert {name: many for name, many in found.items() if len(many) > 1} == {}


def test_no_file_names_a_registry() -> None:
    assert len(LOCKED) == 5
    for file in LOCKED:
        assert "://" not in file.read_text()
        assert "index-url" not in file.read_text()


def compose() -> Any:
    return yaml.safe_load((ROOT / "docker" / "compose.yaml").read_text())


@pytest.mark.parametrize("service", ["api", "worker-1", "worker-2"])
def test_every_setting_can_be_passed(service: str) -> None:
    environment = compose()["services"][service]["environment"]
    names = {field.name for field in fields(Settings)} - FIXED
    assert {ALIASES.get(name, f"INNGEST_{name.upper()}") for name in names} <= environment.keys()


@pytest.mark.parametrize("service", ["api", "worker-1", "worker-2"])
def test_every_variable_in_the_manual_can_be_passed(service: str) -> None:
    manual = (ROOT / "docs" / "operating.md").read_text()
    table = manual[manual.index("## Settings") : manual.index("### Celery's settings")]
    named = {
        name
        for first in re.findall(r"^\| (`[^|]*) \|", table, re.M)
        for name in re.findall(r"`([A-Z_]+)`", first)
    }
    of_the_file = {f"INNGEST_{name.upper()}" for name in FIXED}
    of_the_file |= {"INNGEST_DATABASE_URL", "INNGEST_BROKER_URL"}
    assert len(named) > 30
    assert named - of_the_file <= compose()["services"][service]["environment"].keys()


@pytest.mark.parametrize("service", ["api", "worker-1", "worker-2"])
def test_docker_waits_for_the_longest_stop(service: str) -> None:
    given = compose()["services"][service]["stop_grace_period"]
    [seconds] = re.findall(r"^\$\{STOP_GRACE_PERIOD:-(\d+)s\}$", given)
    assert int(seconds) > Settings().grace_seconds + LATER_SECONDS + LEAST_DRAIN


def test_compose_has_no_password_and_no_open_door() -> None:
    text = (ROOT / "docker" / "compose.yaml").read_text()
    services = compose()["services"]
    for name in ("INNGEST_SIGNING_KEY", "INNGEST_EVENT_KEY"):
        assert services["api"]["environment"][name].startswith(f"${{{name}:?")
    assert services["postgres"]["environment"]["POSTGRES_PASSWORD"].startswith(
        "${POSTGRES_PASSWORD:?"
    )
    assert "inngest:inngest@" not in text
    for name, service in services.items():
        for port in service.get("ports", []):
            assert name == "api" or port.startswith("127.0.0.1:"), name


def test_images_are_pinned() -> None:
    found = [one["image"] for one in compose()["services"].values() if "build" not in one]
    found += re.findall(r"^FROM (\S+)", (ROOT / "docker" / "Dockerfile").read_text(), re.M)
    assert len(found) >= 6
    for image in found:
        assert re.search(r":v?\d+\.\d+", image), image
