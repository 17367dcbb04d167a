"""What is known of trainings that another program made, in the place of their recipe."""

import dataclasses
import hashlib
import json
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class RecordedTraining:
    """Answers to what readers of a score run ask its recipe, by the same names; None = not known."""

    model: str
    dataset: str  # name of the data
    trials: int  # number of trials M
    updates_per_epoch: int | None
    epochs: float | None  # passes over the training set until the last scored moment
    schedule_epochs: int | None  # of the whole training
    score_at: tuple[int, ...]  # as in `Recipe`: empty where examples were scored at the end of every epoch
    content: bool  # whether the fingerprint covers the images; else ids and labels alone
    weights: str = "none"  # name of the trained weights that all trials started from
    recorded: bool = True  # a recipe has no such field
    seed: int = 0  # of ties between equal scores; those of the trainings are not known
    common_random_numbers: bool = False
    folds: int = 0  # every trial trained on all examples
    resolution: int = 64  # pixels of the squares that images of different sizes are cut to, where they are averaged

    def settings(self) -> dict[str, object]:
        """Fields as plain values, ready for json."""
        return dataclasses.asdict(self)

    def digest(self) -> str:
        """SHA-256 (hex) of all fields."""
        return hashlib.sha256(json.dumps(self.settings(), sort_keys=True).encode()).hexdigest()


def scored_each_epoch(updates: tuple[int, ...], updates_per_epoch: int | None) -> bool:
    """Whether the scored moments are the ends of the first epochs, each once.

    >>> scored_each_epoch((16, 32), 16), scored_each_epoch((32,), 16), scored_each_epoch((16,), None)
    (True, False, False)
    """
    return updates_per_epoch is not None and updates == tuple(
        updates_per_epoch * (epoch + 1) for epoch in range(len(updates))
    )
