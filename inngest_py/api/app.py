"""The Flask app: blueprints joined, one context behind them."""

from flask import Flask, Response, request
from flask_smorest import Api

from ..config import Settings
from ..domain.errors import Invalid
from ..engine.context import Context
from ..version import __version__
from . import apps, errors, events, health, native, reading, registration, state
from .deps import Deps

MAX_BODY_BYTES = 64 * 1024 * 1024


def create_app(settings: Settings, ctx: Context) -> Flask:
    """Build the API over a context."""
    app = Flask("inngest_py", static_folder=None)
    app.config.update(
        MAX_CONTENT_LENGTH=MAX_BODY_BYTES,
        MAX_FORM_MEMORY_SIZE=MAX_BODY_BYTES,
        API_TITLE="inngest-py",
        API_VERSION=__version__,
        OPENAPI_VERSION="3.0.3",
        OPENAPI_URL_PREFIX="/api",
        OPENAPI_JSON_PATH="openapi.json",
        OPENAPI_SWAGGER_UI_PATH="/docs",
        OPENAPI_SWAGGER_UI_URL="/api/docs-files/",
        PROPAGATE_EXCEPTIONS=False,
    )
    # a redirect would make two slashes in a slug or a key one
    app.url_map.merge_slashes = False
    app.extensions["inngest_py"] = Deps(settings, ctx)
    app.before_request(_refuse_nul)
    for blueprint in (
        events.blueprint,
        health.blueprint,
        registration.blueprint,
        state.blueprint,
        reading.blueprint,
    ):
        app.register_blueprint(blueprint)
    api = Api(app)
    native.add_to(api)
    api.register_blueprint(apps.blueprint)
    errors.add_to(app)

    @app.after_request
    def _server_kind(response: Response) -> Response:
        response.headers["X-Inngest-Server-Kind"] = settings.kind
        return response

    return app


def _refuse_nul() -> None:
    """Refuse what PostgreSQL cannot take as a parameter."""
    if "\0" in request.path or any("\0" in value for _, value in request.args.items(multi=True)):
        raise Invalid("the URL holds a NUL character (%00): remove it")
