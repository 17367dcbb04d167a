"""How an example's score changed while models trained, as lines in a small box."""

from collections.abc import Sequence
from typing import NamedTuple

from easiness.reporting.gallery import ScoreCurve

# Edges of the box; templates/gallery.html draws its axes.
_LEFT, _RIGHT, _TOP, _BOTTOM = 34, 272, 8, 92


class ScaledTrajectories(NamedTuple):
    """Points "x,y" of one line per model, in a box from `lowest`, 0 or below, to `highest`, and to `last` updates."""

    lowest: float
    highest: float
    last: int
    lines: list[list[str]]


def scale_trajectories(curves: Sequence[ScoreCurve]) -> ScaledTrajectories:
    """Scale the trajectories of all models to one box."""
    highest = max(1e-9, *(curve.values_T.max() for curve in curves))
    lowest = min(0.0, *(curve.values_T.min() for curve in curves))
    last = max(1, *(curve.updates_T.max() for curve in curves))
    lines = []
    for curve in curves:
        x_T = _LEFT + curve.updates_T / last * (_RIGHT - _LEFT)
        y_T = _BOTTOM - (curve.values_T - lowest) / (highest - lowest) * (_BOTTOM - _TOP)
        lines.append([f"{x:.0f},{y:.0f}" for x, y in zip(x_T, y_T, strict=True)])
    return ScaledTrajectories(lowest, highest, last, lines)
