"""A connected worker that an operator has drained."""

import pytest

from inngest_py.domain.connect.actions import Answer, Status, StatusChanged
from inngest_py.domain.connect.gateway_connection import GatewayConnection
from inngest_py.domain.connect.messages_pb2 import GatewayMessageType as Kind
from inngest_py.domain.connect.messages_pb2 import SDKResponse

from .test_connect_gateway import NOW, REQUEST, SECRETS, _frame, _hello, _kinds, _ready


def test_a_held_worker_gets_no_more_until_it_may() -> None:
    made = _ready()
    made.send(REQUEST, NOW)
    assert made.hold(True) == [StatusChanged(Status.DRAINING)]
    assert made.hold(True) == []
    with pytest.raises(ConnectionError):
        made.send(REQUEST._replace(id="request-2"), NOW)
    response = SDKResponse(request_id=REQUEST.id)
    assert _kinds(made.receive(_frame(Kind.WORKER_REPLY, response), NOW)) == [Answer(response)]
    assert made.hold(False) == [StatusChanged(Status.READY)]
    made.hold(True)
    assert made.receive(_frame(Kind.WORKER_PAUSE), NOW) == []
    assert made.hold(False) == []  # it stops by its own wish
    assert made.is_leaving


def test_a_worker_that_is_held_before_it_is_ready() -> None:
    made = GatewayConnection(SECRETS, NOW)
    made.open()
    made.receive(_frame(Kind.WORKER_CONNECT, _hello()), NOW)
    made.is_held = True
    assert made.synced(NOW)[-1] == StatusChanged(Status.DRAINING)
    assert made.hold(False) == [StatusChanged(Status.READY)]
