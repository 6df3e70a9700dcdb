"""What makes Celery and kombu faster than they are: all of it, or nothing of it.

`INNGEST_CELERY_PATCHES=off` runs an app without it. Not in it, because work or the embedded server
needs it: the transport `inproc://` (`inproc`), children that finish their calls before they obey
SIGTERM (`prefork`), gevent's patch of modules imported too early (`gevent_patching`), a stop that a
full worker notices (`intake`), and JSON logs without other lines (`quiet`).
"""

from celery import Celery

from .. import configuration
from .consuming import CONSUMER
from .gathering import gather_events
from .publishing import Publisher
from .redis import keep_clients


def add_patches(app: Celery) -> Publisher:
    """Change how the app's workers read, reconnect and send events; return how hints are sent.

    A gevent worker's own step does the rest at its start: it takes messages from Redis without
    acknowledgement, and the next message only when all hints have slots (`intake`).
    """
    app.conf.worker_consumer = CONSUMER
    gather_events(app)
    on_redis = configuration.is_redis(app.conf.broker_url)
    if on_redis:
        keep_clients(app)
    return Publisher(app, on_redis=on_redis)
