"""Which training images are easy for a network, which are hard, and what they are worth.

Follows Kishida & Nakayama, "Empirical Study of Easy and Hard Examples in CNN Training" (arXiv 1911.10739).

The way of the data: `open_dataset` reads images with labels, sources and a fingerprint; a `Recipe` says how to train;
`run_trials` trains M networks and measures the cross-entropy of every example at each moment; `easiness` is its mean
over trials (lower = easier); `easiest` and `hardest` cut the sets; `overlap` compares them. `load_scores` reads all of
it back from a tracking server, by run id.
"""

from typing import TYPE_CHECKING

from easiness.analysis.reliability import reliability
from easiness.analysis.scores import easiness, rank_correlation
from easiness.analysis.sets import chance, easiest, hardest, overlap
from easiness.datasets import Dataset, open_dataset
from easiness.recipes.recipe import Recipe, make_recipe

if TYPE_CHECKING:
    from easiness.tracking import Scores, load_scores

__all__ = [
    "Dataset",
    "Recipe",
    "Scores",
    "chance",
    "easiest",
    "easiness",
    "hardest",
    "load_scores",
    "make_recipe",
    "open_dataset",
    "overlap",
    "rank_correlation",
    "reliability",
]


def __getattr__(name: str) -> object:
    # MLflow takes two seconds to import, and the workers that train do without it.
    if name in ("Scores", "load_scores"):
        from easiness import tracking

        return getattr(tracking, name)
    raise AttributeError(f"module 'easiness' has no attribute {name!r}")
