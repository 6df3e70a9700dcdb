"""Where a worker is told to connect, when there are several gateways."""

from collections.abc import Iterable
from typing import Any

from inngest_py.domain.access import signatures
from inngest_py.domain.connect.messages_pb2 import StartRequest, StartResponse
from inngest_py.storage.catalog import gateways
from tests.api.conftest import Service

KEY = "ab" * 16
HERE, THERE = "wss://one.example/v0/connect", "wss://two.example/v0/connect"
OTHER = "01J00000000000000000000000"


class Asker:
    """A worker that asks a server in production; another gateway lives beside it."""

    def __init__(self, service: Service) -> None:
        self.ctx = service.engine.ctx
        keys: dict[str, Any] = {"dev": False, "event_keys": ("k",), "signing_key": KEY}
        self.client = service.with_settings(**keys, connect_url=HERE)
        self.put(self.ctx.worker_id, HERE)
        self.put(OTHER, THERE)

    def put(self, gateway_id: str, url: str, *, draining: bool = False) -> None:
        """Write a gateway's heartbeat."""
        row = {"id": gateway_id, "name": gateway_id, "url": url, "is_draining": draining}
        with self.ctx.db.transaction() as tx:
            gateways.put(tx, row | {"heartbeat_at": self.ctx.now()})

    def ask(self, exclude: Iterable[str] = ()) -> Any:
        body = StartRequest(exclude_gateways=[f"gw-{one}" for one in exclude])
        headers = {"Authorization": f"Bearer {signatures.bearer(KEY)}"}
        return self.client.post("/v0/connect/start", data=body.SerializeToString(), headers=headers)

    def told(self, exclude: Iterable[str] = ()) -> tuple[str, str]:
        """The URL and the group of the answer."""
        answered = self.ask(exclude)
        assert answered.status_code == 200, answered.text
        found = StartResponse.FromString(answered.data)
        return found.gateway_endpoint, found.gateway_group


def test_an_excluded_gateway_names_another_one_if_it_can(service: Service) -> None:
    asker = Asker(service)
    mine = asker.ctx.worker_id
    assert asker.told() == (HERE, f"gw-{mine}")
    assert asker.told([mine]) == (THERE, f"gw-{OTHER}")
    assert asker.told([mine, OTHER]) == (HERE, f"gw-{mine}")
    asker.put(OTHER, HERE)  # the same balancer is before both: it decides
    assert asker.told([mine]) == (HERE, f"gw-{mine}")
    asker.put(OTHER, THERE, draining=True)
    assert asker.told([mine]) == (HERE, f"gw-{mine}")


def test_a_gateway_that_stops_or_is_full_names_another_one(service: Service) -> None:
    asker = Asker(service)
    connections = asker.ctx.connections
    connections.is_draining = True
    assert asker.told() == (THERE, f"gw-{OTHER}")
    connections.is_draining = False
    connections.is_full = lambda: True
    assert asker.told() == (THERE, f"gw-{OTHER}")
    asker.put(OTHER, "")
    assert asker.ask().status_code == 429
