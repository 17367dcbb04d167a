"""Figures: arrays in, matplotlib figures out. They read no file; `save` alone writes.

Every function raises ValueError, with the offending values, for nothing to draw or arrays that do not fit together.
"""

from matplotlib.figure import Figure

from easiness.figures.ablation import (
    AccuracyCurve,
    DifferenceCurve,
    accuracy_against_removed,
    paired_differences,
    removal_heatmap,
)
from easiness.figures.label_errors import FoundCurve, found_over_epochs
from easiness.figures.matching import MatchingCurve, matching_curves, overlap_heatmap, repeat_curves, sharing_lines
from easiness.figures.pictures import average_images, easiest_and_hardest, harder_for_either
from easiness.figures.preview import class_counts, easiness_histogram, trajectory_by_decile
from easiness.figures.sensitivity import sensitivity_points
from easiness.figures.speed import scaling_curves, speed_bars
from easiness.figures.style import save

__all__ = [
    "AccuracyCurve",
    "DifferenceCurve",
    "Figure",
    "FoundCurve",
    "MatchingCurve",
    "accuracy_against_removed",
    "average_images",
    "class_counts",
    "easiest_and_hardest",
    "easiness_histogram",
    "found_over_epochs",
    "harder_for_either",
    "matching_curves",
    "overlap_heatmap",
    "paired_differences",
    "removal_heatmap",
    "repeat_curves",
    "save",
    "scaling_curves",
    "sensitivity_points",
    "sharing_lines",
    "speed_bars",
    "trajectory_by_decile",
]
