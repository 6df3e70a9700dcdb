"""HTTP requests of apps to the server's API, as the SDK makes its own."""

import atexit
import functools
import os
from collections.abc import Iterator
from urllib.parse import urljoin

import httpx
import inngest

from ..domain.access import signatures

TIMEOUT = httpx.Timeout(30.0, connect=10.0)
_LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=40)


def post(
    client: inngest.Inngest,
    path: str,
    body: bytes,
    *,
    query: dict[str, str] | None = None,
    timeout: httpx.Timeout = TIMEOUT,
) -> httpx.Response:
    """Send JSON, with the signing key, and with the fallback key where the server refuses that.

    Blocks until the answer is there. Connections are kept. Raises httpx.HTTPError, and Invalid for
    a signing key that is none.
    """
    return _request(client, "POST", path, content=body, params=query, timeout=timeout)


def get(client: inngest.Inngest, path: str) -> httpx.Response:
    """Ask for something, with the keys and errors of post()."""
    return _request(client, "GET", path)


def _request(
    client: inngest.Inngest,
    method: str,
    path: str,
    *,
    content: bytes | None = None,
    params: dict[str, str] | None = None,
    timeout: httpx.Timeout = TIMEOUT,
) -> httpx.Response:
    url = urljoin(client.api_origin, path)
    for headers in headers_of(client):
        answer = _http(os.getpid()).request(
            method, url, params=params, content=content, headers=headers, timeout=timeout
        )
        if answer.status_code not in (401, 403):
            break
    return answer


@functools.cache
def _http(process: int) -> httpx.Client:
    """Share connections in a process; one that was forked must not use those of its parent."""
    del process
    made = httpx.Client(timeout=TIMEOUT, limits=_LIMITS)
    atexit.register(made.close)
    return made


def headers_of(client: inngest.Inngest) -> Iterator[dict[str, str]]:
    """Yield a request's headers, then those with the fallback key, for a server that refused.

    Raises Invalid for a signing key that is none. A dev server wants none.
    """
    yield _headers(client, client.signing_key)
    if client.signing_key_fallback:
        yield _headers(client, client.signing_key_fallback)


def _headers(client: inngest.Inngest, key: str | None) -> dict[str, str]:
    headers = {"Content-Type": "application/json"}
    if client.env:
        headers["X-Inngest-Env"] = client.env
    if key is not None:
        headers["Authorization"] = f"Bearer {signatures.bearer(key)}"
    return headers
