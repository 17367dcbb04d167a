"""Views decoded by Pillow: for machines without FFCV, and for images in files of their own."""

import numpy as np
from PIL import Image

from easiness.datasets.beton import BetonImages
from easiness.datasets.image_files import ImageFiles
from easiness.loaders.streaming import Chunk


class PillowDecoder:
    """Cuts, scales and mirrors images of any lazy sequence.

    Of Pillow's filters, HAMMING is the nearest to the INTER_AREA of OpenCV that FFCV uses: on photographs they differ
    by one grey level in the mean, BOX by two to three.

    Parameters
    ----------
    images : ImageFiles or BetonImages
        Item i is (H_i, W_i, 3) uint8.
    """

    def __init__(self, images: ImageFiles | BetonImages) -> None:
        self._images = images

    def decode(self, chunk: Chunk) -> None:
        """Fill the views of a chunk."""
        size = chunk.views.shape[1:3]
        for i, row in enumerate(chunk.rows.tolist()):
            chunk.at[0] = i
            top, left, height, width = chunk.boxes[i].tolist()
            picture = Image.fromarray(self._images[row])
            box = (left, top, left + width, top + height)
            view = np.asarray(picture.resize(size, Image.Resampling.HAMMING, box=box))
            chunk.views[i] = view[:, ::-1] if chunk.flip[i] else view
