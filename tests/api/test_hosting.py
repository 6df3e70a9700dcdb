"""What an HTTP server cannot do is refused, with the server that can."""

import pytest
import requests

from inngest_py import hosting
from inngest_py.api.gateway.serving import Gateway
from inngest_py.api.realtime.sockets import PATH, Sockets
from inngest_py.dashboard.app import add_to
from inngest_py.domain.connect.messages_pb2 import StartRequest

from .conftest import Service

NO_WEB_SOCKETS = {hosting.NO_WEB_SOCKETS: hosting.WEB_SOCKETS_ELSEWHERE}
NO_STREAMS = {hosting.NO_STREAMS: hosting.STREAMS_ELSEWHERE}
UPGRADE = {"HTTP_UPGRADE": "websocket"}


@pytest.fixture
def service(lasting: Service) -> Service:
    lasting.with_settings()
    return lasting


def test_workers_are_not_sent_where_they_cannot_connect(service: Service) -> None:
    body = StartRequest().SerializeToString()
    here = service.app.test_client()
    refused = here.post("/v0/connect/start", data=body, environ_overrides=NO_WEB_SOCKETS)
    assert refused.status_code == 501
    assert "INNGEST_CONNECT_URL" in refused.get_json()["error"]
    elsewhere = service.with_settings(connect_url="wss://gateways.example.com/v0/connect")
    sent = elsewhere.post("/v0/connect/start", data=body, environ_overrides=NO_WEB_SOCKETS)
    assert sent.status_code == 200


def test_web_sockets_are_refused(service: Service) -> None:
    ctx = service.engine.ctx
    app = service.app
    app.wsgi_app = Sockets(ctx).before(Gateway(ctx, 1).before(app.wsgi_app))  # type: ignore[method-assign]
    client = app.test_client()
    for path in (PATH, "/v0/connect"):
        refused = client.get(path, environ_overrides={**UPGRADE, **NO_WEB_SOCKETS})
        assert (path, refused.status_code) == (path, 501)
        assert "gunicorn with the worker class gevent" in refused.text


def test_streams_are_refused_where_they_would_block_all_others(service: Service) -> None:
    topics = [{"channel": "user", "name": "ai", "kind": "run"}]
    client = service.app.test_client()
    token = client.post("/v1/realtime/token", json=topics).get_json()["jwt"]
    url = f"/v1/realtime/sse?token={token}"
    refused = client.get(url, environ_overrides=NO_STREAMS)
    assert refused.status_code == requests.codes.not_implemented
    assert "one request at a time" in refused.get_json()["error"]


def test_live_pages_do_without(service: Service) -> None:
    add_to(service.app, service.settings, service.engine.ctx)
    page = service.app.test_client().get("/ui/live", environ_overrides=NO_STREAMS)
    assert page.status_code == 204
