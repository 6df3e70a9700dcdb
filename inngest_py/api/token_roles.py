"""The role that an API token needs for a route.

Reading needs a viewer. A change that is not listed needs an admin, so no new route is left open by
mistake. Routes of SDKs, which report results and open connections, are not listed: the signing key
is for them.
"""

from ..domain.access.roles import Role

_READS = frozenset({"GET", "HEAD", "OPTIONS"})
# they show more than pages do
_ADMINS_READ = frozenset({"/v1/tokens", "/v2/keys/events", "/v2/keys/signing"})
_EVENTS = frozenset({"/api/v1/events", "/v2/events"})
# its queries read; its mutations ask for more (graphql/server.py)
_VIEWERS_POST = frozenset({"/v0/gql"})
_OPERATORS_CHANGE = frozenset(
    {
        "/api/v1/functions",
        # it sends signed requests to the URL that its caller names
        "/api/v1/replay-check",
        "/fn/register",
        "/v1/apps",
        "/v1/apps/<path:app>/sync",
        "/v0/runs/<run_id>",
        "/v1/cancellations",
        "/v1/cancellations/<cancellation_id>",
        "/v1/celery/<name>/refresh",
        "/v1/celery/<name>/runs",
        "/v1/celery/<name>/tasks/<path:task>",
        "/v1/connections/<connection_id>/drain",
        "/v1/connections/<connection_id>/resume",
        "/v1/errors/<error_id>",
        "/v1/errors/<error_id>/rerun",
        "/v1/functions/<path:function>/limits",
        "/v1/functions/<path:function>/pause",
        "/v1/functions/<path:function>/resume",
        "/v1/functions/<path:function>/search-keys",
        "/v1/operations",
        "/v1/operations/<operation_id>",
        "/v1/realtime/token",
        "/v1/runs/<run_id>",
        "/v1/runs/<run_id>/metadata",
        "/v1/signals",
        "/v1/views",
        "/v2/apps/<app_id>/functions/<function_id>/invoke",
        "/v2/apps/<app_id>/syncs",
        "/v2/runs/<run_id>/cancel",
        "/v2/runs/<run_id>/rerun",
        "/v2/runs/<run_id>/scores",
    }
)


def needed(method: str, rule: str) -> Role | None:
    """Return the role that a route needs; None for sending events, which has a scope of its own."""
    plain = rule.removeprefix("/api") if rule.startswith(("/api/v1/", "/api/v2/")) else rule
    known = {rule, plain}
    if method in _READS:
        return Role.ADMIN if known & _ADMINS_READ else Role.VIEWER
    if known & _EVENTS:
        return None
    if known & _VIEWERS_POST:
        return Role.VIEWER
    return Role.OPERATOR if known & _OPERATORS_CHANGE else Role.ADMIN
