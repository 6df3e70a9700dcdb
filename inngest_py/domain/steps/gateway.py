"""Gateway calls: the HTTP request that an op asks the server to make (execution.md §4.2).

The request is built when the op arrives, and is stored in its queue item. `reply.gateway_answers`
decides what the answer means. A request holds keys, so no log, error or timeline may show it.
"""

import re
from dataclasses import asdict, dataclass, field
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from ..errors import Invalid
from ..limits import MAX_STEP_BYTES
from ..values import canonical
from ..values.json_types import JsonObject
from .opcodes import Op, Opcode

MAX_URL_CHARS = 16 * 1024
_METHOD = re.compile(r"[A-Z]{1,20}")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# Headers of one connection. The HTTP client sets its own.
_OWN_HEADERS = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-length",
        "host",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
# Names of headers and query parameters that hold keys, as Gemini's and those of signed links do.
_SECRET_NAME = re.compile(
    r"(?!idempotency-)(.*[_-])?"
    r"(key|apikey|token|secret|password|sig|signature|auth|authorization|cookie)"
)
_SHORTEST_SECRET = 8  # a shorter key would also match ordinary text
_HIDDEN = "[redacted]"


@dataclass(frozen=True, slots=True)
class GatewayRequest:
    """One HTTP request; `secret` is the key that errors must not show, "" without one."""

    op: str
    method: str
    url: str
    headers: dict[str, str] = field(default_factory=dict)
    body: str | None = None
    secret: str = ""
    race: bool = False

    @property
    def is_ai(self) -> bool:
        """Whether the call is to a model: a status over 299 or no JSON is then an error."""
        return self.op == Opcode.AI_GATEWAY.value

    def text(self) -> str:
        """Write the request for its queue item; read() reads it."""
        return canonical.dumps(asdict(self)).decode()

    def headers_without_keys(self) -> dict[str, str]:
        """Return the headers for a redirect to another host, without those that hold keys."""
        return {
            name: value
            for name, value in self.headers.items()
            if not _SECRET_NAME.fullmatch(name.lower())
            and (not self.secret or self.secret not in value)
        }

    def url_without_keys(self, url: str) -> str:
        """Remove our keys from the URL of a redirect to another host, which may repeat them."""
        given = {value for _, value in _pairs(self.url)}
        kept = [
            (name, value)
            for name, value in _pairs(url)
            if not (_SECRET_NAME.fullmatch(name.lower()) and value in given)
            and (not self.secret or self.secret not in value)
        ]
        return urlunsplit(urlsplit(url)._replace(query=urlencode(kept)))

    def redact(self, text: str) -> str:
        """Hide the key in a text that an error will show."""
        if len(self.secret) < _SHORTEST_SECRET:
            return text
        return text.replace(self.secret, _HIDDEN).replace(quote(self.secret), _HIDDEN)


def read(text: str) -> GatewayRequest:
    """Read a request back from its queue item."""
    return GatewayRequest(**canonical.loads(text))


def request(op: Op) -> GatewayRequest:
    """Build the request of an AIGateway or Gateway op.

    Raises Invalid for a request that no client could send; its message becomes the step's error.
    """
    made = _ai_request(op) if op.code is Opcode.AI_GATEWAY else _plain_request(op)
    if len(made.text().encode()) > MAX_STEP_BYTES:
        raise Invalid(f"the request is over {MAX_STEP_BYTES} bytes", field="body")
    return made


def refused(op: Op, message: str) -> JsonObject:
    """Make the step's error for a request that cannot be sent."""
    ai = op.code is Opcode.AI_GATEWAY
    name, label = ("AIGatewayError", "AI") if ai else ("GatewayError", "gateway")
    return {"name": name, "message": f"Error making {label} request: {message}"}


