"""A port, for apps and clients of other processes."""

import socket
import threading
from collections.abc import Iterator

import pytest
import requests
from werkzeug.serving import make_server

from inngest_py.testing import Inngest, InngestTestError
from tests.processes import LOOPBACK

from .shop import Shop, flask_shop


@pytest.fixture
def app_url(shop: Shop) -> Iterator[str]:
    server = make_server(LOOPBACK, 0, flask_shop(shop), threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://{LOOPBACK}:{server.port}/api/inngest"
    server.shutdown()
    thread.join()
    server.server_close()


def test_apps_and_clients_elsewhere(app_url: str, shop: Shop) -> None:
    with Inngest() as inngest:
        url = inngest.listen()
        assert requests.put(app_url, timeout=10).ok
        event = {"name": "shop/order.placed", "data": {"order": "A-1"}}
        assert requests.post(f"{url}/e/key", json=event, timeout=10).ok
        assert [run.status for run in inngest.runs()] == ["completed"] * 2
        inngest.mock_step(shop.order, "charge", returns="mocked")
        assert inngest.run(shop.order).result == {"order": None, "charge": "mocked"}
    with pytest.raises(requests.ConnectionError):
        requests.get(url, timeout=10)


def test_without_a_port_nobody_elsewhere_is_called(app_url: str, shop: Shop) -> None:
    with Inngest() as inngest:
        assert requests.put(app_url, timeout=10).ok
        run = inngest.run(shop.order)
        assert run.error is not None and run.error.message.startswith("Unable to reach SDK")
        assert shop.done == []


def test_a_port_that_is_taken_is_told() -> None:
    with socket.socket() as taken, Inngest() as inngest:
        taken.bind((LOOPBACK, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InngestTestError, match=f"port {port} cannot be opened"):
            inngest.listen(port)
        with pytest.raises(InngestTestError, match="a port is a number up to 65535, not 70000"):
            inngest.listen(70000)
