"""Topics of channels, and what a token grants."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ..access import tokens
from ..errors import Invalid
from ..values import ids
from ..values.checks import check_text, kind
from ..values.json_fields import JsonFields
from ..values.json_types import JsonObject

RUN = "$run"
STEP = "$step"
STREAM = "$stream"
KINDS = ("run", "event")
_MOST = 1000
_LONGEST_NAME = 1024


class Topic(NamedTuple):
    """A topic of a channel. The channel of a run is its id."""

    channel: str
    name: str
    kind: str = "run"

    @property
    def run_id(self) -> str | None:
        """The run whose own messages it may be for: the channel, if that is a run's id."""
        return self.channel if self.name != STREAM and ids.is_ulid(self.channel) else None

    def to_json(self) -> JsonObject:
        """Write it as tokens and clients have it."""
        return {"channel": self.channel, "name": self.name, "kind": self.kind}


@dataclass(frozen=True, slots=True)
class Grant:
    """What a token allows: to subscribe to its topics, or to publish to them.

    One that allows to publish and names no topics allows all.
    """

    topics: tuple[Topic, ...]
    may_publish: bool = False

    def allows(self, topic: Topic) -> bool:
        """Say whether its bearer may publish to a topic."""
        return self.may_publish and (not self.topics or topic in self.topics)


class _TopicFields(JsonFields):
    WHOLE = "a topic"


def parse(given: object, what: str = "the body") -> tuple[Topic, ...]:
    """Read a list of topics. Raises Invalid, which names the field."""
    if not isinstance(given, list):
        raise Invalid(f"{what} must be an array of topics, not {kind(given)}", field=what)
    if len(given) > _MOST:
        raise Invalid(f"{what} has over {_MOST} topics", field=what)
    return tuple(_parse_one(one, f"[{index}]") for index, one in enumerate(given))


def _parse_one(given: object, path: str) -> Topic:
    fields = _TopicFields(given, path)
    channel, name = (_name(fields, field, path) for field in ("channel", "name"))
    of_kind = fields.given.get("kind") or KINDS[0]
    if of_kind not in KINDS:
        field = f"{path}.kind"
        raise Invalid(f"{field} must be one of {', '.join(KINDS)}", field=field)
    return Topic(channel, name, str(of_kind))


def _name(fields: JsonFields, field: str, path: str) -> str:
    found, where = fields.given.get(field), f"{path}.{field}"
    if not isinstance(found, str) or not found:
        raise Invalid(f"{where} must be a string that is not empty", field=where)
    return check_text(found, where, _LONGEST_NAME, where)


def make_token(topics: Sequence[Topic], secret: bytes, now_s: int, *, publish: bool) -> str:
    """Make a token for topics. Raises Invalid if they are too many for one."""
    listed = [topic.to_json() for topic in topics]
    return tokens.realtime(listed, secret, now_s, publish=publish)


def grant_of(token: str, known: tuple[bytes, ...], now_s: float) -> Grant:
    """Read what a token allows. Raises Invalid for one that is not ours or has expired."""
    claims = tokens.read(token, known, issuer=tokens.REALTIME, now_s=now_s)
    return Grant(parse(claims.get("topics") or []), claims.get("publish") is True)


def subscribed_to(token: str, known: tuple[bytes, ...], now_s: float) -> tuple[Topic, ...]:
    """Read the topics of a subscriber's token. Raises Invalid, also for one to publish with."""
    grant = grant_of(token, known, now_s)
    if grant.may_publish:
        raise Invalid("the token is for publishing")
    return grant.topics
