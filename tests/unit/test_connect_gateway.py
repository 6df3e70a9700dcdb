"""A connection of a worker as a state machine: frames in, frames and actions out."""

from datetime import UTC, datetime, timedelta

import orjson
import pytest
from google.protobuf.message import Message

from inngest_py.domain.access import tokens
from inngest_py.domain.connect import calls
from inngest_py.domain.connect.actions import (
    Action,
    Answer,
    Close,
    Extend,
    GoesOn,
    Lapsed,
    Send,
    Status,
    StatusChanged,
    Sync,
)
from inngest_py.domain.connect.calls import Request
from inngest_py.domain.connect.gateway_connection import GatewayConnection
from inngest_py.domain.connect.messages_pb2 import (
    AppConfiguration,
    AuthData,
    ConnectMessage,
    GatewayConnectionReadyData,
    GatewayExecutorRequestData,
    SDKResponse,
    SDKResponseStatus,
    SystemError,
    WorkerConnectRequestData,
    WorkerReplyAckData,
    WorkerRequestAckData,
    WorkerRequestExtendLeaseAckData,
    WorkerRequestExtendLeaseData,
)
from inngest_py.domain.connect.messages_pb2 import GatewayMessageType as Kind
from inngest_py.domain.errors import Invalid
from inngest_py.domain.runs.items import Item, ItemKind

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
SECRETS = tokens.secrets(())
CONNECTION = "01J00000000000000000000000"
FUNCTION = {
    "id": "shop-pay",
    "name": "Pay",
    "triggers": [{"event": "shop/paid"}],
    "steps": {
        "step": {
            "id": "step",
            "name": "step",
            "runtime": {"type": "ws", "url": "wss://connect?fnId=shop-pay&stepId=step"},
        }
    },
}
REQUEST = Request(
    id="request-1",
    lease_id="lease-1",
    app_id="app-1",
    app_name="shop",
    function_id="function-1",
    function_slug="shop-pay",
    step="step",
    run_id="run-1",
    job_id="job-1",
    payload=b"{}",
)


def _token(connection_id: str = CONNECTION, at: datetime = NOW) -> str:
    return tokens.connect_session(connection_id, SECRETS[0], int(at.timestamp()))


def _app(name: str = "shop", functions: object = (FUNCTION,)) -> AppConfiguration:
    return AppConfiguration(app_name=name, functions=orjson.dumps(functions))


def _hello(**changed: object) -> WorkerConnectRequestData:
    given: dict[str, object] = {
        "connection_id": CONNECTION,
        "instance_id": "pod-1",
        "auth_data": AuthData(session_token=_token()),
        "apps": [_app()],
        "sdk_language": "py",
        "sdk_version": "v0.5.19",
        "framework": "connect",
    }
    return WorkerConnectRequestData(**(given | changed))  # type: ignore[arg-type]


def _frame(kind: Kind, message: Message | None = None) -> bytes:
    payload = b"" if message is None else message.SerializeToString()
    return ConnectMessage(kind=kind, payload=payload).SerializeToString()


def _kinds(actions: list[Action]) -> list[object]:
    """The kinds of frames, and other actions as they are."""
    return [
        ConnectMessage.FromString(one.data).kind if isinstance(one, Send) else one
        for one in actions
    ]


def _payload(action: Action) -> bytes:
    assert isinstance(action, Send)
    return ConnectMessage.FromString(action.data).payload


def _reason(actions: list[Action]) -> tuple[int, str]:
    (close,) = [one for one in actions if isinstance(one, Close)]
    return close.ending.code, close.ending.reason


def _ready(**changed: object) -> GatewayConnection:
    made = GatewayConnection(SECRETS, NOW)
    made.open()
    (sync,) = made.receive(_frame(Kind.WORKER_CONNECT, _hello(**changed)), NOW)
    assert isinstance(sync, Sync)
    made.synced(NOW)
    return made


def test_a_handshake_ends_with_a_ready_connection() -> None:
    made = GatewayConnection(SECRETS, NOW)
    assert _kinds(made.open()) == [Kind.GATEWAY_HELLO]
    (sync,) = made.receive(_frame(Kind.WORKER_CONNECT, _hello()), NOW)
    assert isinstance(sync, Sync)
    (app,) = sync.worker.apps
    assert app.sync.url == "ws://connect?app_name=shop"
    assert (app.sync.method, app.sync.idempotency_key) == ("connect", app.group)
    first, status = made.synced(NOW)
    assert GatewayConnectionReadyData.FromString(_payload(first)) == GatewayConnectionReadyData(
        heartbeat_interval="10s", extend_lease_interval="30s", status_interval="0s"
    )
    assert status == StatusChanged(Status.READY)


