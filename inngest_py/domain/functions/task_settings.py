"""The settings of a Celery task, in one form for the config file, the API and the command line.

Two layers are stored as they were written: what the API, the command line and pages have set, and
what the config file says, which leads. The function's configuration is made of both.
"""

import difflib
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

from .. import cel
from ..canvas.options import read_options
from ..cel.nodes import MISSING
from ..errors import Invalid
from ..limits import MAX_WAIT
from ..values import canonical
from ..values.checks import kind
from ..values.json_types import JsonObject
from . import celery_task, exact_shapes
from .celery_task import FAIL, RETRY, CeleryTask
from .config_fields import Fields, wrong
from .function_config import MAX_RETRIES, FunctionConfig, check_combination
from .function_limits import (
    RateLimit,
    parse_batch,
    parse_concurrency,
    parse_debounce,
    parse_priority,
    parse_rate_limit,
    parse_singleton,
    parse_throttle,
    parse_timeouts,
)
from .retries import parse_backoff
from .triggers import Cancel, CronTrigger, Trigger, parse_cancels, parse_triggers

# The names of SDKs' configurations, and after them those that only tasks have.
NAMES = (
    *("retries", "backoff", "concurrency", *exact_shapes.PARTS, "idempotency", "cancelOn"),
    *("on", "args", "kwargs", "queue", "timeout", "on_lost", "terminate"),
)
_EVENT, _EVENTS = frozenset({"event"}), frozenset({"events"})
_CRON = ("cron", "jitter", "args", "kwargs", "queue", "priority", "expires")
_ON = {"event": ("event", "if", "args", "kwargs"), "cron": _CRON}
_CANCEL = ("event", "if", "timeout")
_FOLDED = {name.casefold(): name for name in NAMES}
_MEANT = _FOLDED | {"triggers": "on"}  # the field's name in SDKs' registrations


def canonical_names(given: object, path: str = "") -> JsonObject:
    """Return settings under their own names, a lone trigger as a list. Raises Invalid.

    Names match in upper and lower case, as in SDKs' configurations.
    """
    found: JsonObject = {}
    fields = Fields(given, path)
    for key, value in fields.given.items():
        name = _FOLDED.get(str(key).casefold())
        if name is None:
            raise _unknown(fields, str(key))
        alone = name in ("on", "cancelOn") and isinstance(value, dict)
        found[name] = [value] if alone else value
    return found


def _unknown(fields: Fields, key: str) -> Invalid:
    plain = key.replace("_", "").replace("-", "").casefold()
    near = difflib.get_close_matches(plain, _MEANT, n=1, cutoff=0.6)
    hint = f"did you mean {_MEANT[near[0]]}?" if near else f"only {', '.join(NAMES)} are"
    return wrong(fields.at(key[:64]), f"is not known here: {hint}")


def applied(base: FunctionConfig, settings: Mapping[str, object], path: str = "") -> FunctionConfig:
    """Make a task's configuration: its function's slug, name and task, and these settings.

    A setting that is left out, or null, has its default. Raises Invalid with the field's path.
    """
    fields = Fields(dict(settings), path)
    exact_shapes.check(fields, ("concurrency", *exact_shapes.PARTS))
    steps, whole = parse_concurrency(fields)
    made = replace(
        base,
        retries=_retries(fields),
        triggers=_triggers(fields),
        concurrency=steps,
        run_concurrency=whole,
        throttle=parse_throttle(fields),
        rate_limit=_rate_limit(fields),
        debounce=parse_debounce(fields),
        batch=parse_batch(fields),
        priority=parse_priority(fields),
        cancel=_cancels(fields),
        timeouts=parse_timeouts(fields),
        singleton=parse_singleton(fields),
        backoff=parse_backoff(fields),
        celery=_task(base.celery or CeleryTask(), fields),
    )
    check_combination(made, fields, cancel="cancelOn")
    _check_inputs(made, fields)
    return made


def _retries(fields: Fields) -> int:
    retries = fields.integer("retries") or 0
    if retries > MAX_RETRIES:
        raise wrong(fields.at("retries"), f"must be a number from 0 to {MAX_RETRIES}")
    return retries


def _rate_limit(fields: Fields) -> RateLimit | None:
    if fields.has("idempotency") and fields.has("rateLimit"):
        problem = "cannot be combined with rateLimit: an idempotency is one of 1 in 24 h"
        raise wrong(fields.at("idempotency"), problem)
    return parse_rate_limit(fields)


def _triggers(fields: Fields) -> tuple[Trigger, ...]:
    found = parse_triggers(fields, "on", condition="if", task=True)
    items = fields.objects("on", len(found))
    made = []
    for trigger, item in zip(found, items, strict=True):
        what = "cron" if isinstance(trigger, CronTrigger) else "event"
        exact_shapes.only(item, _ON[what])
        args, kwargs = _expression(item, "args"), _expression(item, "kwargs")
        with_args = replace(trigger, args=args, kwargs=kwargs)
        if isinstance(with_args, CronTrigger):
            with_args = _with_options(with_args, item)
        made.append(with_args)
    return tuple(made)


