"""What durable endpoints stream is passed on by whole events; runs without an answer get one."""

import json
from typing import Any

import pytest

from inngest_py.domain.realtime import event_frames
from inngest_py.domain.realtime.event_frames import WholeEvents
from inngest_py.domain.runs.runs import RunStatus

FIRST, SECOND = b'event: a\ndata: {"n": 1}\n\n', b"event: b\ndata: 2\n\n"


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
def test_events_are_passed_on_whole(size: int) -> None:
    body, events = FIRST + SECOND + b"event: c\ndata: ha", WholeEvents()
    found = [events.feed(body[at : at + size]) for at in range(0, len(body), size)]
    assert b"".join(found) == FIRST + SECOND
    assert all(piece.endswith(b"\n\n") for piece in found if piece)
    assert events.rest() == b"", "half an event would garble the next one"


def test_an_event_does_not_wait_for_the_next() -> None:
    events = WholeEvents()
    assert events.feed(FIRST) == FIRST
    assert events.feed(SECOND[:5]) == b""
    assert events.feed(SECOND[5:]) == SECOND


@pytest.mark.parametrize("body", [b"raw", b"even", b"\n\nevent: a", b"data: x\n\n"])
def test_other_bytes_are_passed_on_as_they_come(body: bytes) -> None:
    events = WholeEvents()
    assert events.feed(body[:2]) + events.feed(body[2:]) + events.rest() == body


def response(status: RunStatus, output: str | None) -> dict[str, Any]:
    made = event_frames.response(status, output)
    assert event_frames.has_response(made)
    name, data = made.decode().removesuffix("\n\n").split("\n")
    assert name == "event: inngest.response"
    found: dict[str, Any] = json.loads(data.removeprefix("data: "))
    return found


@pytest.mark.parametrize(
    ("output", "code", "body"),
    [
        ('{"data": {"status": 201, "body": "{\\"a\\":1}"}}', 201, '{"a":1}'),
        ('{"status_code": 200, "body": "\\"text of a Response\\""}', 200, "text of a Response"),
        ('{"status_code": 200, "body": "no JSON"}', 200, "no JSON"),
        ('{"plain": true}', 200, '{"plain": true}'),
        (None, 200, "null"),
    ],
)
def test_answer_of_a_completed_run(output: str | None, code: int, body: str) -> None:
    found = response(RunStatus.COMPLETED, output)
    assert found["status"] == "succeeded"
    assert (found["response"]["statusCode"], found["response"]["body"]) == (code, body)


@pytest.mark.parametrize(
    ("status", "output", "said"),
    [
        (RunStatus.CANCELLED, None, "the run was cancelled"),
        (RunStatus.FAILED, '{"name": "Error", "message": "é"}', "é"),
        (RunStatus.FAILED, '{"error": {"message": "inside"}}', "inside"),
        (RunStatus.FAILED, '"odd"', "the run failed"),
        (RunStatus.FAILED, None, "the run failed"),
    ],
)
def test_answer_of_a_run_that_failed(status: RunStatus, output: str | None, said: str) -> None:
    found = response(status, output)
    assert (found["status"], found["response"]["statusCode"]) == ("failed", 500)
    assert json.loads(found["response"]["body"]) == said
