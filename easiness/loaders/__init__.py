"""Images to batches: one protocol, whatever holds the images."""

from easiness.loaders.protocol import Batch, Loader, Staged
from easiness.loaders.resident import restage, stage_resident

__all__ = ["Batch", "Loader", "Staged", "restage", "stage_resident"]