def _with_options(trigger: CronTrigger, item: Fields) -> CronTrigger:
    """Read the options with which a schedule sends its task; they are checked as a signature's."""
    names = ("queue", "priority", "expires")
    given = {name: item.get(name) for name in names if item.get(name) is not None}
    try:
        read = read_options(given, item.path)
    except Invalid as error:
        raise wrong(error.field or item.path, error.message.partition(" ")[2]) from None
    expires = read.get("expires")
    if expires is not None and (not isinstance(expires, int | float) or expires <= 0):
        raise wrong(item.at("expires"), "must be a number of seconds above 0")
    return replace(trigger, **read)  # type: ignore[arg-type]


def _cancels(fields: Fields) -> tuple[Cancel, ...]:
    found = parse_cancels(fields, "cancelOn")
    for item in fields.objects("cancelOn", len(found)):
        exact_shapes.only(item, _CANCEL)
    return found


def _task(task: CeleryTask, fields: Fields) -> CeleryTask:
    default = CeleryTask()
    timeout = fields.duration("timeout", most=MAX_WAIT)
    if timeout is not None and timeout <= timedelta(0):
        raise wrong(fields.at("timeout"), "must be a duration above zero, such as 30m")
    on_lost = fields.text("on_lost") or default.on_lost
    if on_lost not in (RETRY, FAIL):
        raise wrong(fields.at("on_lost"), f"must be {RETRY} or {FAIL}")
    queue = fields.text("queue")
    if queue is not None:
        try:
            celery_task.check_queue(queue)
        except Invalid as error:
            raise wrong(fields.at("queue"), error.message.partition(" ")[2]) from None
    return replace(
        task,
        args=_expression(fields, "args"),
        kwargs=_expression(fields, "kwargs"),
        queue=queue,
        timeout=timeout or default.timeout,
        on_lost=on_lost,
        terminate=_terminate(fields),
    )


def _terminate(fields: Fields) -> bool:
    value = fields.get("terminate")
    if not isinstance(value, bool | None):
        raise wrong(fields.at("terminate"), f"must be true or false, not {kind(value)}")
    return bool(value)


_EXAMPLES = {"args": "'[event.data.order]'", "kwargs": "'{\"amount\": event.data.total}'"}


def _expression(fields: Fields, key: str) -> str | None:
    """Read an expression; YAML makes a list or an object of one without quotes."""
    value = fields.get(key)
    if value is not None and not isinstance(value, str):
        problem = f"must be an expression in quotes, such as {_EXAMPLES[key]}, not {kind(value)}"
        raise wrong(fields.at(key), problem)
    made = fields.expression(key, check=lambda text: cel.check(text, _EVENT | _EVENTS))
    wanted, text = (list, "a list") if key == "args" else (dict, "an object")
    given = MISSING if made is None else cel.constant(made)
    if given is not MISSING and not isinstance(given, wanted):
        problem = f"must be an expression of {text}, such as {_EXAMPLES[key]}, not {kind(given)}"
        raise wrong(fields.at(key), problem)
    return made


def _check_inputs(made: FunctionConfig, fields: Fields) -> None:
    """Check that the expressions of arguments are over what a run has: one event, or several."""
    batched = made.batch is not None
    for place, item in enumerate(fields.objects("on", len(made.triggers))):
        for key in ("args", "kwargs"):
            if batched and item.has(key):
                problem = f"cannot be combined with batchEvents: write {key} beside on, over events"
                raise wrong(fields.at(f"on[{place}].{key}"), problem)
            _check_names(item, key, batched=batched)
    for key in ("args", "kwargs"):
        _check_names(fields, key, batched=batched)


def _check_names(fields: Fields, key: str, *, batched: bool) -> None:
    text = fields.text(key, cel.MOST_CHARS)
    if text is None:
        return
    try:
        cel.check(text, _EVENTS if batched else _EVENT)
    except Invalid:
        problem = (
            "must be over events, the list of a batch: write events[0] or events.map(e, e.data)"
            if batched
            else "must be over event: events, the list of a batch, needs batchEvents"
        )
        raise wrong(fields.at(key), problem) from None


def layers(config: FunctionConfig) -> tuple[JsonObject, JsonObject]:
    """Read what was set by hand, and what the config file says."""
    task = config.celery or CeleryTask()
    return canonical.loads(task.own or "{}"), canonical.loads(task.declared or "{}")


def layered(
    config: FunctionConfig,
    own: Mapping[str, object],
    declared: Mapping[str, object],
    *,
    alone: bool = False,
) -> FunctionConfig:
    """Make a task's configuration of its two layers, and keep these. Raises Invalid.

    `alone` leaves what was set by hand without effect: it does not go with the file.
    """
    own = {name: value for name, value in own.items() if value is not None}
    made = applied(config, declared if alone else {**own, **declared})
    texts = [canonical.dumps(layer).decode() if layer else None for layer in (own, declared)]
    assert made.celery is not None
    return replace(made, celery=replace(made.celery, own=texts[0], declared=texts[1]))


def shown(config: FunctionConfig) -> JsonObject:
    """Show what is set, and by what: `file`, or `api` for API, command line and pages."""
    own, declared = layers(config)
    found = {name: {"value": value, "from": "api"} for name, value in own.items()}
    found |= {name: {"value": value, "from": "file"} for name, value in declared.items()}
    return {name: found[name] for name in sorted(found)}
