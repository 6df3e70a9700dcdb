"""`tail`: follow runs in a terminal as they start and end, or one run to its end.

It asks the server for what is new, once a second: so it works with any number of servers, and goes
on when one was away.
"""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import quote

import click

from ...domain.runs.runs import ENDED, RunStatus
from ...domain.values.json_types import JsonObject
from ..client import Unreachable, call, url_option
from ..completion import names
from .filters import moment, since_option
from .shapes import Run, RunPage, WholeRun, attempt_line, line_of

_LOOK_SECONDS = 1.0
# A run's time is taken before its transaction commits, by the clock of its worker: what came late
# is found by looking at the last seconds again.
_OVERLAP = timedelta(seconds=5)
# After an outage workers write ends that they held back, with times of up to 30 s ago: so many
# looks go back to its beginning.
_LOOKS_AFTER_OUTAGE = 40
_PAGE = 500
_COLORS = {
    RunStatus.COMPLETED: "green",
    RunStatus.FAILED: "red",
    RunStatus.CANCELLED: "yellow",
}

Ask = Callable[[JsonObject], RunPage]


@dataclass(frozen=True, slots=True)
class News:
    """That a run has started or ended; `what` is `started`, or the status that it ended with."""

    at: str
    what: str
    run: Run


@dataclass(slots=True)
class Feed:
    """Runs in the order of one of their times, as they come.

    Each look covers the time since the last one, by the server's clock, so it costs the same
    however long ago the last of these runs was.
    """

    ask: Ask
    time_field: str
    filters: JsonObject
    _since: str | None = None
    # the runs in the overlap that were told already, with the time of each
    _told: dict[str, datetime] = field(default_factory=dict)
    _looks_held: int = 0

    def hold(self) -> None:
        """Look at the time from before an outage for a while."""
        self._looks_held = _LOOKS_AFTER_OUTAGE

    def begin(self, since: str | None) -> None:
        """Begin at a time, or with what comes from now on."""
        if since is not None:
            self._since = since
            return
        self._since = _earlier(self.ask({"limit": 1})["fetched_at"])
        list(self.news())

    def news(self) -> Iterator[News]:
        """List the runs that have not been told yet, oldest first."""
        query = {**self.filters, "time_field": self.time_field, "since": self._since}
        query |= {"oldest_first": "true", "limit": _PAGE}
        first: RunPage | None = None
        while True:
            page = self.ask(query)
            first = first or page
            for run in page["data"]:
                at = str(run["started_at"] if self.time_field == "started_at" else run["ended_at"])
                if run["id"] not in self._told:
                    self._told[run["id"]] = _moment(at)
                    yield News(at, self._what(run), run)
            if not page["has_more"]:
                break
            query["cursor"] = page["cursor"]
        if self._looks_held:
            self._looks_held -= 1
            return
        self._since = _earlier(first["fetched_at"])
        least = _moment(self._since)
        self._told = {run_id: at for run_id, at in self._told.items() if at >= least}

    def _what(self, run: Run) -> str:
        return "started" if self.time_field == "started_at" else run["status"]


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _earlier(text: str) -> str:
    return (_moment(text) - _OVERLAP).isoformat()


def followed(feeds: list[Feed], pause: Callable[[], None]) -> Iterator[News | Unreachable | None]:
    """Yield what is new, without end; Unreachable once when the server is away, None when back."""
    is_away = False
    while True:
        found: list[News] = []
        try:
            for feed in feeds:
                found += feed.news()
        except Unreachable as error:
            for feed in feeds:
                feed.hold()
            if not is_away:
                is_away = True
                yield error
        else:
            if is_away:
                is_away = False
                yield None
        yield from sorted(found, key=lambda one: _moment(one.at))
        pause()


@click.command()
@click.argument("run_id", metavar="[RUN]", required=False)
@click.option(
    "--function", shell_complete=names.functions, help="Only of this function: a slug or an id."
)
@click.option("--app", shell_complete=names.apps, help="Only of this app, by its name.")
@click.option("--failures", is_flag=True, help="Only runs that fail.")
@since_option
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object a line.")
@url_option
def tail(
    run_id: str | None,
    function: str | None,
    app: str | None,
    failures: bool,
    since: str | None,
    as_json: bool,
    url: str,
) -> None:
    """Follow runs as they start and end, until Ctrl-C; or the attempts of one RUN to its end.

    Goes on when the server was away, with what happened meanwhile. With RUN it ends with 1 if the
    run fails or is cancelled.
    """

    def ask(query: JsonObject) -> RunPage:
        found: RunPage = call("GET", f"{url}/v1/runs", params=query)
        return found

    try:
        if run_id is not None:
            if function or app or failures or since:
                raise click.UsageError("--function, --app, --failures, --since are not for a RUN")
            raise SystemExit(_follow_one(url, run_id, as_json=as_json))
        chosen: JsonObject = {"function": function, "app": app}
        wanted = {"status": [RunStatus.FAILED.value]} if failures else {}
        feeds = [Feed(ask, "ended_at", chosen | wanted)]
        if not failures:
            feeds.insert(0, Feed(ask, "started_at", chosen))
        for feed in feeds:
            feed.begin(None if since is None else moment(since))
        for news in followed(feeds, lambda: time.sleep(_LOOK_SECONDS)):
            _tell(news, as_json=as_json)
    except KeyboardInterrupt:
        return


def _tell(news: News | Unreachable | None, *, as_json: bool) -> None:
    if news is None:
        click.echo("the server answers again", err=True)
    elif isinstance(news, Unreachable):
        click.echo(f"{news.message}; waiting for it", err=True)
    elif as_json:
        click.echo(json.dumps({"at": news.at, "what": news.what, "run": news.run}))
    else:
        click.echo(_line(news))


def _line(news: News) -> str:
    run, color = news.run, None
    if news.what in list(RunStatus):
        color = _COLORS.get(RunStatus(news.what))
    what = click.style(f"{news.what:<9}", fg=color)
    left = f"{news.at}  {what}  {run['id']}  {run['function']}"
    if news.what == "started":
        return f"{left}  {run['event'] or ''}".rstrip()
    if run["started_at"] is not None and run["ended_at"] is not None:
        took = (_moment(run["ended_at"]) - _moment(run["started_at"])).total_seconds()
        left += f"  {took:.2f} s"
    return left if run["error"] is None else f"{left}  {line_of(run['error'])}"


def _follow_one(url: str, run_id: str, *, as_json: bool) -> int:
    """Print the attempts of a run as they end, and the run's end; return the exit code."""
    path = f"{url}/api/v1/runs/{quote(run_id, safe='')}"
    told: set[str] = set()
    is_known = is_away = False
    while True:
        try:
            run: WholeRun = call("GET", path)["data"]
        except Unreachable as error:
            if not is_known:
                raise
            if not is_away:
                _tell(error, as_json=as_json)
            is_away = True
            time.sleep(_LOOK_SECONDS)
            continue
        is_known, is_away = True, False
        for attempt in run["attempts"]:
            line = json.dumps(attempt) if as_json else attempt_line(attempt)
            if attempt["ended_at"] is not None and line not in told:
                told.add(line)
                click.echo(line)
        if run["status"] in list(ENDED):
            news = News(run["ended_at"] or "", run["status"], run)
            _tell(news, as_json=as_json)
            return 0 if run["status"] == RunStatus.COMPLETED else 1
        time.sleep(_LOOK_SECONDS)
