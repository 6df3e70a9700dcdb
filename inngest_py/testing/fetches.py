"""HTTP calls that steps let the server make: a test makes none, unless it says so."""

from ..domain.reply.read import Reply
from ..domain.steps.gateway import GatewayRequest
from ..domain.values import urls


class NoFetches:
    """Refuses each call."""

    def fetch(self, request: GatewayRequest) -> Reply:
        """Say what to do instead."""
        where = urls.without_secrets(request.url)
        told = (
            f"{request.method} {where} was not called: a test makes no HTTP calls: mock the step"
            " with inngest.mock_step(), or allow it with @pytest.mark.inngest(allow_http=True) or"
            " Inngest(app, allow_http=True)"
        )
        return Reply(not_made=told)

    def close(self) -> None:
        """Do nothing."""
