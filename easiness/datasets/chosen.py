"""Choice of the training images that are packed: a list of kept ones, and labels that a review decided."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from easiness.datasets.decisions import REMOVED


@dataclass(frozen=True, eq=False)
class Chosen:
    """Part of the listed images that is packed, and their labels."""

    keep: np.ndarray | None = None  # (n,) int64 example ids to pack, as they are without `keep`; None = all
    labels: np.ndarray | None = None  # (N,) int64 of every listed image, `REMOVED` to leave it out; None = its class

    def settings(self, sources: Sequence[str], labels: np.ndarray) -> dict[str, object]:
        """What differs from packing everything, for `Part.settings`."""
        settings: dict[str, object] = {}
        if self.keep is not None:
            settings["keep"] = hashlib.sha256(np.sort(self.keep).tobytes()).hexdigest()
        changed = [] if self.labels is None else np.flatnonzero(self.labels != labels).tolist()
        if changed:
            said = json.dumps([[sources[row], int(self.labels[row])] for row in changed])
            settings["decisions"] = {
                "removed": int((self.labels == REMOVED).sum()),
                "relabelled": int((self.labels[changed] != REMOVED).sum()),
                "sha256": hashlib.sha256(said.encode()).hexdigest(),
            }
        return settings


EVERYTHING = Chosen()
