"""Answer queries: parse, measure, validate and execute them (protocol: api.md §1, §5)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from ariadne import load_schema_from_path, make_executable_schema
from graphql import (
    DocumentNode,
    GraphQLError,
    OperationDefinitionNode,
    OperationType,
    execute_sync,
    get_operation_ast,
    parse,
    validate,
)
from graphql.execution.values import get_variable_values

from ... import observe
from ...domain.access.roles import Role
from ...domain.errors import InngestPyError, Invalid, NotAllowed
from ...domain.values.json_types import JsonObject
from ...storage.db.outages import logged, outage, public_message
from . import apps, events, functions, limits, mutations, runs, scalars, spans, workers
from .request import QueryContext
from .root import mutation, query

assert mutations  # imported for its effect: it adds its mutations to the root
INVALID = "GRAPHQL_VALIDATION_FAILED"
UNPARSED = "GRAPHQL_PARSE_FAILED"
FORBIDDEN = "FORBIDDEN"
TOO_LARGE = "COMPLEXITY_LIMIT_EXCEEDED"
_MOST_ERRORS = 20

SCHEMA = make_executable_schema(
    load_schema_from_path(str(Path(__file__).with_name("schema"))),
    query,
    mutation,
    *scalars.SCALARS,
    *apps.TYPES,
    *events.TYPES,
    *functions.TYPES,
    *runs.TYPES,
    *spans.TYPES,
    *workers.TYPES,
)


@dataclass(frozen=True, slots=True)
class Answer:
    """The body of an answer and its HTTP status."""

    body: JsonObject
    status: int = 200


class Refused(Exception):
    """The query cannot be executed."""

    def __init__(self, errors: Iterable[GraphQLError], code: str) -> None:
        super().__init__(code)
        self.errors = list(errors)
        self.code = code

    def answer(self) -> Answer:
        """Make the answer that says what is wrong with the query."""
        shown = [
            {**error.formatted, "extensions": {"code": self.code}}
            for error in self.errors[:_MOST_ERRORS]
        ]
        return Answer({"errors": shown, "data": None}, 403 if self.code == FORBIDDEN else 422)


def run(request: QueryContext, text: str, variables: JsonObject, operation: str | None) -> Answer:
    """Answer a query; its errors are part of the answer."""
    try:
        document = _checked(text)
        chosen = _operation(document, operation)
        _check_variables(chosen, variables)
        _check_role(request, chosen)
    except Refused as refused:
        return refused.answer()
    result = execute_sync(
        SCHEMA,
        document,
        context_value=request,
        variable_values=variables,
        operation_name=operation or None,
    )
    body: JsonObject = {"data": result.data}
    if result.errors:
        body = {"errors": [_worded(error) for error in result.errors[:_MOST_ERRORS]], **body}
    away = any(outage(error.original_error) for error in result.errors or ())
    return Answer(body, 503 if away else 200)


@lru_cache(maxsize=128)
def _checked(text: str) -> DocumentNode:
    """Parse and validate a query. Raises Refused."""
    if len(text) > limits.MOST_CHARS:
        message = f"the query is longer than {limits.MOST_CHARS} characters: ask for less"
        raise Refused([GraphQLError(message)], TOO_LARGE)
    try:
        document = parse(text, max_tokens=limits.MOST_TOKENS)
    except GraphQLError as error:
        raise Refused([error], UNPARSED) from None
    except RecursionError:
        raise Refused([GraphQLError("the query is nested too deeply")], TOO_LARGE) from None
    try:
        limits.check(document)
    except Invalid as error:
        raise Refused([GraphQLError(error.message)], TOO_LARGE) from None
    errors = validate(SCHEMA, document, max_errors=_MOST_ERRORS)
    if errors:
        raise Refused(errors, INVALID)
    return document


def _operation(document: DocumentNode, name: str | None) -> OperationDefinitionNode:
    found = get_operation_ast(document, name or None)
    if found is None:
        message = f"operation {name[:64]!r} is not in the query" if name else "name the operation"
        raise Refused([GraphQLError(message)], INVALID)
    return found


def _check_role(request: QueryContext, operation: OperationDefinitionNode) -> None:
    if operation.operation is not OperationType.QUERY:
        try:
            request.need(Role.OPERATOR)
        except NotAllowed as error:
            raise Refused([GraphQLError(error.message)], FORBIDDEN) from None


def _check_variables(operation: OperationDefinitionNode, variables: JsonObject) -> None:
    try:
        limits.check_variables(variables)
    except Invalid as error:
        raise Refused([GraphQLError(error.message)], INVALID) from None
    found = get_variable_values(
        SCHEMA, operation.variable_definitions or (), variables, max_errors=_MOST_ERRORS
    )
    if isinstance(found, list):
        raise Refused(found, INVALID)


def _worded(error: GraphQLError) -> JsonObject:
    """Shape an error; one that the caller did not cause is logged, and its details stay hidden."""
    shown: JsonObject = dict(error.formatted)
    cause = error.original_error
    if isinstance(cause, Invalid):
        shown["extensions"] = {"code": "BAD_USER_INPUT", "field": cause.field}
    elif cause is not None and not isinstance(cause, InngestPyError | GraphQLError):
        shown["message"] = "internal error"
        if outage(cause):
            shown["message"] = f"{public_message(cause)}: try again"
        observe.event("gql.failed", level=40, path=_path(error.path), **logged(cause))
    return shown


def _path(path: Sequence[str | int] | None) -> str:
    return ".".join(map(str, path or ()))