def _ai_request(op: Op) -> GatewayRequest:
    opts = op.opts
    key = _text(opts, "auth_key")
    shape = _text(opts, "format").lower()
    url = _url(opts)
    headers = _with_type(_headers(opts))
    if key and shape == "gemini":
        url = _with_key(url, key)
    elif key and shape == "anthropic":
        headers = _replaced(headers, "X-Api-Key", key)
    elif key and shape == "bedrock":
        headers = _replaced(headers, "Authorization", key)
    elif key:
        headers = _replaced(headers, "Authorization", f"Bearer {key}")
    _check_headers(headers)
    body = canonical.dumps(opts.get("body") if "body" in opts else {}).decode()
    return GatewayRequest(op.code.value, "POST", url, headers, body, key, op.races)


def _plain_request(op: Op) -> GatewayRequest:
    opts = op.opts
    method = (_text(opts, "method") or "GET").upper()
    if not _METHOD.fullmatch(method) or method in ("CONNECT", "TRACE"):
        raise Invalid("the method is not an HTTP method: use GET, POST …", field="method")
    body = _body(opts.get("body"))
    headers = _headers(opts)
    if body is not None:
        headers = _with_type(headers)
    _check_headers(headers)
    return GatewayRequest(op.code.value, method, _url(opts), headers, body, "", op.races)


def _body(given: object) -> str | None:
    """Write the body as the protocol asks: JSON as it is, other text quoted; None is no body."""
    if given is None or given == "":
        return None
    if not isinstance(given, str):
        return canonical.dumps(given).decode()
    try:
        canonical.loads(given)
    except Invalid:
        return canonical.dumps(given).decode()
    return given


def _url(opts: JsonObject) -> str:
    url = _text(opts, "url").strip()
    if not url:
        raise Invalid("the request has no url", field="url")
    if len(url) > MAX_URL_CHARS:
        raise Invalid(f"the url is over {MAX_URL_CHARS} characters", field="url")
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise Invalid("the url is not an absolute http or https URL", field="url")
    return urlunsplit(parts._replace(fragment=""))


def _pairs(url: str) -> list[tuple[str, str]]:
    return parse_qsl(urlsplit(url).query, keep_blank_values=True)


def _with_key(url: str, key: str) -> str:
    parts = urlsplit(url)
    pairs = [pair for pair in _pairs(url) if pair[0] != "key"]
    return urlunsplit(parts._replace(query=urlencode([*pairs, ("key", key)])))


def _headers(opts: JsonObject) -> dict[str, str]:
    given = opts.get("headers")
    found = {"User-Agent": "Inngest"}
    if not isinstance(given, dict):
        return found
    for name, value in given.items():
        if value is None or name.lower() in _OWN_HEADERS:
            continue
        values = value if isinstance(value, list) else [value]
        found = _replaced(found, name, ", ".join(_shown(one) for one in values))
    return found


def _shown(value: object) -> str:
    return value if isinstance(value, str) else canonical.dumps(value).decode()


def _with_type(headers: dict[str, str]) -> dict[str, str]:
    if any(name.lower() == "content-type" for name in headers):
        return headers
    return headers | {"Content-Type": "application/json"}


def _replaced(headers: dict[str, str], name: str, value: str) -> dict[str, str]:
    kept = {given: v for given, v in headers.items() if given.lower() != name.lower()}
    return kept | {_canonical(name): value}


def _canonical(name: str) -> str:
    """Write a header's name as the reference sends it: `x-api-key` as `X-Api-Key`."""
    return "-".join(part.capitalize() for part in name.split("-"))


def _check_headers(headers: dict[str, str]) -> None:
    """Refuse headers that HTTP cannot hold. Errors show no value, as it may be a key."""
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name):
            raise Invalid("a header's name is not a token", field="headers")
        if not value.isprintable() and not value.replace("\t", " ").isprintable():
            raise Invalid(f"the header {name} holds control characters", field="headers")
        try:
            value.encode("latin-1")
        except UnicodeEncodeError:
            raise Invalid(f"the header {name} is not Latin-1", field="headers") from None


def _text(opts: JsonObject, name: str) -> str:
    value = opts.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Invalid(f"{name} is not a string", field=name)
    return value
