"""Values that are sent to the server must be JSON: errors name the place of what is not."""

import json
import math
from collections.abc import Mapping

import inngest


class NotJson(inngest.NonRetriableError, TypeError):
    """A value that is stored holds something that JSON has not. Another attempt is of no use."""


def check(value: object, where: str, name: str) -> None:
    """Raise NotJson, which names the place in the value: `where: name.items[3].when is …`."""
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        raise NotJson(f"{where}: {_wrong(value, name, ()) or f'{name} is not JSON'}") from None


def check_result(step_id: str, value: object) -> None:
    """Raise NotJson for the result of a step."""
    check(value, f'step "{step_id}"', "result")


def _wrong(value: object, path: str, around: tuple[int, ...]) -> str | None:
    """Find the first part of a value that is not JSON; None if there is none."""
    if value is None or isinstance(value, str | bool | int):
        return None
    if isinstance(value, float):
        return None if math.isfinite(value) else f"{path} is {value}, which JSON has not"
    if id(value) in around or len(around) > 900:
        return f"{path} holds itself, which JSON cannot"
    around = (*around, id(value))
    if isinstance(value, Mapping) and isinstance(value, dict):
        return _wrong_object(value, path, around)
    if isinstance(value, list | tuple):
        found = (_wrong(part, f"{path}[{place}]", around) for place, part in enumerate(value))
        return next((text for text in found if text), None)
    return f"{path} is a {type(value).__name__}, which JSON has not"


def _wrong_object(value: dict[object, object], path: str, around: tuple[int, ...]) -> str | None:
    for key, part in value.items():
        if not isinstance(key, str | int | float | bool | None):
            return f"{path} has the key {key!r} of type {type(key).__name__}: keys must be text"
        plain = isinstance(key, str) and key.isidentifier()
        found = _wrong(part, f"{path}.{key}" if plain else f"{path}[{key!r}]", around)
        if found:
            return found
    return None
