"""Small plots as SVG. Only geometry is here; the style sheet sets colours by class.

Plain f-strings, since Markup.format() took two thirds of the first page's time. They are safe: they
contain numbers and class names of this package, and every text is escaped by escape().
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from markupsafe import Markup, escape

from .words import duration, number, stamp

WIDTH, HEIGHT = 600, 120
_FOOT = 4


@dataclass(frozen=True, slots=True)
class Series:
    """One quantity by minute; None for minutes in which it is not known."""

    name: str
    css: str
    values: Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Plot:
    """A drawn plot, and the value of its highest point."""

    svg: Markup
    peak: str


@dataclass(frozen=True, slots=True)
class Axis:
    """What a plot's bars stand for: of which span, and how long each is."""

    span: str
    unit: str
    has_days: bool = False  # a bar's title says its day


MINUTES = Axis("The last hour by minute", "minute")


def bars(times: Sequence[datetime], series: Sequence[Series], axis: Axis = MINUTES) -> Plot:
    """Draw stacked bars, the first series at the bottom."""
    stacked = [sum(s.values[place] or 0 for s in series) for place in range(len(times))]
    top = max([*stacked, 1])
    step = WIDTH / max(1, len(times))
    drawn: list[str] = []
    for place, at in enumerate(times):
        y = float(HEIGHT - _FOOT)
        parts = []
        for one in series:
            height = (one.values[place] or 0) / top * (HEIGHT - _FOOT - 4)
            if height:
                height = max(height, 1.5)
                y -= height
                parts.append(_rect(place * step + 1, y, step - 2, height, one.css))
        known = [(s.name, s.values[place]) for s in series]
        text = ", ".join(f"{number(int(v))} {name}" for name, v in known if v is not None)
        text = text or "not counted yet"
        drawn.append(_column(place * step, step, at, text, parts, axis))
    summary = _summary(series, lambda value: number(int(value)), axis)
    return Plot(_plot(drawn, summary), number(int(max(stacked, default=0))))


def lines(
    times: Sequence[datetime],
    series: Sequence[Series],
    axis: Axis = MINUTES,
    *,
    write: Callable[[float], str] = duration,
    least_top: float = 1.0,
) -> Plot:
    """Draw lines, of milliseconds unless `write` says else; a time without a value leaves a gap.

    The plot's upper edge is the highest value, and never below `least_top`.
    """
    top = max([value for one in series for value in one.values if value is not None] + [least_top])
    step = WIDTH / max(1, len(times))
    drawn: list[str] = []
    for one in series:
        for piece in _pieces(one.values):
            points = [
                (x * step + step / 2, HEIGHT - _FOOT - value / top * (HEIGHT - _FOOT - 6))
                for x, value in piece
            ]
            if len(points) == 1:
                x, y = points[0]
                points = [(x - step / 3, y), (x + step / 3, y)]
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
            drawn.append(f'<polyline class="line {one.css}" points="{path}"/>')
    for place, at in enumerate(times):
        known = [(s.name, s.values[place]) for s in series]
        text = ", ".join(f"{name} {write(v)}" for name, v in known if v is not None)
        nothing = "no calls" if axis is MINUTES else "no runs"
        drawn.append(_column(place * step, step, at, text or nothing, [], axis))
    values = [value for one in series for value in one.values if value is not None]
    peak = write(max(values)) if values else "none"
    return Plot(_plot(drawn, _summary(series, write, axis)), peak)


def _pieces(values: Sequence[float | None]) -> list[list[tuple[int, float]]]:
    pieces: list[list[tuple[int, float]]] = [[]]
    for place, value in enumerate(values):
        if value is None:
            pieces.append([])
        else:
            pieces[-1].append((place, value))
    return [piece for piece in pieces if piece]


def _summary(series: Sequence[Series], write: Callable[[float], str], axis: Axis) -> str:
    """Describe the plot in words, for screen readers."""
    parts = []
    for one in series:
        known = [value for value in one.values if value is not None]
        most = write(max(known)) if known else "nothing"
        parts.append(f"{one.name}: at most {most} in {_a(axis.unit)}")
    return f"{axis.span}. " + "; ".join(parts)


def _a(unit: str) -> str:
    return f"an {unit}" if unit == "hour" else f"a {unit}"


def _rect(x: float, y: float, width: float, height: float, css: str) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'
    return f'<rect class="{css}" {place}/>'


def _column(
    x: float, step: float, at: datetime, text: str, parts: Sequence[str], axis: Axis = MINUTES
) -> str:
    """Join the parts of a minute; its title is shown under the pointer."""
    title = f"{at:%H:%M} UTC: {escape(text)}"
    if axis.has_days:  # the script writes times without days anew
        title = f"from {at:%Y-%m-%d} {title}"
    cover = _rect(x, 0, step, HEIGHT, "cover")
    return f'<g data-at="{stamp(at)}"><title>{title}</title>{"".join(parts)}{cover}</g>'


def _plot(drawn: Sequence[str], label: str) -> Markup:
    y = HEIGHT - _FOOT
    return Markup(  # noqa: S704 - see the top
        f'<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" role="img"'
        f' aria-label="{escape(label)}"><line class="base" x1="0" y1="{y}" x2="{WIDTH}" y2="{y}"/>'
        f"{''.join(drawn)}</svg>"
    )


def row_bar(segments: Sequence[tuple[float, float, str]]) -> Markup:
    """Draw a row of a waterfall; a part has a begin and an end from 0 to 1, and a class."""
    drawn = []
    for start, end, css in segments:
        is_call = css in ("run", "failed", "cancelled")
        y, height = (5, 14) if is_call else (9, 6)
        place = f'x="{start * 1000:.4f}" width="{max((end - start) * 1000, 0.0001):.4f}"'
        drawn.append(f'<rect class="seg {css}" {place} y="{y}" height="{height}"/>')
    return Markup(  # noqa: S704 - see the top
        '<svg class="fall" viewBox="0 0 1000 24" preserveAspectRatio="none" aria-hidden="true">'
        f"{''.join(drawn)}</svg>"
    )
