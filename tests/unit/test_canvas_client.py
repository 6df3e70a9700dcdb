"""The client of Celery apps: what it says of signatures that no server could take."""

import pytest
from celery import Celery

from inngest_py import canvas

app = Celery("shop", set_as_current=False)


@app.task(name="shop.add", shared=False)
def add(a: object, b: object) -> object: ...


@pytest.mark.parametrize(
    ("argument", "problem"),
    [
        (float("nan"), "Out of range float values"),
        ({1, 2}, "Object of type set is not JSON serializable"),
        ({(1, 2): 3}, "keys must be str"),
    ],
)
def test_argument_that_has_no_json_is_named(argument: object, problem: str) -> None:
    with pytest.raises(canvas.CanvasError, match=f"cannot be written as JSON: {problem}"):
        canvas.send(add.s(argument, 1), url="http://127.0.0.1:1")
