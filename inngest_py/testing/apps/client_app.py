"""Functions of the Inngest SDK that no web app serves.

Written against inngest 0.5, whose own code for web frameworks is made of `CommHandler`.
"""

import json
import warnings
from collections.abc import Iterable
from urllib.parse import parse_qsl, urlsplit

import inngest

from ...domain.reply.read import Reply
from ..errors import AppError
from .calls import Request

with warnings.catch_warnings():  # the SDK's own use of pydantic warns, which may be an error here
    warnings.simplefilter("ignore")
    from inngest._internal import comm_lib, server_lib


class ClientApp:
    """Serves functions of a client, whatever the path."""

    def __init__(self, client: object, functions: object) -> None:
        """Prepare it. Raises AppError if these are no client and functions."""
        if not isinstance(client, inngest.Inngest) or not isinstance(functions, Iterable):
            raise AppError(
                "a pair has to be (client, functions): an inngest.Inngest and a list of what"
                f" client.create_function() made, not {client!r} and {functions!r}"
            )
        given = list(functions)
        for one in given:
            if not isinstance(one, inngest.Function):
                raise AppError(f"this is no function of client.create_function(): {one!r}")
        self.is_async = any(
            one.is_handler_async or one.is_on_failure_handler_async for one in given
        )
        self._handler = comm_lib.CommHandler(
            client=client,
            enable_unauthed_sync=True,
            framework=server_lib.Framework.FLASK,
            functions=given,
            streaming=None,
        )

    def call(self, request: Request) -> Reply:
        """Answer a request in this thread; for blocking functions alone."""
        asked = _asked(request)
        if request.method == "POST":
            return _reply(self._handler.post_sync(asked))
        if request.method == "PUT":
            return _reply(self._handler.put_sync(asked))
        return _reply(self._handler.get_sync(asked))

    async def answer(self, request: Request) -> Reply:
        """Answer a request in this event loop."""
        asked = _asked(request)
        if request.method == "POST":
            return _reply(await self._handler.post(asked))
        if request.method == "PUT":
            return _reply(await self._handler.put(asked))
        return _reply(self._handler.get_sync(asked))


def _asked(request: Request) -> comm_lib.CommRequest:
    parts = urlsplit(request.url)
    return comm_lib.CommRequest(
        body=request.body,
        headers=dict(request.headers),
        public_path=None,
        query_params=dict(parse_qsl(parts.query)),
        raw_request=request,
        request_url=request.url,
        serve_origin=None,
        serve_path=None,
    )


def _reply(answer: comm_lib.CommResponse) -> Reply:
    body = answer.body_bytes()
    if isinstance(body, Exception):
        return Reply(500, {}, json.dumps({"message": str(body)}).encode())
    headers = {name.lower(): value for name, value in answer.headers.items()}
    return Reply(answer.status_code, headers, body)
