"""Signatures that no worker could run: the error names the place and the fix."""

from random import Random
from typing import Any

import pytest

from inngest_py.domain.canvas import interpret, signatures
from inngest_py.domain.canvas.nodes import Task
from inngest_py.domain.errors import Invalid

from ..canvases import any_canvas, as_json

TASK = {"task": "shop.work"}


def canvas(kind: str, **kwargs: Any) -> dict[str, Any]:
    return {"task": f"celery.{kind}", "kwargs": kwargs}


def option(name: str, value: Any) -> dict[str, Any]:
    return {"task": "shop.work", "options": {name: value}}


BAD: list[tuple[Any, str]] = [
    (None, "signature must be a signature, an object with a task, and it is null"),
    ([], "signature must be a signature, an object with a task, and it is an array"),
    ("shop.work", "signature must be a signature, an object with a task, and it is a string"),
    ({}, "signature.task is missing: write the name of a task"),
    ({"task": 1}, "signature.task must be a text, and it is a number"),
    ({"task": ""}, "signature.task must be a text, and it is empty"),
    ({"task": "x" * 256}, "signature.task is over 255 characters: shorten it"),
    ({"task": "a\0b"}, "signature.task holds a NUL or half a surrogate pair: remove it"),
    ({"task": "a\ud800b"}, "signature.task holds a NUL or half a surrogate pair: remove it"),
    ({**TASK, "args": {}}, "signature.args must be an array, and it is an object"),
    ({**TASK, "args": "ab"}, "signature.args must be an array, and it is a string"),
    ({**TASK, "kwargs": []}, "signature.kwargs must be an object, and it is an array"),
    ({**TASK, "options": 1}, "signature.options must be an object, and it is a number"),
    ({**TASK, "immutable": 1}, "signature.immutable must be true or false, and it is a number"),
    (canvas("chain"), "signature.kwargs.tasks must be an array of signatures, and it is null"),
    (
        canvas("group", tasks={}),
        "signature.kwargs.tasks must be an array of signatures, and it is an object",
    ),
    (
        canvas("chain", tasks=[TASK, canvas("group", tasks=[TASK, {"task": 5}])]),
        "signature.kwargs.tasks[1].kwargs.tasks[1].task must be a text, and it is a number",
    ),
    (
        canvas("chord", body=TASK),
        "signature.kwargs.header must be an array of signatures, and it is null",
    ),
    (
        canvas("chord", header=canvas("chain", tasks=[]), body=TASK),
        "signature.kwargs.header must be a list of signatures, or a group: put it into a list",
    ),
    (
        canvas("chord", header=[TASK]),
        "signature.kwargs.body is missing: a chord calls it with the header's results",
    ),
    (
        canvas("chord", header=[TASK], body=canvas("chain", tasks=[])),
        "signature.kwargs.body is an empty chain: a chord needs a task to call",
    ),
    (
        canvas("chord", header=[TASK, 1], body=TASK),
        "signature.kwargs.header[1] must be a signature, an object with a task, and it is a number",
    ),
    (
        canvas("chord", header=canvas("group", tasks=[{}]), body=TASK),
        "signature.kwargs.header.kwargs.tasks[0].task is missing: write the name of a task",
    ),
    (
        canvas("chord", header=[], body=TASK, kwargs=1),
        "signature.kwargs.kwargs must be an object, and it is a number",
    ),
    (canvas("map", it=[]), "signature.kwargs.task must be a signature, an object with a task, and"),
    (
        canvas("map", task=canvas("chain", tasks=[]), it=[]),
        "signature.kwargs.task.task must be a plain task: a map calls one function",
    ),
    (canvas("map", task=TASK), "signature.kwargs.it must be an array, and it is null"),
    (
        canvas("starmap", task=TASK, it=[[1], 2]),
        "signature.kwargs.it[1] must be an array of arguments, and it is a number",
    ),
    (canvas("chunks", task=TASK, it=[1], n=1), "signature.kwargs.it[0] must be an array of"),
    (canvas("chunks", task=TASK, it=[], n=0), "signature.kwargs.n must be a whole number above 0"),
    (canvas("chunks", task=TASK, it=[]), "signature.kwargs.n must be a whole number above 0"),
    (canvas("chunks", task=TASK, it=[], n=True), "signature.kwargs.n must be a whole number above"),
    (
        option("link", 1),
        "signature.options.link must be a signature, an object with a task, and it is a number",
    ),
    (option("link_error", [TASK, {}]), "signature.options.link_error[1].task is missing: write"),
    (
        option("replaced_task_nesting", 1),
        "signature.options.replaced_task_nesting shows that a worker has replaced this task: send",
    ),
    (option("chain", [TASK]), "signature.options.chain is a part of messages: write a signature"),
    (option("countdown", "5"), "signature.options.countdown must be a number of seconds, and it"),
    (option("countdown", True), "signature.options.countdown must be a number of seconds, and it"),
    (option("countdown", float("nan")), "signature.options.countdown must be at most 366 days"),
    (option("countdown", 1e12), "signature.options.countdown must be at most 366 days"),
    (option("countdown", 10**400), "signature.options.countdown must be at most 366 days"),
    (option("eta", 5), "signature.options.eta must be a time like 2024-01-31T09:00:00Z, and it is"),
    (
        option("eta", "soon"),
        "signature.options.eta is no time: 'soon' is not a time: write it like",
    ),
    (option("eta", {"__type__": "datetime"}), "signature.options.eta must be a time like 2024-01-"),
    (option("expires", "soon"), "signature.options.expires is no time: 'soon' is not a time: "),
    (option("expires", True), "signature.options.expires must be a number of seconds, and it is a"),
    (option("expires", []), "signature.options.expires must be a time like 2024-01-31T09:00:00Z"),
    (option("priority", 256), "signature.options.priority must be a whole number from 0 to 255"),
    (option("priority", -1), "signature.options.priority must be a whole number from 0 to 255"),
    (option("priority", 1.5), "signature.options.priority must be a whole number from 0 to 255"),
    (option("priority", False), "signature.options.priority must be a whole number from 0 to 255"),
    (option("queue", 5), "signature.options.queue must be a text, and it is a number"),
    (option("queue", "q" * 256), "signature.options.queue is over 255 characters: shorten it"),
    (option("routing_key", "a\0"), "signature.options.routing_key holds a NUL or half a surrogate"),
    (option("time_limit", 0), "signature.options.time_limit must be above 0 seconds"),
    (option("soft_time_limit", "1"), "signature.options.soft_time_limit must be a number of seco"),
    (option("retry", 1), "signature.options.retry must be true or false, and it is a number"),
    (option("headers", []), "signature.options.headers must be an object, and it is an array"),
    (option("headers", {"é" * 128: 1}), "signature.options.headers: the name 'éé"),
    (option("queue", "é" * 128), "signature.options.queue is over 255 bytes: shorten it"),
    (option("exchange", "x"), "signature.options.exchange is not followed: write the queue that"),
    (option("stamped_headers", "x"), "signature.options.stamped_headers must be an array of name"),
]


