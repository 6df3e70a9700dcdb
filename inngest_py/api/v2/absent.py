"""Routes that this server does not have: accounts, environments, webhooks, insights and others."""

from flask import Response

from ..errors import v2_error
from .common import blueprint

_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


@blueprint.route("/partner/accounts", methods=_METHODS)
@blueprint.route("/account", methods=_METHODS)
@blueprint.route("/envs", methods=_METHODS)
@blueprint.route("/envs/<env>", methods=_METHODS)
@blueprint.route("/env/webhooks", methods=_METHODS)
@blueprint.route("/insights", methods=_METHODS)
@blueprint.route("/insights/<path:rest>", methods=_METHODS)
@blueprint.route("/experiments", methods=_METHODS)
@blueprint.route("/experiments/<path:rest>", methods=_METHODS)
@blueprint.route("/sessions", methods=_METHODS)
@blueprint.route("/sessions/<path:rest>", methods=_METHODS)
@blueprint.route("/sandboxes", methods=_METHODS)
@blueprint.route("/sandboxes/<path:rest>", methods=_METHODS)
def absent(**_: str) -> Response:
    """Answer 501 (api.md §4)."""
    return v2_error("not_implemented", "this server has one account and one environment", 501)
