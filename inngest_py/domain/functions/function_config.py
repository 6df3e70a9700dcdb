"""The configuration of a function, as an SDK or a person gives it, checked (sync.md §5).

Invariant: every FunctionConfig is valid, so a stored one is read back without checks.
"""

import re
import unicodedata
from dataclasses import dataclass

from ..values import canonical, urls
from ..values.dataclass_json import decode, encode
from ..values.json_fields import whole
from .celery_task import CeleryTask
from .config_fields import CONFIG, Fields, wrong
from .function_limits import (
    Batch,
    Concurrency,
    Debounce,
    RateLimit,
    Singleton,
    Throttle,
    Timeouts,
    parse_batch,
    parse_concurrency,
    parse_debounce,
    parse_priority,
    parse_rate_limit,
    parse_singleton,
    parse_throttle,
    parse_timeouts,
)
from .retries import Backoff
from .triggers import Cancel, CronTrigger, EventTrigger, Trigger, parse_cancels, parse_triggers

__all__ = [
    "Batch",
    "Cancel",
    "CheckpointSettings",
    "Concurrency",
    "CronTrigger",
    "Debounce",
    "EventTrigger",
    "FunctionConfig",
    "RateLimit",
    "Singleton",
    "Throttle",
    "Timeouts",
    "Trigger",
    "config_from_json",
    "parse_config",
    "slug_of",
]

DEFAULT_RETRIES = 4
MAX_RETRIES = 20
_RUNTIMES = ("http", "ws")
_COMBINATION = "combo_unsupported"


@dataclass(frozen=True, slots=True)
class CheckpointSettings:
    """The SDK's own settings for checkpoints, which the server only shows."""

    batch_steps: str | None = None
    batch_interval: str | None = None
    max_runtime: str | None = None


@dataclass(frozen=True, slots=True)
class FunctionConfig:
    """A function as it is registered.

    `url` is the normalised step URL, `runtime_type` is http or ws, `retries` excludes the first
    attempt. `concurrency` limits steps, in ascending order; `run_concurrency` limits whole runs.
    `priority` is the expression for a run's priority in seconds. `backoff` replaces the protocol's
    table; SDKs cannot send it. `celery` is set for a Celery task, which is not called over HTTP.
    """

    slug: str
    name: str
    url: str
    runtime_type: str = "http"
    retries: int = DEFAULT_RETRIES
    triggers: tuple[EventTrigger | CronTrigger, ...] = ()
    concurrency: tuple[Concurrency, ...] = ()
    run_concurrency: Concurrency | None = None
    throttle: Throttle | None = None
    rate_limit: RateLimit | None = None
    debounce: Debounce | None = None
    batch: Batch | None = None
    priority: str | None = None
    cancel: tuple[Cancel, ...] = ()
    timeouts: Timeouts | None = None
    singleton: Singleton | None = None
    checkpoint: CheckpointSettings | None = None
    backoff: Backoff | None = None
    celery: CeleryTask | None = None

    def to_json(self) -> str:
        """Write the configuration as canonical JSON, to be stored."""
        return canonical.dumps(encode(self)).decode()


def config_from_json(stored: str | bytes) -> FunctionConfig:
    """Read what to_json() wrote; it was checked when it was registered."""
    return decode(FunctionConfig, canonical.loads(stored))


def parse_config(config: Fields) -> FunctionConfig:
    """Check a function's configuration (sync.md §5).

    Raises Invalid with the field's path, and the code of sync.md §5.4.
    """
    name = config.text("name")
    if name is None:
        raise wrong(config.at("name"), "is missing: name the function")
    slug = config.text("id") or slug_of(name)
    if not slug:
        raise wrong(config.at("id"), "is missing, and the name holds no letter or digit for one")
    url, runtime_type, retries = _parse_step(config)
    concurrency, run_concurrency = parse_concurrency(config)
    made = FunctionConfig(
        slug=slug,
        name=name,
        url=url,
        runtime_type=runtime_type,
        retries=retries,
        triggers=parse_triggers(config),
        concurrency=concurrency,
        run_concurrency=run_concurrency,
        throttle=parse_throttle(config),
        rate_limit=parse_rate_limit(config),
        debounce=parse_debounce(config),
        batch=parse_batch(config),
        priority=parse_priority(config),
        cancel=parse_cancels(config),
        timeouts=parse_timeouts(config),
        singleton=parse_singleton(config),
        checkpoint=_parse_checkpoint(config),
    )
    check_combination(made, config)
    return made


def slug_of(name: str) -> str:
    """Make a slug of a name: lower-case letters and digits, joined by hyphens."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")


def _parse_step(config: Fields) -> tuple[str, str, int]:
    """Read the one step: its normalised URL, its runtime's type and the retries."""
    steps = config.object("steps")
    if steps is None or len(steps.given) != 1:
        raise wrong(config.at("steps"), "must hold exactly one step, under a name such as step")
    [(name, given)] = steps.given.items()
    step = Fields({} if given is None else given, steps.at(name[:64]))
    runtime = step.object("runtime")
    if runtime is None:
        raise wrong(step.at("runtime"), 'is missing: write {"type":"http","url":"…"}')
    written = runtime.text("url", urls.MAX_URL_CHARS)
    if written is None:
        raise wrong(runtime.at("url"), "is missing: give the URL that serves the function")
    url = urls.normalise(written, field=runtime.at("url"))
    kind = runtime.text("type") or ("ws" if urls.is_connect(url) else "http")
    if kind not in _RUNTIMES:
        raise wrong(runtime.at("type"), "must be http or ws")
    retries = _attempts(step)
    if retries is None:
        retries = _attempts(config)
    return url, kind, DEFAULT_RETRIES if retries is None else min(retries, MAX_RETRIES)


def _attempts(item: Fields) -> int | None:
    """Read `retries`: an object with `attempts`, or just a number, as people write it."""
    value = item.get("retries")
    if isinstance(value, int | float):
        return whole(value, item.at("retries"), code=CONFIG)
    retries = item.object("retries")
    return None if retries is None else retries.integer("attempts")


def _parse_checkpoint(config: Fields) -> CheckpointSettings | None:
    key = "checkpoint" if config.get("checkpoint") is not None else "checkpointing"
    if isinstance(config.get(key), bool):  # a switch for the SDK alone: nothing to show
        return None
    item = config.object(key)
    if item is None:
        return None
    names = ("batch_steps", "batch_interval", "max_runtime")
    made = CheckpointSettings(*(_shown(item, name) for name in names))
    return None if made == CheckpointSettings() else made


def _shown(item: Fields, key: str) -> str | None:
    """Read a number or a text, as text."""
    value = item.get(key)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return canonical.dumps(value).decode()
    return item.text(key)


def check_combination(made: FunctionConfig, config: Fields, cancel: str = "cancel") -> None:
    """Refuse settings that an event batch cannot be combined with (sync.md §5.4).

    `cancel` is the field of what cancels runs. Raises Invalid.
    """
    if made.batch is None:
        return
    others = {
        cancel: made.cancel,
        "debounce": made.debounce,
        "singleton": made.singleton,
        "priority": made.priority,
    }
    for key, value in others.items():
        if value:
            problem = f"cannot be combined with batchEvents: remove {key} or batchEvents"
            raise wrong(config.at(key), problem, _COMBINATION)
