"""Requests over a connection: their ids, their frames, and what a worker's reply means.

A request's id names its item, generation and lease, so that every process can tell what a reply is
for.
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from google.protobuf.message import DecodeError

from ..errors import Invalid
from ..limits import MAX_RESPONSE_BYTES
from ..reply.read import Reply
from ..runs.items import Item
from ..values import ids
from .messages_pb2 import GatewayExecutorRequestData, SDKResponse, SDKResponseStatus

# how long a worker may be silent about a request; it is asked to extend four times as often (§5)
LEASE = timedelta(minutes=2)
# when a request that was never acknowledged counts as not begun
ACK_WITHIN = LEASE + timedelta(seconds=5)
_STATUS = {
    SDKResponseStatus.NOT_COMPLETED: 206,
    SDKResponseStatus.DONE: 200,
    SDKResponseStatus.ERROR: 500,
}
# how WORKER_REPLY begins: its kind, its payload's length, and the length of the request's id.
# protobuf reads whole messages only; all SDKs write the fields in the order of their numbers.
_REPLY_HEAD = re.compile(rb"\x08\x06\x12[\x80-\xff]{0,9}[\x00-\x7f]\x0a([\x01-\x7f])", re.DOTALL)
_MOST_HEADER_CHARS = 255
_MOST_DIGITS = 10


@dataclass(frozen=True, slots=True)
class RequestKey:
    """What a request's id stands for: an item, which of its requests, and under which lease."""

    item_id: str
    generation: int
    lease_id: str


def request_id(item: Item) -> str:
    """Write the id of a leased item's request."""
    return f"{item.id}-{item.generation}-{item.lease_id}"


def read_request_id(text: str) -> RequestKey:
    """Read the id that request_id() wrote. Raises Invalid."""
    item_id, generation, lease_id = (*text.split("-", 2), "", "")[:3]
    number = generation if generation.isascii() and generation.isdigit() else ""
    if not (ids.is_ulid(item_id) and 0 < len(number) <= _MOST_DIGITS and ids.is_ulid(lease_id)):
        raise Invalid("request_id is not of this server", field="request_id")
    return RequestKey(item_id, int(number), lease_id)


def lease_id(now: datetime, entropy: bytes) -> str:
    """Make the id of a lease that begins now; its time part is the lease's end (§5)."""
    return ids.ulid(int((now + LEASE).timestamp() * 1000), entropy)


class Request(NamedTuple):
    """A request to a worker; `payload` is the body of an HTTP execution, `trace` JSON."""

    id: str
    lease_id: str
    app_id: str
    app_name: str
    function_id: str
    function_slug: str
    step: str | None
    run_id: str
    job_id: str
    payload: bytes
    trace: bytes = b""

    def message(self) -> GatewayExecutorRequestData:
        """Write the message of GATEWAY_EXECUTOR_REQUEST."""
        return GatewayExecutorRequestData(
            request_id=self.id,
            account_id=ids.DEV_ACCOUNT_ID,
            env_id=ids.DEV_ENV_ID,
            app_id=self.app_id,
            app_name=self.app_name,
            function_id=self.function_id,
            function_slug=self.function_slug,
            step_id=self.step,
            request_payload=self.payload,
            system_trace_ctx=self.trace,
            user_trace_ctx=self.trace,
            run_id=self.run_id,
            lease_id=self.lease_id,
            job_id=self.job_id,
        )


def read_response(payload: bytes) -> SDKResponse:
    """Read a worker's reply. Raises Invalid."""
    try:
        found = SDKResponse.FromString(payload)
    except DecodeError:
        raise Invalid("the body is not an SDKResponse") from None
    if not found.request_id:
        raise Invalid("request_id is missing", field="request_id")
    return found


def read_cut_response(head: bytes) -> SDKResponse | None:
    """Read which request a WORKER_REPLY answers from how it begins; None if it is none."""
    found = _REPLY_HEAD.match(head)
    if found is None:
        return None
    request_id = head[found.end() :][: found[1][0]].decode("ascii", "replace")
    try:
        read_request_id(request_id)
    except Invalid:
        return None
    return SDKResponse(request_id=request_id)


def reply_of(response: SDKResponse, *, is_cut: bool = False) -> Reply:
    """Read a worker's reply as the HTTP answer that it stands for (§5).

    One that is larger than an answer may be over HTTP is too large here as well, and so is one that
    is cut, because its message was.
    """
    headers = {
        "x-inngest-sdk": response.sdk_version[:_MOST_HEADER_CHARS] or "connect",
        "x-inngest-req-version": str(response.request_version),
    }
    status = _STATUS.get(response.status, 500)
    if status == 200 and response.no_retry:
        status = 400  # the TypeScript SDK sends an error that is not to be retried as DONE
    if status != 200:
        headers["x-inngest-no-retry"] = "true" if response.no_retry else "false"
    if response.retry_after:
        headers["retry-after"] = response.retry_after[:_MOST_HEADER_CHARS]
    if is_cut or len(response.body) > MAX_RESPONSE_BYTES:
        return Reply(status, headers, too_large=True)
    return Reply(status, headers, response.body)
