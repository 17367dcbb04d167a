"""Which training images are easy for a network, which are hard, and what they are worth.

Follows Kishida & Nakayama, "Empirical Study of Easy and Hard Examples in CNN Training" (arXiv 1911.10739).

Five calls do what the command line does, with the same names: `score` trains M networks and takes the cross-entropy of
every training example; its mean over the trials is the easiness (lower = easier). `match` compares the easiest and
hardest examples of several score runs, `ablate` removes them and trains again, `report` makes one page of it all, and
`load_scores` reads scores back from any tracking server. `train` and `prepare` stand beside them. A training loop of
your own is scored by a `Recorder`, and `collect` makes a score run of its trials.

On arrays alone: `easiness` is the mean over trials, `easiest` and `hardest` cut the sets, `overlap` compares them.
"""

import signal
import sys
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from easiness.analysis.reliability import reliability
    from easiness.analysis.scores import easiness, rank_correlation
    from easiness.analysis.sets import chance, easiest, hardest, overlap
    from easiness.datasets import Dataset, open_dataset
    from easiness.recipes.recipe import Recipe, make_recipe
    from easiness.reporting.run import report
    from easiness.runs.ablate.run import ablate
    from easiness.runs.match.run import match
    from easiness.runs.prepare import prepare
    from easiness.runs.recorder import Recorder
    from easiness.runs.score.collecting import collect
    from easiness.runs.score.reading import Scores, load_scores
    from easiness.runs.score.run import score
    from easiness.runs.train import train

# A program, `python -m`, that is stopped while it still imports ends without a traceback: nothing is begun.
if sys.argv[:1] == ["-m"] and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

__all__ = [
    "Dataset",
    "Recipe",
    "Recorder",
    "Scores",
    "ablate",
    "chance",
    "collect",
    "easiest",
    "easiness",
    "hardest",
    "load_scores",
    "make_recipe",
    "match",
    "open_dataset",
    "overlap",
    "prepare",
    "rank_correlation",
    "reliability",
    "report",
    "score",
    "train",
]

# Rooms behind the door, opened when they are asked for: MLflow and torch take seconds to import.
_ROOMS = {
    "analysis.reliability": ("reliability",),
    "analysis.scores": ("easiness", "rank_correlation"),
    "analysis.sets": ("chance", "easiest", "hardest", "overlap"),
    "datasets": ("Dataset", "open_dataset"),
    "recipes.recipe": ("Recipe", "make_recipe"),
    "reporting.run": ("report",),
    "runs.ablate.run": ("ablate",),
    "runs.match.run": ("match",),
    "runs.prepare": ("prepare",),
    "runs.recorder": ("Recorder",),
    "runs.score.collecting": ("collect",),
    "runs.score.reading": ("Scores", "load_scores"),
    "runs.score.run": ("score",),
    "runs.train": ("train",),
}
_ROOM_OF = {name: room for room, names in _ROOMS.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _ROOM_OF:
        raise AttributeError(f"module 'easiness' has no attribute {name!r}")
    return getattr(import_module(f"easiness.{_ROOM_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
