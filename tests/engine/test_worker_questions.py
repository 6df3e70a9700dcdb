"""Questions to the workers of a broker that also has workers of another kind."""

from kombu.pidbox import Mailbox

from inngest_py.engine.runtime.celery_apps import CeleryApp
from inngest_py.tasks.celery_apps.brokers import connect
from tests.servers import Valkey


def test_pickled_answer_is_not_read_and_hides_no_other(valkey: Valkey) -> None:
    client = connect(CeleryApp("id", "shop", valkey.url, "{}", "shop", "secret"))
    asker = client.control.mailbox
    with client.connection_for_read() as connection:
        bound = asker(connection)
        bound.reply_queue(connection.default_channel).declare()
        for serializer in ("pickle", "json"):
            worker = Mailbox("worker", accept=["json"], serializer=serializer)(connection)
            for ticket in ("now", "before"):
                to = (bound.reply_exchange.name, bound.reply_queue.routing_key)
                worker._publish_reply({serializer: ticket}, *to, ticket, serializer=serializer)
        assert bound._collect("now", timeout=0.2) == [{"json": "now"}]
    client.close()
