"""Send checkpoints, try again, and let the server rest that could not be reached."""

import random
import time
from enum import Enum
from http import HTTPStatus

import httpx
import inngest

from ...domain.errors import Invalid
from .. import server_api

TRIES = 5  # as the TypeScript SDK's; with its first pause, it gives up after about 1.8 s
FIRST_PAUSE_SECONDS = 0.1
# how long an app that could not send a checkpoint answers step by step
REST_SECONDS = 30.0
_TIMEOUT = httpx.Timeout(10.0, connect=5.0)
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
            answer = server_api.post(
                client, f"/v1/checkpoint/{run_id}/async", body, timeout=_TIMEOUT
            )
        except httpx.HTTPError as error:
            reason = f"{type(error).__name__}: {error}"
            continue
        except Invalid as error:
            reason = f"signing_key: {error.message}"
            break
        if answer.is_success:
            return Outcome.STORED
        if answer.status_code == HTTPStatus.CONFLICT:
            return Outcome.STALE
        reason = f"HTTP {answer.status_code}: {answer.text.strip()[:500]}"
        if answer.status_code < 500 and answer.status_code not in _LATER:
            if answer.status_code in _THIS_RUN:
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
