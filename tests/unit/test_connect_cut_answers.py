"""A message of a connected worker that is over the limit: how it begins may say what it answers."""

import pytest

from inngest_py.domain.connect import calls
from inngest_py.domain.connect.actions import Answer
from inngest_py.domain.connect.messages_pb2 import GatewayMessageType as Kind
from inngest_py.domain.connect.messages_pb2 import SDKResponse, WorkerRequestAckData
from inngest_py.domain.runs.items import Item, ItemKind

from .test_connect_gateway import NOW, REQUEST, _frame, _ready, _reason


def test_an_answer_over_the_limit_ends_its_call_and_the_connection() -> None:
    made = _ready()
    item = Item("01J" + "A" * 23, ItemKind.EDGE, "run", "01J" + "B" * 23, 0, NOW, NOW, generation=7)
    name = calls.request_id(item)
    made.send(REQUEST._replace(id=name), NOW)
    message = _frame(Kind.WORKER_REPLY, SDKResponse(request_id=name, body=b"x" * 9_000_000))
    answer, close = made.too_large(message[:256])
    assert isinstance(answer, Answer)
    assert (answer.response.request_id, answer.is_cut) == (name, True)
    assert calls.reply_of(answer.response, is_cut=True).too_large
    assert _reason([close]) == (1009, "MESSAGE_TOO_LARGE")
    assert made.too_large(message[:256]) == []


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\x00" * 256,
        _frame(Kind.WORKER_REPLY, SDKResponse(request_id="request-1", body=b"x" * 300)),
        _frame(Kind.WORKER_REPLY, SDKResponse(account_id="a", body=b"x" * 300)),
        _frame(
            Kind.WORKER_REQUEST_ACK, WorkerRequestAckData(request_id="a" * 64, step_id="s" * 300)
        ),
    ],
)
def test_what_is_over_the_limit_and_no_answer_ends_the_connection_alone(head: bytes) -> None:
    assert _reason(_ready().too_large(head)) == (1009, "MESSAGE_TOO_LARGE")
