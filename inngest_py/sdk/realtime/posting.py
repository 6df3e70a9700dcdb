"""HTTP requests to the server's realtime API."""

import httpx
import inngest

from ...domain.errors import Invalid
from .. import server_api
from . import errors


def post(
    client: inngest.Inngest,
    path: str,
    body: bytes,
    *,
    query: dict[str, str] | None = None,
    asked: str,
) -> httpx.Response:
    """Send JSON. Blocks until the answer is there, 30 s at most.

    `asked` says in errors what was wanted. Raises RealtimeError.
    """
    try:
        answer = server_api.post(client, path, body, query=query)
    except httpx.HTTPError as error:
        text = f"the server did not {asked}: {type(error).__name__} at {client.api_origin}: {error}"
        raise errors.RealtimeError(text) from error
    except Invalid as error:
        raise errors.RealtimeRefused(f"signing_key: {error.message}") from None
    if not answer.is_success:
        raise errors.of_answer(asked, answer.status_code, answer.text)
    return answer
