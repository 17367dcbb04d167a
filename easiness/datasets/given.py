"""Dataset of labels and ids that a caller gives, whose images may be unknown."""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from easiness.datasets.dataset import Dataset
from easiness.datasets.image_files import DIGEST_SIZE


def given_dataset(
    name: str,
    labels: ArrayLike,
    *,
    ids: ArrayLike | None = None,
    class_names: Sequence[str] | None = None,
    sources: Sequence[str] | None = None,
    images: Sequence | None = None,
    digests: np.ndarray | None = None,
) -> Dataset:
    """Training set of N labels, with the fingerprint that `open_dataset` gives the same ids, labels and content.

    `ids` are N different whole numbers (the rows if not given) or texts, which become the `sources`, and whose rows
    are the ids. Content is known by `images` (N of (H, W, 3) uint8 RGB) or by their (N, 16) uint8 `digests`; where it
    is not, the fingerprint is of ids and labels alone, and equals no other data's. ValueError for what does not fit.
    """
    labels_N = np.asarray(labels)
    if labels_N.ndim != 1 or labels_N.dtype.kind not in "iu" or not len(labels_N):
        raise ValueError(f"labels are {labels_N.dtype} of shape {labels_N.shape}, and must be (N,) whole numbers")
    labels_N, count = labels_N.astype(np.int64), len(labels_N)
    ids_N = np.arange(count) if ids is None else np.asarray(ids)
    if ids_N.dtype.kind == "O" and all(isinstance(name, str) for name in ids_N.flat):  # a column of pandas
        ids_N = ids_N.astype(str)
    if ids_N.shape != (count,) or ids_N.dtype.kind not in "iuU":
        raise ValueError(
            f"ids are {ids_N.dtype} of shape {ids_N.shape}, and must be {count} whole numbers or texts, one per label"
        )
    values, times = np.unique(ids_N, return_counts=True)
    if len(values) < count:
        raise ValueError(f"ids has {(times > 1).sum():,} twice or more, the first is {values[times > 1][0]}")
    if ids_N.dtype.kind == "U":
        sources, ids_N = ids_N if sources is None else sources, np.arange(count)
    ids_N = ids_N.astype(np.int64)
    if class_names is None:
        class_names = [str(k) for k in range(max(2, int(labels_N.max()) + 1))]
    if images is not None and digests is None:
        digests = content_digests(images)
    if digests is None:
        digests = _digests(f"content unknown {example_id}".encode() for example_id in ids_N)
    digests = np.asarray(digests)
    if digests.shape != (count, DIGEST_SIZE) or digests.dtype != np.uint8:
        raise ValueError(f"digests are {digests.dtype} of shape {digests.shape}, and must be ({count}, 16) uint8")
    sources = [f"{name}#{example_id}" for example_id in ids_N] if sources is None else list(map(str, sources))
    return Dataset(name, "train", images, labels_N, tuple(map(str, class_names)), np.array(sources), ids_N, digests)


def content_digests(images: Sequence) -> np.ndarray:
    """(N, 16) uint8 BLAKE2b-128 of the pixels of N images, (H, W, 3) uint8 RGB each."""
    return _digests(_pixels(images[row], row).tobytes() for row in range(len(images)))


def _pixels(image: object, row: int) -> np.ndarray:
    pixels = np.asarray(image)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise ValueError(f"images[{row}] is {pixels.dtype} of shape {pixels.shape}, and must be (H, W, 3) uint8 RGB")
    return pixels


def _digests(contents: Sequence[bytes]) -> np.ndarray:
    joined = b"".join(hashlib.blake2b(content, digest_size=DIGEST_SIZE).digest() for content in contents)
    return np.frombuffer(joined, np.uint8).reshape(-1, DIGEST_SIZE)
