"""Packing of image files into one .beton: decoded, checked, converted to RGB and made smaller, once."""

import errno
import hashlib
import io
import json
import os
import time
from collections.abc import Generator
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from easiness.datasets.beton import (
    JPEG,
    PAGE_SIZE,
    RAW,
    BetonImages,
    BetonWriter,
    EncodedImage,
    WrittenBeton,
    manifest_path,
    read_index,
)
from easiness.datasets.dataset import Dataset
from easiness.datasets.image_files import DIGEST_SIZE, decode_image, printable, reason, refusal
from easiness.datasets.image_folder import flat_listing, refuse_empty_classes
from easiness.datasets.imagenet import Manifest, read_manifest, verify_beton
from easiness.datasets.prefetch import map_ahead
from easiness.datasets.progress import progress_bar
from easiness.recipes.randomness import uniforms

MODES = ("jpg", "raw", "proportion")
GREATEST_MAX_SIDE = 16384
# Page for raw images of unlimited size: an image must fit in one page.
UNLIMITED_PAGE = 2**27

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True)
class PackOptions:
    """How images are stored.

    Attributes
    ----------
    max_side : int
        Longest side in pixels; larger images are scaled down by area. 0 keeps every size.
    quality : int
        JPEG quality, 1 to 100.
    mode : str
        `jpg`; `raw`: pixels, larger and faster to read; `proportion`: some as jpg, the rest raw.
    proportion : float
        Share of jpg in mode `proportion`.
    """

    max_side: int = 400
    quality: int = 90
    mode: str = "jpg"
    proportion: float = 0.5

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ValueError(f"mode is {self.mode!r}, and must be one of {', '.join(MODES)}")
        for name, value, least, most in (
            ("max_side", self.max_side, 0, GREATEST_MAX_SIDE),
            ("quality", self.quality, 1, 100),
            ("proportion", self.proportion, 0, 1),
        ):
            if not least <= value <= most:
                raise ValueError(f"{name} is {value}, and must be from {least} to {most}")

    def page_size(self) -> int:
        """Bytes of a page: a power of two in which the largest image fits."""
        if self.mode == "jpg":
            return PAGE_SIZE
        if self.max_side == 0:
            return UNLIMITED_PAGE
        return max(PAGE_SIZE, 1 << (3 * self.max_side**2 - 1).bit_length())


@dataclass(frozen=True)
class Packed:
    """Path and manifest of a packed split, and the seconds that packing took (0 if it was up to date)."""

    path: Path
    manifest: Manifest
    seconds: float

    def describe(self) -> str:
        """Summary in one line."""
        manifest = self.manifest
        skipped = f", {len(manifest.skipped):,} bad files skipped" if manifest.skipped else ""
        speed = f"{manifest.examples / self.seconds:,.0f} images/s" if self.seconds else "up to date"
        return (
            f"{self.path}: {manifest.examples:,} images of {len(manifest.class_names):,} classes, "
            f"{manifest.size / 2**20:,.1f} MiB, fingerprint {manifest.fingerprint[:12]}{skipped}; {speed}"
        )


def pack(
    root: Path,
    split: str,
    files_of: dict[str, list[str]],
    target: Path,
    options: PackOptions,
    *,
    workers: int | None = None,
    skip_bad: bool = False,
    keep: np.ndarray | None = None,
) -> Packed:
    """Pack the images of one split into `target`, or do nothing if that was done before.

    The .beton appears when it is whole, and its manifest, the .json of that name, after it; it names the sources below
    `root`. `files_of` maps class names, in the order of their labels, to paths; `workers` threads decode (one per core
    by default); `skip_bad` leaves out unreadable files instead of stopping at the first; `keep` are the example ids of
    the images to pack, as they are without `keep`, and the packed images are numbered anew.
    """
    settings = asdict(options) | {"skip_bad": skip_bad}
    if keep is not None:
        settings["keep"] = hashlib.sha256(np.sort(keep).tobytes()).hexdigest()
    origin = _origin(root, files_of, settings)
    manifest = _up_to_date(target, origin)
    if manifest is not None:
        return Packed(target, manifest, 0.0)
    started = time.perf_counter()
    workers = workers or len(os.sched_getaffinity(0))
    packed, written = _write_images(root, split, files_of, target, options, workers, skip_bad=skip_bad, keep=keep)
    manifest = Manifest(
        split=split,
        examples=len(packed.labels),
        fingerprint=packed.fingerprint,
        class_names=list(packed.class_names),
        sources=packed.sources.tolist(),
        digests=packed.digests.tobytes().hex(),
        settings=settings,
        origin=origin,
        skipped=list(packed.skipped),
        **written._asdict(),
    )
    verify_beton(target, manifest, "full")
    _write_whole(manifest_path(target), manifest.dump())
    return Packed(target, manifest, time.perf_counter() - started)


