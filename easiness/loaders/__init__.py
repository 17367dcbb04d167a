"""Batches of a dataset: one protocol, whatever holds the images."""

from easiness.loaders.parts import WHOLE, Part
from easiness.loaders.protocol import Batch, Loader, Staged
from easiness.loaders.resident import resident_bytes, stage_resident
from easiness.loaders.staging import choose_loader, part_of, restage, stage

__all__ = [
    "WHOLE",
    "Batch",
    "Loader",
    "Part",
    "Staged",
    "choose_loader",
    "part_of",
    "resident_bytes",
    "restage",
    "stage",
    "stage_resident",
]
