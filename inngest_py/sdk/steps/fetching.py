"""Fetch: an HTTP request that the server makes, while the app does nothing."""

import json as json_
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import overload
from urllib.parse import urlsplit

import inngest

from .. import internals, json_values
from ..internals import AnyContext, Op
from .arguments import check_id, check_name, reported


class FetchFailed(inngest.NonRetriableError):
    """The status of an answer says that the request failed."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """The answer of an HTTP request; `url` is the last one after redirects."""

    status: int
    headers: Mapping[str, str]
    text: str
    url: str

    @property
    def ok(self) -> bool:
        """Whether the status is below 400."""
        return self.status < 400

    def json(self) -> object:
        """Read the body as JSON. Raises ValueError."""
        found: object = json_.loads(self.text)
        return found

    def raise_for_status(self) -> None:
        """Raise FetchFailed, which is not retried, for a status from 400 on."""
        if not self.ok:
            raise FetchFailed(f"HTTP {self.status} from {self.url}: {self.text[:200]}")


@overload
def fetch(
    ctx: inngest.ContextSync,
    step_id: str,
    url: str,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: str | None = None,
    json: object = None,
) -> Fetched: ...


@overload
def fetch(
    ctx: inngest.Context,
    step_id: str,
    url: str,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: str | None = None,
    json: object = None,
) -> Awaitable[Fetched]: ...


def fetch(
    ctx: AnyContext,
    step_id: str,
    url: str,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: str | None = None,
    json: object = None,
) -> Fetched | Awaitable[Fetched]:
    """Let the server make an HTTP request; no code of the app runs meanwhile.

    Each answer is a result, those of a status from 400 on too. A server that cannot be reached
    fails the attempt. `json` is sent as JSON. `body` is sent as it is if it is JSON, and quoted as
    JSON text otherwise: the protocol has it so. Raises ValueError or TypeError.
    """
    parsed = internals.parsed(ctx, check_id(ctx, step_id))
    opts: dict[str, object] = {
        "url": _url(url),
        "method": check_name("method", method).upper(),
        "headers": _headers(headers),
        "body": _body(body, json),
    }
    return reported(ctx, internals.info(parsed, Op.GATEWAY, opts=opts), _fetched)


def _fetched(found: object) -> Fetched:
    got = found if isinstance(found, dict) else {}
    return Fetched(
        status=int(got.get("status_code") or 0),
        headers=got.get("headers") or {},
        text=str(got.get("body") or ""),
        url=str(got.get("url") or ""),
    )


def _url(given: object) -> str:
    url = check_name("url", given)
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"url: give an absolute URL, such as https://example.com/, not {url!r}")
    return url


def _headers(given: Mapping[str, str] | None) -> dict[str, str]:
    headers = dict(given or {})
    for name, value in headers.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise TypeError(f"headers: names and values must be text: {name!r} is not")
    return headers


def _body(body: str | None, given: object) -> str | None:
    if body is not None and given is not None:
        raise ValueError("body, json: give one of them, not both")
    if body is not None and not isinstance(body, str):
        raise TypeError(f"body: give text, not a value of type {type(body).__name__}")
    if given is None:
        return body
    json_values.check(given, "argument json", "json")
    return json_.dumps(given)
