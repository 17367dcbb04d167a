"""A small drawing of how an example's easiness changed, as svg inside the page."""

import html
from collections.abc import Sequence

from easiness.reporting.gallery import Course

_WIDTH, _HEIGHT = 280, 110
_LEFT, _RIGHT, _TOP, _BOTTOM = 34, 8, 8, 18
_DASHES = ("", "6 3", "2 2", "8 3 2 3")


def draw_trajectory(metric_curves: Sequence[Course]) -> str:
    """Draw one line per model, told apart by colour and by dashes, with a legend that gives rank and easiness."""
    top = max(max(course.easiness_T.max() for course in metric_curves), 1e-9)
    last = max(max(course.updates_T.max() for course in metric_curves), 1)
    said = "; ".join(
        f"{course.model} from {course.easiness_T[0]:.3g} to {course.easiness_T[-1]:.3g} nats"
        for course in metric_curves
    )
    lines = []
    for index, course in enumerate(metric_curves):
        x = _LEFT + course.updates_T / last * (_WIDTH - _LEFT - _RIGHT)
        y = _TOP + (1 - course.easiness_T / top) * (_HEIGHT - _TOP - _BOTTOM)
        points = " ".join(f"{a:.0f},{b:.0f}" for a, b in zip(x, y, strict=True))
        look = f'class="m{index % 4}" stroke-dasharray="{_DASHES[index % 4]}"'
        if len(x) > 1:
            lines.append(f'<polyline {look} points="{points}"/>')
        else:
            lines.append(f'<circle {look} cx="{x[0]:.0f}" cy="{y[0]:.0f}" r="3"/>')
    floor = _HEIGHT - _BOTTOM
    svg = (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{html.escape(said)}">'
        f'<path class="axis" d="M{_LEFT} {_TOP}V{floor}H{_WIDTH - _RIGHT}"/>'
        f'<text x="{_LEFT - 4}" y="{_TOP + 8}" text-anchor="end">{top:.2g}</text>'
        f'<text x="{_LEFT + 4}" y="{_TOP + 8}">nats</text>'
        f'<text x="{_LEFT - 4}" y="{floor}" text-anchor="end">0</text>'
        f'<text x="{_LEFT}" y="{_HEIGHT - 4}">0</text>'
        f'<text x="{_WIDTH - _RIGHT}" y="{_HEIGHT - 4}" text-anchor="end">{last:,} updates</text>'
        f"{''.join(lines)}</svg>"
    )
    return f"{svg}<ul>{''.join(_legend(index, course) for index, course in enumerate(metric_curves))}</ul>"


def _legend(index: int, course: Course) -> str:
    look = f'class="m{index % 4}" stroke-dasharray="{_DASHES[index % 4]}"'
    key = f'<svg class="key" viewBox="0 0 24 6"><path {look} d="M0 3H24"/></svg>'
    return (
        f"<li>{key} {html.escape(course.model)}: {course.easiness:.3g} nats, rank {course.rank:,} of "
        f"{course.count:,}</li>"
    )
