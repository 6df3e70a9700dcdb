"""The JSON Schema of `celery_apps:` in the config file, by which editors complete and check it."""

from collections.abc import Mapping

from marshmallow import fields, validate

from ...domain.canvas.workflows import GROUP_FIELDS, SEQUENCE_FIELDS, TASK_FIELDS
from ...domain.values.json_types import JsonObject
from .task_schemas import SETTINGS, WORKFLOW_SETTINGS, Field, WorkflowEntry

_TYPES = {fields.Integer: "integer", fields.String: "string"}
_ENTRIES: JsonObject = {"$ref": "#/$defs/entries"}
_PLAIN: JsonObject = {
    "broker": {
        "type": "string",
        "description": "the URL of Redis, Valkey or RabbitMQ; ${NAME} stands for a variable",
    },
    "queue": {"type": "string", "description": "the queue that the workers read"},
    "options": {"type": "object", "description": "kombu's options for the broker's transport"},
}


def schema() -> JsonObject:
    """Make the schema. Other settings of the file are allowed, and not described."""
    settings = {name: _field(field) for name, field in WORKFLOW_SETTINGS.items()}
    settings["tasks"] = _ENTRIES | {"description": "run one after the other"}
    workflow = _closed(settings) | {"required": ["tasks"]}
    task = _object(SETTINGS) | {"type": ["object", "null"]}
    app = _closed(_PLAIN | {"tasks": _by_name(task), "workflows": _by_name(workflow)})
    named = {"type": ["string", "array"], "items": {"type": "string"}}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "The config file of inngest-py",
        "type": "object",
        "properties": {"celery_apps": {"anyOf": [_by_name(app), named]}},
        "$defs": {
            "entry": {"anyOf": _entries()},
            "entries": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/entry"}},
        },
    }


def _entries() -> list[JsonObject]:
    """Describe the forms that an entry of a workflow may have."""
    known = {name: _field(field) for name, field in WorkflowEntry().fields.items()}
    known["when"] |= {"type": ["string", "boolean", "null"]}
    for name in ("group", "sequence"):
        known[name] = _ENTRIES | {"description": known[name].get("description")}
    forms: list[JsonObject] = [
        {"type": "string", "minLength": 1, "description": "the name of a task"}
    ]
    for names in (TASK_FIELDS, GROUP_FIELDS, SEQUENCE_FIELDS):
        forms.append(_closed({name: known[name] for name in names}) | {"required": [names[0]]})
    director = _closed(
        {"type": {"enum": ["group", "chain"]}, "tasks": _ENTRIES, "when": known["when"]}
    )
    own = {"not": {"required": ["task"]}}
    director["required"] = ["type", "tasks"]
    theirs = _by_name(director) | {"minProperties": 1, "maxProperties": 1}
    return [*forms, theirs | own]


def _object(named: dict[str, Field]) -> JsonObject:
    # the schemas name their fields by data_key where a keyword of Python is meant
    return _closed({field.data_key or name: _field(field) for name, field in named.items()}) | {
        "required": [field.data_key or name for name, field in named.items() if field.required]
    }


def _closed(properties: Mapping[str, object]) -> JsonObject:
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _by_name(part: JsonObject) -> JsonObject:
    return {"type": "object", "additionalProperties": part}


def _field(field: Field) -> JsonObject:
    metadata = field.metadata
    found: JsonObject = {}
    if "description" in metadata:
        found["description"] = metadata["description"]
    if "example" in metadata:
        found["examples"] = [metadata["example"]]
    return found | _value(field)


def _value(field: Field) -> JsonObject:
    if isinstance(field, fields.List):
        inner = _value(field.inner) if not _recursive(field.inner) else {}
        return {"anyOf": [inner, {"type": "array", "items": inner}, {"type": "null"}]}
    if isinstance(field, fields.Nested):
        made = _object(dict(field.schema.fields))
        return made | {"type": ["object", "null"]} if field.allow_none else made
    kind = next((name for one, name in _TYPES.items() if isinstance(field, one)), None)
    found: JsonObject = (
        {} if kind is None else {"type": [kind, "null"] if field.allow_none else kind}
    )
    for check in field.validators:
        if isinstance(check, validate.OneOf):
            found["enum"] = [*check.choices, *([None] if field.allow_none else [])]
    return found


def _recursive(field: Field) -> bool:
    return isinstance(field, fields.Nested) and isinstance(field.schema, WorkflowEntry)
