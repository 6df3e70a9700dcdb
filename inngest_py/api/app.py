"""Build the Flask app: all blueprints, over one context."""

import time
from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from flask import Flask, Response, g, request
from flask_smorest import Api
from prometheus_client import CollectorRegistry

from .. import proxies
from ..config import Settings
from ..domain.errors import Invalid
from ..domain.values.json_types import JsonObject
from ..engine.clock.mover import Mover
from ..engine.runtime.context import Context
from ..engine.runtime.probe import Probe
from ..metrics import process
from ..metrics import realtime as realtime_metrics
from ..metrics.counters import Counters
from ..metrics.figures import Figures
from ..metrics.shared import SharedMetrics
from ..storage.db import deadlines
from ..version import __version__
from . import auth, errors, health, metrics, scaling, v1, v2
from .bodies import MOST, BoundedRequest
from .deps import Deps
from .graphql import route as gql
from .native import (
    alerts,
    apps,
    celery_apps,
    clock,
    connections,
    error_groups,
    event_types,
    function_history,
    limits,
    operations,
    pausing,
    replay_check,
    rest,
    skipping,
    tokens,
    why,
)
from .native.searching import events as listed_events
from .native.searching import runs, search_keys, views
from .protocol import (
    connect,
    durable_endpoints,
    events,
    registration,
    signals,
    sinks,
    state,
    testing,
)
from .realtime import routes as realtime

# How long a request waits for a database that is away, before its answer is 503.
REQUEST_SECONDS = 10.0
_KEY = "the signing key, or an API token whose scope has the role of the route"
_HSTS = "max-age=31536000"  # a year
_CONFIG: JsonObject = {
    "MAX_FORM_MEMORY_SIZE": MOST,
    "API_TITLE": "inngest-py",
    "API_VERSION": __version__,
    "OPENAPI_VERSION": "3.0.3",
    "OPENAPI_URL_PREFIX": "/api",
    "OPENAPI_JSON_PATH": "openapi.json",
    "OPENAPI_SWAGGER_UI_PATH": "/docs",
    "OPENAPI_SWAGGER_UI_URL": "docs-files/",  # beside the page, whatever the root path is
    # so that the documentation's page can send the key
    "API_SPEC_OPTIONS": {
        "components": {
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "description": _KEY}}
        },
        "security": [{"key": []}, {}],
    },
    "PROPAGATE_EXCEPTIONS": False,
}


def create_app(
    settings: Settings,
    ctx: Context,
    counters: Counters | None = None,
    mover: Mover | None = None,
    shared: SharedMetrics | None = None,
) -> Flask:
    """Build the API over a context; `/metrics` shows `counters` with the database's figures.

    With `shared`, it shows what all processes have counted that share these.
    """
    app = Flask("inngest_py", static_folder=None)
    app.request_class = BoundedRequest
    app.config.update(_CONFIG)
    # otherwise a redirect would turn two slashes in a slug or a key into one
    app.url_map.merge_slashes = False
    registries = _registries(ctx, counters, shared)
    app.extensions["inngest_py"] = Deps(settings, ctx, Probe(ctx), registries, mover)
    if counters is not None:
        _count_requests(app, counters)
    app.before_request(auth.refuse_bearer)
    app.before_request(_refuse_nul)
    _add_protocol(app, settings)
    _add_native(app, settings)
    errors.add_to(app)
    app.wsgi_app = _Bounded(app.wsgi_app)  # type: ignore[method-assign]

    @app.after_request
    def _mark(response: Response) -> Response:
        response.headers["X-Inngest-Server-Kind"] = settings.kind
        if proxies.is_https(settings, request):
            response.headers["Strict-Transport-Security"] = _HSTS
        if request.routing_exception is not None and request.path.startswith(events.OPEN_PATHS):
            return events.allow_any_origin(response)  # no route matched, so no blueprint does it
        return response

    return app


class _Bounded:
    """Limits how long a request waits for the database."""

    def __init__(self, app: WSGIApplication) -> None:
        self._app = app

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        with deadlines.within(REQUEST_SECONDS):
            return self._app(environ, start_response)


def _add_protocol(app: Flask, settings: Settings) -> None:
    """Add the protocol's routes, and ours beside them."""
    for blueprint in (
        events.blueprint,
        health.blueprint,
        metrics.blueprint,
        registration.blueprint,
        state.blueprint,
        durable_endpoints.blueprint,
        connect.blueprint,
        realtime.blueprint,
        pausing.blueprint,
        limits.blueprint,
        error_groups.blueprint,
        event_types.blueprint,
        why.blueprint,
        signals.blueprint,
        v1.blueprint,
        sinks.blueprint,
    ):
        app.register_blueprint(blueprint)
    if settings.ui:
        app.register_blueprint(gql.blueprint)
    if settings.dev and settings.test_api:
        app.register_blueprint(testing.blueprint)
        app.register_blueprint(testing.limits)
    for prefix in v2.PREFIXES:
        app.register_blueprint(v2.blueprint, url_prefix=prefix, name=prefix.strip("/"))


def _add_native(app: Flask, settings: Settings) -> None:
    """Add our own API, with its OpenAPI document."""
    api = Api(app)
    rest.add_to(app, api)
    for blueprint in (
        alerts.blueprint,
        apps.native,
        apps.blueprint,
        celery_apps.blueprint,
        connections.blueprint,
        pausing.native,
        limits.native,
        error_groups.native,
        event_types.native,
        function_history.native,
        function_history.blueprint,
        why.native,
        replay_check.blueprint,
        operations.native,
        operations.blueprint,
        scaling.native,
        scaling.blueprint,
        tokens.blueprint,
        listed_events.native,
        runs.native,
        runs.blueprint,
        search_keys.native,
        search_keys.blueprint,
        views.native,
        views.blueprint,
    ):
        api.register_blueprint(blueprint)
    if settings.dev:
        api.register_blueprint(clock.blueprint)
        api.register_blueprint(skipping.blueprint)


def _registries(
    ctx: Context, counters: Counters | None, shared: SharedMetrics | None
) -> tuple[CollectorRegistry, ...]:
    if shared is not None:
        return Figures(ctx).registry, shared.registry(ctx.hub)
    own = CollectorRegistry()
    process.add_to(own)
    realtime_metrics.add_to(own, ctx.hub)
    registries = (Figures(ctx).registry, own)
    return registries if counters is None else (*registries, counters.registry)


def _count_requests(app: Flask, counters: Counters) -> None:
    """Count answers. Hooks of the app run around those of blueprints, so they see all requests."""

    @app.before_request
    def _began() -> None:
        g.began = time.perf_counter()

    @app.after_request
    def _answered(response: Response) -> Response:
        rule = request.url_rule
        seconds = time.perf_counter() - g.began
        route = None if rule is None else rule.rule
        counters.on_request(request.method, route, response.status_code, seconds)
        return response


def _refuse_nul() -> None:
    """Refuse a URL with NUL, which PostgreSQL does not accept in a parameter."""
    if "\0" in request.path or any("\0" in value for _, value in request.args.items(multi=True)):
        raise Invalid("the URL holds a NUL character (%00): remove it")
