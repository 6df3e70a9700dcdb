"""The chart and the manifests: what helm makes of one are the others, and Kubernetes takes them."""

import re
import subprocess
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml

from inngest_py.config import Settings
from inngest_py.config_reading import from_environment
from inngest_py.domain.runs.items import ItemKind
from inngest_py.serving.supervisor import LATER_SECONDS, LEAST_DRAIN
from tests.kubernetes import helm, wrong

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "docker" / "helm" / "inngest-py"
MANIFESTS = ROOT / "docker" / "kubernetes"
# the oldest that the chart allows of those that its schemas exist for, and the newest
VERSIONS = ("v1.25.0", "v1.37.0")
# Of KEDA no wheel has the schema. These are the fields of its reference that the chart uses.
_TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}
_NAMED = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
_TRIGGER = {
    "type": "object",
    "required": ["type", "metadata"],
    "additionalProperties": False,
    "properties": {
        "type": {"enum": ["metrics-api", "prometheus"]},
        "metricType": {"enum": ["AverageValue", "Value"]},
        "metadata": _TEXTS,
        "authenticationRef": _NAMED,
    },
}
_SECRET = {
    "type": "object",
    "required": ["parameter", "name", "key"],
    "additionalProperties": {"type": "string"},
}
_WHOLE = {"type": "integer", "minimum": 0}
KEDA: dict[str, dict[str, Any]] = {
    "ScaledObject": {
        "type": "object",
        "required": ["scaleTargetRef", "triggers"],
        "additionalProperties": False,
        "properties": {
            "scaleTargetRef": _NAMED,
            "pollingInterval": _WHOLE,
            "minReplicaCount": _WHOLE,
            "maxReplicaCount": _WHOLE,
            "fallback": {
                "type": "object",
                "required": ["failureThreshold", "replicas"],
                "properties": {"failureThreshold": _WHOLE, "replicas": _WHOLE},
            },
            "triggers": {"type": "array", "minItems": 1, "items": _TRIGGER},
        },
    },
    "TriggerAuthentication": {
        "type": "object",
        "additionalProperties": False,
        "properties": {"secretTargetRef": {"type": "array", "items": _SECRET}},
    },
}


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> str:
    return helm(tmp_path_factory.mktemp("helm"))


def rendered(program: str, *args: str) -> str:
    command = [program, "template", "inngest", str(CHART), "--namespace", "default", *args]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def manifests(text: str) -> list[Any]:
    return [one for one in yaml.safe_load_all(text) if one is not None]


def unaccepted(found: list[Any], version: str) -> list[str]:
    errors = []
    for one in found:
        if one["apiVersion"] == "keda.sh/v1alpha1":
            schema = jsonschema_rs.validator_for(KEDA[one["kind"]])
            errors += [error.message for error in schema.iter_errors(one["spec"])]
        else:
            errors += wrong(one, version)
    return errors


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", sorted(file.name for file in MANIFESTS.glob("*.yaml")))
def test_kubernetes_accepts_the_manifests(name: str, version: str) -> None:
    found = manifests((MANIFESTS / name).read_text())
    assert found
    assert unaccepted(found, version) == []


def test_mistakes_are_found() -> None:
    found = manifests((MANIFESTS / "inngest.yaml").read_text())
    found[-1]["spec"]["template"]["spec"]["containers"][0]["port"] = []
    assert "port" in unaccepted(found, VERSIONS[-1])[0]


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("inngest.yaml", ()),
        ("keda-advice.yaml", ("--set", "scaling.by=advice", "-s", "templates/scaling.yaml")),
        ("keda-queues.yaml", ("--set", "scaling.by=queues", "-s", "templates/scaling.yaml")),
    ],
)
def test_the_manifests_are_what_the_chart_gives(
    program: str, name: str, args: tuple[str, ...]
) -> None:
    """To renew one: helm template inngest docker/helm/inngest-py --namespace default ARGS."""
    assert (MANIFESTS / name).read_text() == rendered(program, *args)


def test_every_value_of_the_chart_can_be_changed(program: str, tmp_path: Path) -> None:
    values = tmp_path / "values.yaml"
    values.write_text(
        "settings: {INNGEST_KEEP_RUNS: 30d, INNGEST_JSON_LOGS: '1'}\nsecret: mine\ndatabaseMax: 7\n"
        "worker: {concurrency: 50}\nscaling: {by: advice, most: 9}\n"
    )
    text = rendered(program, "-f", str(values))
    found = manifests(text)
    assert unaccepted(found, VERSIONS[-1]) == []
    assert "replicas" not in found[3]["spec"]  # KEDA has the say
    assert {one["kind"]: one for one in found}["ScaledObject"]["spec"]["maxReplicaCount"] == 9
    for container in containers(found, init=False):
        given = {one["name"]: one["value"] for one in container["env"]}
        assert given["INNGEST_KEEP_RUNS"] == "30d"
        assert from_environment(given).errors == []
        assert from_environment(given).values["database_max"] == 7
        assert container["envFrom"] == [{"secretRef": {"name": "mine"}}]
    with pytest.raises(subprocess.CalledProcessError) as refused:
        rendered(program, "--set", "scaling.by=moon")
    assert "use off, advice or queues" in refused.value.stderr


def containers(found: list[Any], *, init: bool) -> list[Any]:
    pods = [one["spec"]["template"]["spec"] for one in found if one["kind"] == "Deployment"]
    every = [one for pod in pods for one in pod["containers"]]
    return every + [one for pod in pods for one in pod.get("initContainers", []) if init]


def test_pods_have_settings_that_exist_and_time_to_stop() -> None:
    found = manifests((MANIFESTS / "inngest.yaml").read_text())
    assert len(containers(found, init=True)) == 3
    for container in containers(found, init=True):
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert container["envFrom"] == [{"secretRef": {"name": "inngest"}}]
        given = {one["name"]: one["value"] for one in container.get("env", [])}
        read = from_environment(given)
        assert (len(read.values), read.errors) == (len(given), [])
        delay = read.values.get("drain_delay_seconds", 0)
        [pod] = {
            one["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
            for one in found
            if one["kind"] == "Deployment"
        }
        assert pod > delay + Settings().grace_seconds + LATER_SECONDS + LEAST_DRAIN
    assert "INNGEST_SIGNING_KEY" not in (MANIFESTS / "inngest.yaml").read_text()


def test_keda_asks_for_queues_that_exist() -> None:
    text = (MANIFESTS / "keda-queues.yaml").read_text()
    asked = re.findall(r'inngest_queue_due\{kind="(\w+)"\}', text)
    assert len(asked) == 4
    assert set(asked) <= {str(kind) for kind in ItemKind}
