"""Arrays in, matplotlib figures out: reads no file, computes no statistic; `save` alone writes."""

from easiness.figures.ablation import (
    AccuracyCurve,
    DifferenceCurve,
    accuracy_against_removed,
    paired_differences,
    removal_heatmap,
    worst_class,
)
from easiness.figures.matching import MatchingCurve, matching_curves, overlap_heatmap, reliability_curve
from easiness.figures.pictures import average_images, contact_sheet, easiest_and_hardest
from easiness.figures.preview import class_counts, easiness_histogram, trajectory_by_decile
from easiness.figures.speed import contestants, growth
from easiness.figures.style import save

__all__ = [
    "AccuracyCurve",
    "DifferenceCurve",
    "MatchingCurve",
    "accuracy_against_removed",
    "average_images",
    "class_counts",
    "contact_sheet",
    "contestants",
    "easiest_and_hardest",
    "easiness_histogram",
    "growth",
    "matching_curves",
    "overlap_heatmap",
    "paired_differences",
    "reliability_curve",
    "removal_heatmap",
    "save",
    "trajectory_by_decile",
    "worst_class",
]
