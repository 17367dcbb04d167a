"""Pillow decoder: for machines without FFCV, and for separate image files."""

import numpy as np
from PIL import Image

from easiness.datasets.beton import BetonImages
from easiness.datasets.image_files import ImageFiles
from easiness.loaders.streaming import Chunk


class PillowDecoder:
    """Decoder for any lazy sequence of images.

    Of Pillow's filters, HAMMING is the closest to OpenCV's INTER_AREA, which FFCV uses: on photographs they differ by
    one grey level on average, BOX by two to three.
    """

    def __init__(self, images: ImageFiles | BetonImages) -> None:
        self._images = images

    def decode(self, chunk: Chunk) -> None:
        """Decode, crop, scale and flip the images of a chunk into its views."""
        size = chunk.views.shape[1:3]
        for i, row in enumerate(chunk.rows.tolist()):
            chunk.at[0] = i
            top, left, height, width = chunk.boxes[i].tolist()
            image = Image.fromarray(self._images[row])
            box = (left, top, left + width, top + height)
            view = np.asarray(image.resize(size, Image.Resampling.HAMMING, box=box))
            chunk.views[i] = view[:, ::-1] if chunk.flip[i] else view
