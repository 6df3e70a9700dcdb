"""A row's small plot of the last 24 hours, as SVG. Only geometry is here: see charts.py."""

from collections.abc import Sequence

from markupsafe import Markup

from .words import number

_WIDTH, _HEIGHT, _LEAST = 96, 22, 1.5


def spark(counts: Sequence[int], unit: str) -> Markup:
    """Draw a bar for each count, the newest at the right, with a sentence for screen readers."""
    top, step = max([*counts, 1]), _WIDTH / max(1, len(counts))
    drawn = []
    for place, count in enumerate(counts):
        if count:
            height = max(count / top * (_HEIGHT - 2), _LEAST)
            x, y = place * step + 0.5, _HEIGHT - height
            size = f'width="{step - 1:.1f}" height="{height:.1f}"'
            drawn.append(f'<rect class="bad" x="{x:.1f}" y="{y:.1f}" {size}/>')
    told = f"{number(sum(counts))} in the last {len(counts)} {unit}s, at most {number(top)} in one"
    if not any(counts):
        told = f"none in the last {len(counts)} {unit}s"
    return Markup(  # noqa: S704 - numbers and words of this module alone
        f'<svg class="spark" viewBox="0 0 {_WIDTH} {_HEIGHT}" preserveAspectRatio="none"'
        f' role="img" aria-label="{told}"><title>{told}</title>'
        f'<line class="base" x1="0" y1="{_HEIGHT}" x2="{_WIDTH}" y2="{_HEIGHT}"/>'
        f"{''.join(drawn)}</svg>"
    )