def test_a_worker_may_say_itself_when_it_is_ready() -> None:
    made = _ready(worker_manual_readiness_ack=True)
    assert made.status is Status.CONNECTED
    assert made.receive(_frame(Kind.WORKER_READY), NOW) == [StatusChanged(Status.READY)]
    assert made.receive(_frame(Kind.WORKER_READY), NOW) == []


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"connection_id": "x"}, "connect_worker_hello_invalid_payload"),
        ({"instance_id": ""}, "connect_worker_hello_invalid_payload"),
        ({"instance_id": "a\0b"}, "connect_worker_hello_invalid_payload"),
        ({"apps": []}, "connect_worker_hello_invalid_payload"),
        ({"apps": [_app(), _app()]}, "connect_worker_hello_invalid_payload"),
        (
            {"apps": [_app(f"app-{number}", []) for number in range(11)]},
            "connect_too_many_apps_per_connection",
        ),
        ({"auth_data": AuthData()}, "connect_authentication_failed"),
        ({"auth_data": AuthData(session_token="x.y.z")}, "connect_authentication_failed"),
        (
            {"auth_data": AuthData(session_token=_token("01J00000000000000000000001"))},
            "connect_authentication_failed",
        ),
        (
            {"auth_data": AuthData(session_token=_token(at=NOW - timedelta(minutes=6)))},
            "connect_authentication_failed",
        ),
        (
            {
                "auth_data": AuthData(
                    session_token=tokens.connect_session(
                        CONNECTION, tokens.secrets(("ab12",))[0], int(NOW.timestamp())
                    )
                )
            },
            "connect_authentication_failed",
        ),
        (
            {
                "auth_data": AuthData(
                    session_token=tokens.connect_sync(CONNECTION, SECRETS[0], int(NOW.timestamp()))
                )
            },
            "connect_authentication_failed",
        ),
    ],
)
def test_a_hello_is_checked(changed: dict[str, object], reason: str) -> None:
    made = GatewayConnection(SECRETS, NOW)
    actions = made.receive(_frame(Kind.WORKER_CONNECT, _hello(**changed)), NOW)
    assert _reason(actions) == (1008, reason)
    assert made.receive(_frame(Kind.WORKER_CONNECT, _hello()), NOW) == []


def test_the_first_message_has_to_be_a_hello_in_time() -> None:
    made = GatewayConnection(SECRETS, NOW)
    assert made.due_at() == NOW + 5 * SECOND
    assert made.tick(NOW + 4 * SECOND) == []
    assert _reason(made.tick(NOW + 5 * SECOND)) == (1008, "connect_worker_hello_timeout")
    made = GatewayConnection(SECRETS, NOW)
    actions = made.receive(_frame(Kind.WORKER_HEARTBEAT), NOW)
    assert _reason(actions) == (1008, "connect_worker_hello_invalid_msg")
    made = GatewayConnection(SECRETS, NOW)
    assert _reason(made.receive(b"\xff\xff", NOW))[1] == "connect_worker_hello_invalid_payload"
    made = GatewayConnection(SECRETS, NOW)
    garbage = ConnectMessage(kind=Kind.WORKER_CONNECT, payload=b"\xff\xff").SerializeToString()
    assert _reason(made.receive(garbage, NOW))[1] == "connect_worker_hello_invalid_payload"


@pytest.mark.parametrize("functions", [{"a": 1}, [{"id": "x"}], [FUNCTION, FUNCTION]])
def test_functions_that_cannot_be_synced_are_explained(functions: object) -> None:
    made = GatewayConnection(SECRETS, NOW)
    hello = _hello(apps=[_app(functions=functions)])
    failed, close = made.receive(_frame(Kind.WORKER_CONNECT, hello), NOW)
    assert _kinds([failed]) == [Kind.SYNC_FAILED]
    error = SystemError.FromString(_payload(failed))
    assert error.code == "config_invalid"
    assert error.message
    assert isinstance(close, Close)


