"""The OpenAPI document is right: schemathesis calls its routes; the page needs no network."""

import re

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import response_schema_conformance, status_code_conformance

from tests.api.conftest import Service

CHECKS = [not_a_server_error, status_code_conformance, response_schema_conformance]


MODES = [schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE]


def hold_to(
    operation: schemathesis.APIOperation, mode: schemathesis.GenerationMode, examples: int
) -> None:
    """Call an operation with inputs that match its description, or with others."""

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def calls(case: schemathesis.Case) -> None:
        case.call_and_validate(checks=CHECKS)

    calls()


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.value)
def test_answers_match_the_document(lasting: Service, mode: schemathesis.GenerationMode) -> None:
    """Slow: each operation is called with many generated inputs.

    The inputs are the same on both databases: most are made for the one that refuses more of them.
    """
    examples = 6 if lasting.engine.ctx.db.is_sqlite else 20
    lasting.engine.start(data={"n": 1})
    lasting.engine.drain()
    lasting.engine.start()
    schema = schemathesis.openapi.from_wsgi("/api/openapi.json", lasting.app)
    found = [each.ok() for each in schema.get_all_operations()]
    assert len(found) >= 7
    for operation in found:
        # any text fits a path, so nothing else can be sent there
        if operation.body or operation.query or mode is schemathesis.GenerationMode.POSITIVE:
            hold_to(operation, mode, examples)


def test_the_document_describes_answers(lasting: Service) -> None:
    document = lasting.client.get("/api/openapi.json").json
    assert document["openapi"].startswith("3.")
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if method == "parameters":
                continue
            found = operation["responses"]
            answer = (found.get("200") or found["201"])["content"]["application/json"]
            assert "$ref" in answer["schema"], f"{method} {path}"


def test_the_page_loads_from_the_server_itself(lasting: Service) -> None:
    page = lasting.client.get("/api/docs")
    assert page.status_code == 200
    assets = re.findall(r"""(?:src|href)=["']([^"']+)["']""", page.text)
    assert len(assets) >= 3
    for url in assets:
        assert url.startswith("docs-files/")
        asset = lasting.client.get(f"/api/{url}")
        assert asset.status_code == 200
        asset.close()
    assert re.search(r"""(?:https?:)?//[a-z0-9-]+\.""", page.text) is None
    assert "/api/openapi.json" in page.text
