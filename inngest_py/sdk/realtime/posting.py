"""HTTP requests to the server's realtime API, as the SDK makes its own."""

import atexit
import functools
import os
from urllib.parse import urljoin

import httpx
import inngest

from ...domain.access import signatures
from ...domain.errors import Invalid
from . import errors

_TIMEOUT = httpx.Timeout(30.0, connect=10.0)


def post(
    client: inngest.Inngest,
    path: str,
    body: bytes,
    *,
    query: dict[str, str] | None = None,
    asked: str,
) -> httpx.Response:
    """Send JSON, with the signing key, and with the fallback key where the server refuses that.

    Blocks until the answer is there, 30 s at most. `asked` says in errors what was wanted. Raises
    RealtimeError.
    """
    url = urljoin(client.api_origin, path)
    try:
        for key in _keys(client):
            answer = _http(os.getpid()).post(
                url, params=query, content=body, headers=_headers(client, key)
            )
            if answer.status_code not in (401, 403):
                break
    except httpx.HTTPError as error:
        text = f"the server did not {asked}: {type(error).__name__} at {client.api_origin}: {error}"
        raise errors.RealtimeError(text) from error
    if not answer.is_success:
        raise errors.of_answer(asked, answer.status_code, answer.text)
    return answer


@functools.cache
def _http(process: int) -> httpx.Client:
    """Share connections in a process; one that was forked must not use those of its parent."""
    del process
    made = httpx.Client(timeout=_TIMEOUT)
    atexit.register(made.close)
    return made


def _keys(client: inngest.Inngest) -> list[str | None]:
    """List the signing keys to try; None is for a dev server, which wants none."""
    return [client.signing_key, *filter(None, [client.signing_key_fallback])]


def _headers(client: inngest.Inngest, key: str | None) -> dict[str, str]:
    headers = {"Content-Type": "application/json"}
    if client.env:
        headers["X-Inngest-Env"] = client.env
    if key is not None:
        try:
            headers["Authorization"] = f"Bearer {signatures.bearer(key)}"
        except Invalid as error:
            raise errors.RealtimeRefused(f"signing_key: {error.message}") from None
    return headers
