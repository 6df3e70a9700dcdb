"""The middleware: it decides for each request whether new steps are checkpointed."""

from collections.abc import Callable

import inngest

from . import dispatches, fitting, leaving, options, sending
from .options import Duration, Options

_warned: set[str] = set()


class Checkpointing(inngest.MiddlewareSync):
    """Installs itself in `transform_input`; of several, the last one counts: the function's own."""

    def __init__(self, client: inngest.Inngest, raw_request: object, options: Options) -> None:
        super().__init__(client, dispatches.resolve(raw_request))
        self._options = options

    def transform_input(
        self,
        ctx: inngest.Context | inngest.ContextSync,
        function: "inngest.Function[object]",
        steps: inngest.StepMemos,
    ) -> None:
        """Let the function's new steps be checkpointed, if all that this needs is there."""
        if lacking := fitting.lacks(ctx):
            self._warn_once(f"this version of the SDK has no {lacking}")
            return
        mine = [one for one in ctx.step._middleware.middleware if isinstance(one, Checkpointing)]
        # steps that the server picked, and steps after parallel ones, are answered one by one
        if mine[-1] is not self or not self._options.enabled or ctx.step._target_hashed_id:
            return
        if ctx.step._execution._request.ctx.disable_immediate_execution:
            return
        dispatch = dispatches.read(self.raw_request)
        if dispatch is None or sending.rests(self.client):
            return
        try:
            from .calls import install
        except ImportError as error:
            self._warn_once(str(error))
            return
        install(self.client, ctx, function, self._options, dispatch)

    def _warn_once(self, reason: str) -> None:
        if reason not in _warned:
            _warned.add(reason)
            self.client.logger.warning("Checkpointing is off, all runs as without it: %s", reason)


def checkpointing(
    *,
    enabled: bool = True,
    buffered_steps: int = 1,
    max_interval: Duration = 0,
    max_runtime: Duration = 0,
) -> Callable[[inngest.Inngest, object], Checkpointing]:
    """Make a middleware that sends finished steps to the server while the function goes on.

    For `inngest.Inngest(middleware=[…])`, or for a function's `middleware`, whose options replace
    the client's; `enabled=False` switches it off. `buffered_steps` are sent together;
    `max_interval` is how long a finished step may wait to be sent, `max_runtime` how long one
    request may take before it is answered: both a timedelta or milliseconds, 0 means no limit.
    Raises ValueError, which names the option that is wrong.
    """
    given = options.read(enabled, buffered_steps, max_interval, max_runtime)
    if buffered_steps > 1:
        leaving.install()

    def make(client: inngest.Inngest, raw_request: object) -> Checkpointing:
        return Checkpointing(client, raw_request, given)

    return make
