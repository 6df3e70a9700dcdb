"""Send checkpoints, try again, and let the server rest that could not be reached."""

import random
import time
from enum import Enum
from http import HTTPStatus
from http.client import HTTPException

import httpx
import inngest

from ...domain.errors import Invalid
from .. import server_api
from . import direct

TRIES = 5  # as the TypeScript SDK's; with its first pause, it gives up after about 1.8 s
FIRST_PAUSE_SECONDS = 0.1
# how long an app that could not send a checkpoint answers step by step
REST_SECONDS = 30.0
_TIMEOUT_SECONDS = 10.0
# of these runs alone: others may go on
_THIS_RUN = {HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE}
_LATER = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS}

_resting: dict[str, float] = {}  # until when (monotonic), by the server's address


class Outcome(Enum):
    """What became of a checkpoint."""

    STORED = "stored"
    REFUSED = "refused"  # the steps have to be answered
    STALE = "stale"  # another request has taken over, or the run has ended


def rests(client: inngest.Inngest) -> bool:
    """Say whether this server could not be reached lately: then checkpoints only cost time."""
    return _resting.get(client.api_origin, 0.0) > time.monotonic()


def send(client: inngest.Inngest, run_id: str, body: bytes, tries: int = TRIES) -> Outcome:
    """Send one checkpoint, and again where that may help. Blocks; never raises for the network."""
    reason = ""
    for number in range(tries):
        if number:
            pause = FIRST_PAUSE_SECONDS * 2 ** (number - 1)
            time.sleep(pause * random.uniform(0.9, 1.1))
        try:
            status, text = _post(client, f"/v1/checkpoint/{run_id}/async", body)
        except (httpx.HTTPError, OSError, HTTPException) as error:
            reason = f"{type(error).__name__}: {error}"
            continue
        except Invalid as error:
            reason = f"signing_key: {error.message}"
            break
        if 200 <= status < 300:
            return Outcome.STORED
        if status == HTTPStatus.CONFLICT:
            return Outcome.STALE
        reason = f"HTTP {status}: {text.decode(errors='replace').strip()[:500]}"
        if status < 500 and status not in _LATER:
            if status in _THIS_RUN:
                client.logger.warning("Checkpoint of run %s refused: %s", run_id, reason)
                return Outcome.REFUSED
            break
    _resting[client.api_origin] = time.monotonic() + REST_SECONDS
    client.logger.warning(
        "Checkpoint of run %s not stored by %s, steps are answered one by one for %d s: %s",
        run_id,
        client.api_origin,
        REST_SECONDS,
        reason,
    )
    return Outcome.REFUSED


def _post(client: inngest.Inngest, path: str, body: bytes) -> tuple[int, bytes]:
    connections = direct.connections(client.api_origin, _TIMEOUT_SECONDS)
    if connections is None:
        answer = server_api.post(client, path, body, timeout=httpx.Timeout(_TIMEOUT_SECONDS))
        return answer.status_code, answer.content
    for headers in server_api.headers_of(client):
        found = connections.post(path, body, headers)
        if found[0] not in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            break
    return found