def test_five_missed_heartbeats_end_a_connection() -> None:
    made = _ready()
    beat = NOW + 10 * SECOND
    assert _kinds(made.receive(_frame(Kind.WORKER_HEARTBEAT), beat)) == [Kind.GATEWAY_HEARTBEAT]
    assert made.due_at() == beat + 50 * SECOND
    assert made.tick(beat + 49 * SECOND) == []
    assert _reason(made.tick(beat + 50 * SECOND))[1] == "CONSECUTIVE_HEARTBEATS_MISSED"


def test_a_request_is_acknowledged_extended_and_answered() -> None:
    made = _ready()
    (sent,) = made.send(REQUEST, NOW)
    found = GatewayExecutorRequestData.FromString(_payload(sent))
    assert (found.request_id, found.app_name, found.step_id) == ("request-1", "shop", "step")
    ack = WorkerRequestAckData(request_id="request-1")
    assert made.receive(_frame(Kind.WORKER_REQUEST_ACK, ack), NOW) == []
    asked = WorkerRequestExtendLeaseData(request_id="request-1", lease_id="lease-1", app_id="a")
    (extend,) = made.receive(_frame(Kind.WORKER_REQUEST_EXTEND_LEASE, asked), NOW)
    assert isinstance(extend, Extend)
    (extended,) = made.extended(extend.asked, "lease-2", NOW)
    told = WorkerRequestExtendLeaseAckData.FromString(_payload(extended))
    assert (told.request_id, told.new_lease_id, told.app_id) == ("request-1", "lease-2", "a")
    response = SDKResponse(request_id="request-1", status=SDKResponseStatus.DONE, body=b"1")
    (answer,) = made.receive(_frame(Kind.WORKER_REPLY, response), NOW)
    assert isinstance(answer, Answer)
    (acked,) = made.acknowledge("request-1")
    assert WorkerReplyAckData.FromString(_payload(acked)).request_id == "request-1"
    assert made.in_flight == {}


def test_a_refused_extension_has_no_lease() -> None:
    made = _ready()
    made.send(REQUEST, NOW)
    asked = WorkerRequestExtendLeaseData(request_id="request-1")
    (refused,) = made.extended(asked, None, NOW)
    told = WorkerRequestExtendLeaseAckData.FromString(_payload(refused))
    assert not told.HasField("new_lease_id")
    assert made.in_flight == {}


def test_a_worker_that_falls_silent_about_a_request_loses_it() -> None:
    made = _ready()
    made.send(REQUEST, NOW)
    later = NOW + calls.ACK_WITHIN
    made.receive(_frame(Kind.WORKER_HEARTBEAT), later - SECOND)
    assert made.tick(later - SECOND) == []
    assert made.tick(later) == [Lapsed("request-1", acked=False)]
    made.send(REQUEST, later)
    made.receive(
        _frame(Kind.WORKER_REQUEST_ACK, WorkerRequestAckData(request_id="request-1")), later
    )
    later += calls.LEASE
    made.receive(_frame(Kind.WORKER_HEARTBEAT), later)
    assert made.tick(later) == [Lapsed("request-1", acked=True)]


def test_a_worker_that_pauses_gets_no_more_and_loses_what_it_has_not_acknowledged() -> None:
    """SDKs drop without a word what was on its way to them."""
    made = _ready()
    for name in ("request-1", "request-2"):
        made.send(REQUEST._replace(id=name), NOW)
    ack = WorkerRequestAckData(request_id="request-1")
    made.receive(_frame(Kind.WORKER_REQUEST_ACK, ack), NOW)
    made.receive(_frame(Kind.WORKER_PAUSE), NOW)
    with pytest.raises(ConnectionError):
        made.send(REQUEST._replace(id="request-3"), NOW)
    assert made.tick(NOW + 4 * SECOND) == []
    assert made.tick(NOW + 5 * SECOND) == [Lapsed("request-2", acked=False)]


def test_what_comes_before_the_hello_is_handled_after_it() -> None:
    """The Python SDK sends what it has as soon as it is connected again."""
    made = GatewayConnection(SECRETS, NOW)
    made.open()
    ack = WorkerRequestAckData(request_id="request-1")
    response = SDKResponse(request_id="request-1")
    for early in (_frame(Kind.WORKER_REQUEST_ACK, ack), _frame(Kind.WORKER_REPLY, response)):
        assert made.receive(early, NOW) == []
    (sync,) = made.receive(_frame(Kind.WORKER_CONNECT, _hello()), NOW)
    assert isinstance(sync, Sync)
    _, ready, goes_on, answer = made.synced(NOW)
    assert ready == StatusChanged(Status.READY)
    assert goes_on == GoesOn("request-1")
    assert answer == Answer(response)


