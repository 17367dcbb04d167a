"""Scores read back."""

from easiness.tracking.reading import Scores, load_scores

__all__ = ["Scores", "load_scores"]
