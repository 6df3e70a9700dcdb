"""An ASGI app for functions of the Inngest SDK that no web app serves.

Written against inngest 0.5, whose own code for web frameworks is made of `CommHandler`.
"""

import json
import warnings
from collections.abc import Iterable

import inngest

from ..errors import AppError
from .calls import Message, Receive, Send

with warnings.catch_warnings():  # the SDK's own use of pydantic warns, which may be an error here
    warnings.simplefilter("ignore")
    from inngest._internal import comm_lib, server_lib


class ClientApp:
    """Serves functions of a client at every path."""

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
        self._handler = comm_lib.CommHandler(
            client=client,
            enable_unauthed_sync=True,
            framework=server_lib.Framework.FAST_API,
            functions=given,
            streaming=None,
        )

    async def __call__(
        self,
        scope: Message,
        receive: Receive,
        send: Send,
    ) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            return
        answer = await self._answer(scope["method"], await self._request(scope, receive))
        headers = [
            (name.lower().encode(), value.encode()) for name, value in answer.headers.items()
        ]
        status = {"status": answer.status_code, "headers": headers}
        await send({"type": "http.response.start", **status})
        body = answer.body_bytes()
        if isinstance(body, Exception):
            body = json.dumps({"message": str(body)}).encode()
        await send({"type": "http.response.body", "body": body})

    async def _request(self, scope: Message, receive: Receive) -> comm_lib.CommRequest:
        body, more = b"", True
        while more:
            part = await receive()
            body, more = body + part.get("body", b""), part.get("more_body", False)
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        query = dict(
            pair.split("=", 1) for pair in scope["query_string"].decode().split("&") if "=" in pair
        )
        url = f"http://{headers.get('host', 'localhost')}{scope['path']}"
        return comm_lib.CommRequest(
            body=body,
            headers=headers,
            public_path=None,
            query_params=query,
            raw_request=scope,
            request_url=url,
            serve_origin=None,
            serve_path=None,
        )

    async def _answer(self, method: str, request: comm_lib.CommRequest) -> comm_lib.CommResponse:
        if method == "POST":
            return await self._handler.post(request)
        if method == "PUT":
            return await self._handler.put(request)
        return self._handler.get_sync(request)