def test_what_comes_before_the_hello_is_bounded() -> None:
    made = GatewayConnection(SECRETS, NOW)
    large = _frame(Kind.WORKER_REPLY, SDKResponse(request_id="x", body=b"0" * 5_000_000))
    assert made.receive(large, NOW) == []
    assert _reason(made.receive(large, NOW)) == (1008, "connect_worker_hello_invalid_msg")


def test_a_pause_and_a_drain() -> None:
    made = _ready()
    assert made.receive(_frame(Kind.WORKER_PAUSE), NOW) == [StatusChanged(Status.DRAINING)]
    assert made.receive(_frame(Kind.WORKER_READY), NOW) == []
    assert _kinds(made.drain()) == [Kind.GATEWAY_CLOSING, StatusChanged(Status.DISCONNECTING)]
    assert made.drain() == []
    response = SDKResponse(request_id="request-1")
    (answer,) = made.receive(_frame(Kind.WORKER_REPLY, response), NOW)
    assert isinstance(answer, Answer)
    assert _reason(made.stop()) == (1001, "connect_gateway_closing")
    assert made.ended() == [StatusChanged(Status.DISCONNECTED)]


def test_a_worker_answers_before_it_is_asked_to_go() -> None:
    made = _ready()
    made.send(REQUEST, NOW)
    assert made.drain() == [StatusChanged(Status.DISCONNECTING)]
    with pytest.raises(ConnectionError):
        made.send(REQUEST._replace(id="request-2"), NOW)
    response = SDKResponse(request_id="request-1")
    assert made.receive(_frame(Kind.WORKER_REPLY, response), NOW) == [Answer(response)]
    ends = [Kind.WORKER_REPLY_ACK, Kind.GATEWAY_CLOSING]
    assert _kinds(made.acknowledge("request-1")) == ends
    assert made.leave() == []


def test_a_worker_that_takes_long_is_asked_to_go_meanwhile() -> None:
    made = _ready()
    made.send(REQUEST, NOW)
    made.drain()
    assert _kinds(made.leave()) == [Kind.GATEWAY_CLOSING]
    assert _kinds(made.acknowledge("request-1")) == [Kind.WORKER_REPLY_ACK]


def test_bad_messages_end_a_connection_and_unknown_ones_do_not() -> None:
    made = _ready()
    unknown = b"\x08\x63"  # of kind 99
    assert made.receive(unknown, NOW) == []
    assert _reason(made.receive(b"\xff", NOW)) == (1008, "connect_worker_invalid_msg")
    bad = ConnectMessage(kind=Kind.WORKER_REPLY, payload=b"\xff").SerializeToString()
    assert _reason(_ready().receive(bad, NOW)) == (1008, "connect_worker_invalid_msg")
    assert _reason(_ready().receive_text()) == (1008, "connect_worker_invalid_msg")
    assert _reason(_ready().too_large()) == (1009, "MESSAGE_TOO_LARGE")
    assert _reason(_ready().failed()) == (1011, "connect_internal_error")


def _reply(**given: object) -> tuple[int, str]:
    reply = calls.reply_of(SDKResponse(request_id="x", sdk_version="v1", **given))  # type: ignore[arg-type]
    return reply.status, reply.header("x-inngest-no-retry")


def test_replies_stand_for_answers_over_http() -> None:
    assert _reply(status=SDKResponseStatus.DONE) == (200, "")
    assert _reply(status=SDKResponseStatus.NOT_COMPLETED) == (206, "false")
    assert _reply(status=SDKResponseStatus.ERROR) == (500, "false")
    assert _reply(status=SDKResponseStatus.ERROR, no_retry=True) == (500, "true")
    # the TypeScript SDK sends an error that is not to be retried so
    assert _reply(status=SDKResponseStatus.DONE, no_retry=True) == (400, "true")


def test_request_ids_name_their_requests() -> None:
    item = Item("01J" + "A" * 23, ItemKind.EDGE, "run", "01J" + "B" * 23, 0, NOW, NOW, generation=7)
    key = calls.read_request_id(calls.request_id(item))
    assert (key.item_id, key.generation, key.lease_id) == (item.id, 7, item.lease_id)
    for text in ("", "x", f"{item.id}-x-{item.id}", f"{item.id}-7", f"{item.id}-\u0667-{item.id}"):
        with pytest.raises(Invalid):
            calls.read_request_id(text)
