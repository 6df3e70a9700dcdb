"""The code in the documents is code that runs."""

import re
from pathlib import Path

import pytest

from inngest_py import observe

ROOT = Path(__file__).resolve().parents[2]
_BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)


def blocks() -> list[tuple[str, str]]:
    files = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [
        (f"{file.name}-{number}", code)
        for file in files
        for number, code in enumerate(_BLOCK.findall(file.read_text()), start=1)
    ]


# the SDK's own use of pydantic warns
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(("name", "code"), blocks(), ids=lambda value: value[:30])
def test_it_runs(name: str, code: str) -> None:
    exec(compile(code, name, "exec"), {"__name__": name})


def test_the_documents_hold_code() -> None:
    assert len(blocks()) >= 2


def test_a_listener_hears_and_a_broken_one_disturbs_nobody() -> None:
    heard = []

    def broken(_sender: object, **_: object) -> None:
        raise RuntimeError("no")

    def listens(_sender: object, **fields: object) -> None:
        heard.append(fields)

    observe.run_finished.connect(broken)
    observe.run_finished.connect(listens)
    observe.tell(observe.run_finished, run_id="r", function_id="f", status="failed", output=None)
    assert heard == [{"run_id": "r", "function_id": "f", "status": "failed", "output": None}]
