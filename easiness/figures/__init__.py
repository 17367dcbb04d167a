"""Arrays in, matplotlib figures out: reads no file, computes no statistic; `save` alone writes."""

from matplotlib.figure import Figure

from easiness.figures.ablation import (
    AccuracyCurve,
    DifferenceCurve,
    accuracy_against_removed,
    paired_differences,
    removal_heatmap,
    worst_class,
)
from easiness.figures.matching import MatchingCurve, matching_curves, overlap_heatmap, reliability_curve
from easiness.figures.pictures import average_images, contact_sheet, easiest_and_hardest, harder_for_either
from easiness.figures.preview import class_counts, easiness_histogram, trajectory_by_decile
from easiness.figures.speed import contestants, growth
from easiness.figures.style import save

__all__ = [
    "AccuracyCurve",
    "DifferenceCurve",
    "Figure",
    "MatchingCurve",
    "accuracy_against_removed",
    "average_images",
    "class_counts",
    "contact_sheet",
    "contestants",
    "easiest_and_hardest",
    "easiness_histogram",
    "growth",
    "harder_for_either",
    "matching_curves",
    "overlap_heatmap",
    "paired_differences",
    "reliability_curve",
    "removal_heatmap",
    "save",
    "trajectory_by_decile",
    "worst_class",
]