@pytest.mark.parametrize(("raw", "message"), BAD, ids=[message[:60] for _, message in BAD])
def test_bad_input(raw: Any, message: str) -> None:
    with pytest.raises(Invalid) as caught:
        signatures.read(raw)
    assert caught.value.message.startswith(message)
    assert caught.value.message.startswith(str(caught.value.field))


def test_the_caller_says_how_the_signature_is_called() -> None:
    with pytest.raises(Invalid, match=r"^body\.signature\.task is missing"):
        signatures.read({}, "body.signature")


def test_what_may_be_left_out() -> None:
    (task,) = signatures.read({"task": "shop.work", "args": None, "options": None}).root.members
    assert task == Task("shop.work")


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ({"countdown": -3}, {"countdown": -3}),
        ({"eta": "2026-01-31 09:00"}, {"eta": "2026-01-31T09:00:00+00:00"}),
        ({"expires": 1.5}, {"expires": 1.5}),
        (
            {"expires": {"__type__": "datetime", "__value__": "2026-01-31T09:00:00.5+02:00"}},
            {"expires": "2026-01-31T09:00:00.500000+02:00"},
        ),
        ({"priority": 0, "queue": "q"}, {"priority": 0, "queue": "q"}),
        ({"time_limit": None, "my_own": {"a": [1]}}, {"my_own": {"a": [1]}}),
        ({"task_id": "t", "reply_to": "r", "root_id": None, "group_index": 3, "chord": TASK}, {}),
    ],
)
def test_options(given: dict[str, Any], read: dict[str, Any]) -> None:
    (task,) = signatures.read({"task": "shop.work", "options": given}).root.members
    assert task.options == read


def test_the_kind_is_known_by_the_task_or_by_the_type() -> None:
    typed = {"task": "mine.chain", "subtask_type": "chain", "kwargs": {"tasks": [TASK, TASK]}}
    assert len(signatures.read(typed).root.members) == 2
    plain = {"task": "mine.chain", "subtask_type": "mine", "kwargs": {"tasks": 5}}
    assert signatures.read(plain).root.members[0] == Task("mine.chain", kwargs={"tasks": 5})


ODD = [
    None,
    True,
    0,
    -1,
    10**400,
    1.5,
    "",
    "celery.chord",
    "\0",
    "é\ud800",
    [],
    [[]],
    {},
    {"task": {}},
]
KEYS = ["task", "args", "kwargs", "options", "immutable", "subtask_type", "tasks", "header", "body"]
NAMES = ["chain", "group", "chord", "map", "starmap", "chunks", "accumulate"]
OPTIONS = ["link", "link_error", "countdown", "eta", "expires", "priority", "queue", "headers"]


def spoilt(value: Any, rng: Random) -> Any:
    """Change something, anywhere in a value."""
    if not value or rng.random() < 0.15:
        return rng.choice([*ODD, *NAMES, TASK, canvas(rng.choice(NAMES), tasks=[TASK], it=[[1]])])
    if isinstance(value, list):
        place = rng.randrange(len(value))
        return [spoilt(one, rng) if at == place else one for at, one in enumerate(value)]
    if not isinstance(value, dict):
        return rng.choice(ODD)
    changed = {**value}
    if rng.random() < 0.2:
        changed[rng.choice(KEYS + OPTIONS)] = rng.choice([*ODD, TASK, [TASK], [value]])
        return changed
    key = rng.choice(sorted(value))
    changed[key] = spoilt(value[key], rng)
    return changed


@pytest.mark.parametrize("seeds", [range(1000)], ids=str)
def test_a_spoilt_signature_is_refused_or_can_be_run(seeds: range) -> None:
    refused = 0
    for seed in seeds:
        rng = Random(seed)
        raw = as_json(any_canvas(rng, 3))
        for _ in range(rng.randrange(1, 4)):
            raw = spoilt(raw, rng)
        try:
            read = signatures.read(raw)
        except Invalid as error:
            refused += 1
            assert error.message.startswith("signature")
            continue
        results = {path: 1 for path, *_ in interpret.tasks(read)}
        begun = interpret.begin(read)
        assert begun.ended is not bool(results)
        assert interpret.replay(read, results).ended
        for call in begun.calls:
            interpret.after(read, call.path, None)
            interpret.failed(read, call.path, "id")
    assert len(seeds) / 4 < refused < len(seeds)
