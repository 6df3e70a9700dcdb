"""URLs of serve endpoints and their steps, in one spelling each, so that they can be compared."""

import ipaddress
import re
from urllib.parse import SplitResult, parse_qsl, quote, urlencode, urlsplit, urlunsplit

from ..errors import Invalid

HTTP = frozenset({"http", "https"})
CONNECT = frozenset({"ws", "wss"})
MAX_URL_CHARS = 2048
# An app's name and URL share an index row; PostgreSQL refuses those over 2704 bytes.
MAX_SERVE_URL_BYTES = 1536
_HINT = "give the URL of the serve endpoint, like http://localhost:3000/api/inngest"
_LABEL = r"[^\W_](?:[\w-]{0,61}\w)?|_[\w-]{0,61}\w"  # of a host's name; any script, and `_`
_HOST = re.compile(rf"(?:{_LABEL})(?:\.(?:{_LABEL}))*\.?")
_MAX_HOST_CHARS = 253
_DROPPED = frozenset({"deployId", "probe"})
_LOOPBACK = frozenset({"127.0.0.1", "0.0.0.0", "localhost"})  # noqa: S104 - a name, not a bind
_DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
_STEP = "stepId"
_FUNCTION = "fnId"


def normalise(url: str, *, field: str = "url") -> str:
    """Write a URL in its one spelling (sync.md §7).

    `deployId`, `probe` and default ports are removed, a loopback host with a port becomes
    localhost, and the query is encoded in alphabetical order. Raises Invalid, which names the
    field, for all but absolute URLs with a scheme of HTTP or CONNECT.
    """
    parts = _split(url, field)
    query = [pair for pair in _query(parts, field) if pair[0] not in _DROPPED]
    # sorted() is stable: repeated parameters keep their order
    query.sort(key=lambda pair: pair[0])
    path = quote(parts.path, safe="/%:@!$&'()*+,;=~")
    found = urlunsplit((parts.scheme, _authority(parts), path, urlencode(query), ""))
    if len(found) > MAX_URL_CHARS:  # percent-encoding makes it longer
        raise _invalid(field, f"is over {MAX_URL_CHARS} characters: shorten it")
    return found


def serve_endpoint(url: str) -> str:
    """Write the URL that a person gave for an app in the stored form (sync.md §3).

    Without a scheme, http is added if a port, a path or a dot shows that the text begins with a
    host; a single word could be anything. Raises Invalid, also for a scheme that is not HTTP's.
    """
    if "://" not in url:
        if url != "localhost" and not any(char in url for char in ":/."):
            raise _invalid("url", f"is not a URL: {_HINT}")
        url = f"http://{url}"
    scheme = url.partition(":")[0].lower()
    if scheme in CONNECT:
        raise _invalid("url", "is that of connected workers: their app syncs when one connects")
    if scheme not in HTTP:
        raise _invalid("url", "must begin with http:// or https://")
    return short_enough(normalise(url))


def short_enough(url: str) -> str:
    """Return a serve endpoint. Raises Invalid when it is too long to be stored."""
    if len(url.encode()) > MAX_SERVE_URL_BYTES:
        raise _invalid("url", f"is over {MAX_SERVE_URL_BYTES} bytes when encoded: shorten it")
    return url


def _split(url: str, field: str) -> SplitResult:
    if len(url) > MAX_URL_CHARS:
        raise _invalid(field, f"is over {MAX_URL_CHARS} characters: shorten it")
    if any(char <= " " or char == "\x7f" or "\ud800" <= char <= "\udfff" for char in url):
        raise _invalid(field, "holds white space or control characters: percent-encode them")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise _invalid(field, f"is not a URL: {error}") from None
    if parts.scheme not in HTTP | CONNECT:
        raise _invalid(field, "must begin with http://, https://, ws:// or wss://")
    if not parts.hostname or port == 0:
        raise _invalid(field, "must name a host, and a port above 0 where it has one")
    if not _is_host(parts.hostname):
        raise _invalid(field, f"names a host {parts.hostname[:64]!r} that cannot be one: {_HINT}")
    return parts


def _is_host(host: str) -> bool:
    if ":" in host:
        try:
            ipaddress.IPv6Address(host)
        except ValueError:
            return False
        return True
    return len(host) <= _MAX_HOST_CHARS and _HOST.fullmatch(host) is not None


def _query(parts: SplitResult, field: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(parts.query, keep_blank_values=True, errors="strict")
    except ValueError:
        raise _invalid(field, "has a query that is not UTF-8") from None


def _authority(parts: SplitResult) -> str:
    user, at, _ = parts.netloc.rpartition("@")
    host = parts.hostname or ""
    if parts.port is not None and host in _LOOPBACK:
        host = "localhost"
    if ":" in host:  # an IPv6 address: urlsplit has removed its brackets
        host = f"[{host}]"
    port = "" if parts.port in (None, _DEFAULT_PORTS[parts.scheme]) else f":{parts.port}"
    return f"{user}{at}{host}{port}"


def _invalid(field: str, text: str) -> Invalid:
    return Invalid(f"{field} {text}", field=field, code="config_invalid")


def with_step(url: str, step_id: str) -> str:
    """Replace `stepId`, and nothing else, in the URL of a call (execution.md §1).

    A URL without `stepId` gets it at the end of its query.
    """
    base, _, query = url.partition("?")
    pairs = [pair for pair in query.split("&") if pair]
    wanted = f"{_STEP}={quote(step_id, safe='')}"
    places = [place for place, pair in enumerate(pairs) if pair.split("=", 1)[0] == _STEP]
    if places:
        pairs[places[0]] = wanted
        pairs = [pair for place, pair in enumerate(pairs) if place not in places[1:]]
    else:
        pairs.append(wanted)
    return f"{base}?{'&'.join(pairs)}"


def at_endpoint(step_url: str, endpoint: str, function: str) -> str:
    """Move the URL of a function's calls to another serve endpoint of its app.

    `function` names the function if the URL does not.
    """
    pairs = step_url.partition("?")[2].split("&")
    mine = [pair for pair in pairs if pair.split("=", 1)[0] == _FUNCTION]
    query = "&".join([*(mine or [urlencode({_FUNCTION: function})]), f"{_STEP}=step"])
    return f"{endpoint}{'&' if '?' in endpoint else '?'}{query}"


def serve_url(step_url: str) -> str:
    """Remove `fnId` and `stepId` from a step URL, which leaves the app's serve endpoint."""
    base, _, query = step_url.partition("?")
    kept = [pair for pair in query.split("&") if pair.split("=", 1)[0] not in (_FUNCTION, _STEP)]
    return f"{base}?{'&'.join(kept)}" if any(kept) else base


def is_http(url: str) -> bool:
    """Say whether this is a valid URL of HTTP."""
    try:
        return not is_connect(normalise(url))
    except Invalid:
        return False


def is_connect(url: str) -> bool:
    """Say whether the URL names a Connect worker and not an HTTP endpoint."""
    return url.partition(":")[0] in CONNECT


def without_secrets(url: str) -> str:
    """Return a URL for people: without user, password and query, where keys may stand."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "a malformed URL"
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=host, query="", fragment=""))
