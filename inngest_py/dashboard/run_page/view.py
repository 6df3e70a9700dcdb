"""What a viewer has chosen of a run's timeline, as the page's URL says it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from ..rendering import url

_ID = re.compile(r"[0-9a-f]{16}")
_MOST_IDS = 100
_MOST_FIRST = 10**6


class Show(StrEnum):
    """Which rows are shown."""

    ALL = "all"
    FAILED = "failed"
    LONGEST = "longest"


@dataclass(frozen=True, slots=True)
class View:
    """The chosen part, what is unfolded and folded against the default, and the first row.

    `span` is None as long as the viewer has chosen none.
    """

    run_id: str
    span: str | None = None
    open: frozenset[str] = frozenset()
    shut: frozenset[str] = frozenset()
    show: Show = Show.ALL
    first: int = 0
    log: bool = False

    def link(self, span: str | None = None) -> str:
        """Make the URL of this view, with another part chosen if one is given."""
        return url(
            "run",
            run_id=self.run_id,
            span=span or self.span,
            open=".".join(sorted(self.open)) or None,
            shut=".".join(sorted(self.shut)) or None,
            show=None if self.show is Show.ALL else self.show.value,
            first=self.first or None,
            log=1 if self.log else None,
        )

    def folded(self, node_id: str, *, was_open: bool) -> "View":
        """Make the view in which a row is folded that was open, or the other way round."""
        if was_open:
            return replace(self, open=self.open - {node_id}, shut=self.shut | {node_id})
        return replace(self, open=self.open | {node_id}, shut=self.shut - {node_id})

    def showing(self, show: Show) -> "View":
        """Make the view with other rows, from the first."""
        return replace(self, show=show, first=0)

    def from_row(self, first: int) -> "View":
        """Make the view that begins at another row."""
        return replace(self, first=max(first, 0))

    def with_log(self, *, log: bool) -> "View":
        """Make the view with or without the log."""
        return replace(self, log=log)


def read(run_id: str, args: Mapping[str, str], span: str | None) -> View:
    """Read the view of a URL; what is not known there is left out."""
    show, first = args.get("show", ""), args.get("first", "")
    return View(
        run_id,
        span,
        _ids(args.get("open", "")),
        _ids(args.get("shut", "")),
        Show(show) if show in list(Show) else Show.ALL,
        min(int(first), _MOST_FIRST)
        if first.isascii() and first.isdigit() and len(first) < 9
        else 0,
        args.get("log") == "1",
    )


def _ids(text: str) -> frozenset[str]:
    found = text[: _MOST_IDS * 17].split(".")
    return frozenset(one for one in found if _ID.fullmatch(one))