def _write_images(
    root: Path,
    split: str,
    files_of: dict[str, list[str]],
    target: Path,
    options: PackOptions,
    workers: int,
    *,
    skip_bad: bool,
    keep: np.ndarray | None,
) -> tuple[Dataset, WrittenBeton]:
    paths, sources, labels = flat_listing(root, files_of)
    digests, kept, skipped = [], [], []
    wanted, readable = None if keep is None else set(keep.tolist()), 0
    try:
        with (
            BetonWriter(target, len(paths), options.page_size()) as writer,
            closing(_encoded(paths, options, workers)) as images,
            progress_bar(f"packing {target.name}", len(paths), "img") as bar,
        ):
            for row, image in enumerate(images):
                if isinstance(image, str):
                    skipped.append(f"{printable(sources[row])} ({image})")
                    if not skip_bad:
                        raise ValueError(
                            f"{skipped[0]} in {root} is not a readable image; repair or remove it, or skip bad files "
                            "with skip_bad=true"
                        )
                else:
                    if wanted is None or readable in wanted:
                        writer.add(image, int(labels[row]))
                        digests.append(hashlib.blake2b(image.data, digest_size=DIGEST_SIZE).digest())
                        kept.append(row)
                    readable += 1
                bar.set_postfix_str(f"{writer.bytes_written / 2**20:,.0f} MiB", refresh=False)
                bar.update()
            if wanted is not None and (absent := sorted(wanted.difference(range(readable)))):
                raise ValueError(
                    f"{len(absent)} of {len(wanted)} ids to keep are not in {root}, whose {readable} images have ids "
                    f"0 to {readable - 1}; the first is {absent[0]}. Give the folder that was packed for scoring"
                )
            refuse_empty_classes(labels[kept], tuple(files_of), str(root))
            # If the process is killed after the next step, the new file must not stand beside the old manifest.
            manifest_path(target).unlink(missing_ok=True)
            written = writer.finish()
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        raise OSError(
            error.errno,
            f"no space for {target.name} in {target.parent} ({error.strerror}) after {len(kept):,} of {len(paths):,} "
            "images; free some, lower max_side, or choose another output",
        ) from error
    rows, (records, packed_labels) = np.arange(len(kept)), read_index(target)
    packed = Dataset(
        "imagenet",
        split,
        images=BetonImages(target, rows, records),
        labels=packed_labels,
        class_names=tuple(files_of),
        sources=np.array([sources[row] for row in kept]),
        example_ids=rows,
        digests=np.frombuffer(b"".join(digests), np.uint8).reshape(-1, DIGEST_SIZE),
        skipped=tuple(skipped),
    )
    return packed, written


def encode_image(image: np.ndarray, options: PackOptions, *, as_jpeg: bool) -> EncodedImage:
    """Scale a (H, W, 3) uint8 RGB image down to the longest side allowed, and encode it as JPEG or raw."""
    height, width = image.shape[:2]
    longest = max(height, width)
    picture = Image.fromarray(image)
    if options.max_side and longest > options.max_side:
        size = tuple(max(1, round(side * options.max_side / longest)) for side in (width, height))
        picture = picture.resize(size, Image.Resampling.BOX)
    if not as_jpeg:
        return EncodedImage(RAW, picture.height, picture.width, picture.tobytes())
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=options.quality)
    return EncodedImage(JPEG, picture.height, picture.width, stream.getvalue())


def _encoded(paths: list[str], options: PackOptions, workers: int) -> Generator[EncodedImage | str, None, None]:
    """Encode files in order, ahead of the reader; a bad file gives the reason why it is bad."""
    share = {"jpg": 1.0, "raw": 0.0, "proportion": options.proportion}[options.mode]
    as_jpeg_N = uniforms(0, 0, np.arange(len(paths)), 0) < share

    def encode(row: int) -> EncodedImage | str:
        refused = refusal(paths[row])
        if refused:
            return refused
        try:
            return encode_image(decode_image(paths[row]), options, as_jpeg=bool(as_jpeg_N[row]))
        except (OSError, ValueError) as error:
            return reason(error)

    return map_ahead(
        range(len(paths)),
        encode,
        workers=workers,
        ahead=8 * workers,
        describe=lambda row: f"packing {printable(paths[row])}",
    )


def _up_to_date(target: Path, origin: str) -> Manifest | None:
    if not (target.exists() and manifest_path(target).exists()):
        return None
    try:
        manifest = read_manifest(target)
        verify_beton(target, manifest, "quick")
    except ValueError:
        return None  # damaged: to be packed again
    return manifest if manifest.origin == origin else None


def _origin(root: Path, files_of: dict[str, list[str]], settings: dict[str, object]) -> str:
    """SHA-256 (hex) over the settings, and over class, path, size and time of every file."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for name, files in files_of.items():
        for path in files:
            status = os.lstat(path)
            line = f"{name}\0{os.path.relpath(path, root)}\0{status.st_size}\0{status.st_mtime_ns}\n"
            digest.update(line.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _write_whole(path: Path, text: str) -> None:
    temporary = path.with_name(path.name + ".part")
    try:
        temporary.write_text(text)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
