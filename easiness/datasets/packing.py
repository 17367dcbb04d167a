"""Packing of image files into .beton files: decoded, checked, converted to RGB and made smaller, once."""

import errno
import hashlib
import io
import json
import os
import time
from collections.abc import Generator, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
from PIL import Image

from easiness.datasets.beton import (
    JPEG,
    MANIFEST,
    PAGE_SIZE,
    RAW,
    BetonFile,
    BetonImages,
    BetonWriter,
    EncodedImage,
    WrittenBeton,
    block_digest,
    decode_stored,
    read_index,
)
from easiness.datasets.chosen import EVERYTHING, Chosen
from easiness.datasets.dataset import Dataset
from easiness.datasets.decisions import REMOVED
from easiness.datasets.image_files import (
    DECODING,
    decode,
    digest_table,
    pixel_digest,
    printable,
    reason,
    refusal,
)
from easiness.datasets.image_folder import flat_listing, name_odd_images, refuse_empty_classes
from easiness.datasets.packed import (
    Part,
    compare_parts,
    open_part,
    read_manifest,
    remove_others,
    verify_beton,
    write_manifest,
)
from easiness.datasets.prefetch import map_ahead
from easiness.datasets.progress import progress_bar
from easiness.machine import usable_cores
from easiness.recipes.randomness import uniforms

MODES = ("jpg", "raw", "proportion")
GREATEST_MAX_SIDE = 16384
# Page for raw images of unlimited size: an image must fit in one page.
UNLIMITED_PAGE = 2**27

# Parts that are packed while others are not.
UNFINISHED = "packed.part.json"

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
    skip_bad : bool
        Leave out files that cannot be read as images, instead of stopping.
    """

    max_side: int = 400
    quality: int = 90
    mode: str = "jpg"
    proportion: float = 0.5
    skip_bad: bool = False

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
        for name, mode in (("quality", "raw"), ("proportion", "jpg"), ("proportion", "raw")):
            if self.mode == mode and getattr(self, name) != getattr(PackOptions, name):
                raise ValueError(f"{name} is {getattr(self, name)}, and does nothing with mode={mode}; leave it out")

    def page_size(self) -> int:
        """Bytes of a page: a power of two in which the largest image fits."""
        if self.mode == "jpg":
            return PAGE_SIZE
        if self.max_side == 0:
            return UNLIMITED_PAGE
        return max(PAGE_SIZE, 1 << (3 * self.max_side**2 - 1).bit_length())


@dataclass(frozen=True)
class Packed:
    """Path and description of a packed split, and the seconds that packing took (0 if it was up to date)."""

    path: Path
    part: Part
    seconds: float

    def describe(self) -> str:
        """Summary in one line."""
        part = self.part
        skipped = f", {len(part.skipped):,} bad files skipped" if part.skipped else ""
        speed = f"{part.examples / self.seconds:,.0f} images/s" if self.seconds else "up to date"
        return (
            f"{self.path}: {part.examples:,} images of {len(part.class_names):,} classes, "
            f"{part.size / 2**20:,.1f} MiB, fingerprint {part.fingerprint[:12]}{skipped}; {speed}"
        )


def pack(
    root: Path,
    files: dict[str, dict[str, list[str]]],
    folder: Path,
    options: PackOptions,
    *,
    workers: int | None = None,
    chosen: Chosen = EVERYTHING,
) -> dict[str, Packed]:
    """Pack the images of train and val into a claimed folder, but for a split that is there already.

    The manifest of both is written last; until then, the folder's earlier pair is what readers get. Earlier files are
    removed once nobody reads them. `files` are, by split, class names in the order of their labels to paths below
    `root`; `workers` threads decode (one per core by default); `chosen` is of the training images, and what is packed
    is numbered anew.
    """
    unfinished = folder / UNFINISHED
    known = {part.file: part for path in (folder / MANIFEST, unfinished) for part in _parts(path).values()}
    packed, parts = {}, {}
    for split, files_of in files.items():
        some = chosen if split == "train" else EVERYTHING
        packed[split] = pack_part(root, split, files_of, folder, options, known=known, workers=workers, chosen=some)
        parts[split] = packed[split].part
        write_manifest(unfinished, parts)
    compare_parts(parts["train"], parts["val"], folder)
    write_manifest(folder / MANIFEST, parts)
    unfinished.unlink()
    remove_others(folder, {part.file for part in parts.values()})
    return packed


def pack_part(
    root: Path,
    split: str,
    files_of: dict[str, list[str]],
    folder: Path,
    options: PackOptions,
    *,
    known: Mapping[str, Part] = MappingProxyType({}),
    workers: int | None = None,
    chosen: Chosen = EVERYTHING,
) -> Packed:
    """Pack one split into a file named by what is packed, unless a `known` part has that name and is whole."""
    _, sources, labels = flat_listing(root, files_of)
    settings = asdict(options) | chosen.settings(sources, labels)
    origin = _origin(root, files_of, settings)
    target = folder / f"{split}-{origin[:12]}.beton"
    part = known.get(target.name)
    if part is not None and part.origin == origin and _whole(folder, split, part):
        return Packed(target, part, 0.0)
    started = time.perf_counter()
    workers = workers or usable_cores()
    packed, written = _write_images(root, split, files_of, target, options, workers, chosen=chosen)
    part = Part(
        file=target.name,
        examples=len(packed.labels),
        fingerprint=packed.fingerprint,
        class_names=list(packed.class_names),
        sources=packed.sources.tolist(),
        digests=packed.digests.tobytes().hex(),
        stored=packed.images.stored.tobytes().hex(),
        settings=settings,
        origin=origin,
        skipped=list(packed.skipped),
        **written._asdict(),
    )
    verify_beton(BetonFile(target), part, "full")
    return Packed(target, part, time.perf_counter() - started)


def _write_images(
    root: Path,
    split: str,
    files_of: dict[str, list[str]],
    target: Path,
    options: PackOptions,
    workers: int,
    *,
    chosen: Chosen,
) -> tuple[Dataset, WrittenBeton]:
    paths, sources, labels = flat_listing(root, files_of)
    labels = labels if chosen.labels is None else chosen.labels
    digests, stored, kept, skipped, seen = [], [], [], [], {}
    wanted, readable = None if chosen.keep is None else set(chosen.keep.tolist()), 0
    try:
        with (
            BetonWriter(target, len(paths), options.page_size()) as writer,
            closing(_encoded(paths, options, workers)) as images,
            progress_bar(f"packing {target.name}", len(paths), "img") as bar,
        ):
            for row, (image, digest, *remarks) in enumerate(images):
                if isinstance(image, str):
                    skipped.append(f"{printable(sources[row])} ({image})")
                    if not options.skip_bad:
                        raise ValueError(
                            f"{skipped[0]} in {root} is not a readable image; repair or remove it, or skip bad files "
                            "with skip_bad=true"
                        )
                else:
                    if labels[row] != REMOVED and (wanted is None or readable in wanted):
                        writer.add(image, int(labels[row]))
                        digests.append(digest)
                        stored.append(bytes.fromhex(block_digest(image.data)))
                        kept.append(row)
                        seen[sources[row]] = tuple(remarks)
                    readable += 1
                bar.set_postfix_str(f"{writer.bytes_written / 2**20:,.0f} MiB", refresh=False)
                bar.update()
            if wanted is not None and (absent := sorted(wanted.difference(range(readable)))):
                raise ValueError(
                    f"{len(absent)} of {len(wanted)} ids to keep are not in {root}, whose {readable} images have ids "
                    f"0 to {readable - 1}; the first is {absent[0]}. Give the folder that was packed for scoring"
                )
            refuse_empty_classes(labels[kept], tuple(files_of), str(root))
            name_odd_images(seen, f"{root} ({split})")
            written = writer.finish()
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        raise OSError(
            error.errno,
            f"no space for {target.name} in {target.parent} ({error.strerror}) after {len(kept):,} of {len(paths):,} "
            "images; free some, lower max_side, or choose another output",
        ) from error
    rows, beton = np.arange(len(kept)), BetonFile(target)
    records, packed_labels = read_index(beton)
    packed = Dataset(
        target.parent.name,
        split,
        images=BetonImages(beton, rows, records, digest_table(stored)),
        labels=packed_labels,
        class_names=tuple(files_of),
        sources=np.array([sources[row] for row in kept]),
        example_ids=rows,
        digests=digest_table(digests),
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


def _encoded(
    paths: list[str], options: PackOptions, workers: int
) -> Generator[tuple[EncodedImage, bytes, str, str] | tuple[str, None], None, None]:
    """Encode files in order, ahead of the reader, with the digest of what is stored, format and remark.

    A bad file gives the reason why it is bad.
    """
    share = {"jpg": 1.0, "raw": 0.0, "proportion": options.proportion}[options.mode]
    as_jpeg_N = uniforms(0, 0, np.arange(len(paths)), 0) < share

    def encode(row: int) -> tuple[EncodedImage, bytes, str, str] | tuple[str, None]:
        refused = refusal(paths[row])
        if refused:
            return refused, None
        try:
            image = decode(paths[row])
            encoded = encode_image(image.pixels, options, as_jpeg=bool(as_jpeg_N[row]))
            return encoded, pixel_digest(decode_stored(encoded)), image.format, image.remark
        except (OSError, ValueError) as error:
            return reason(error, paths[row]), None

    return map_ahead(
        range(len(paths)),
        encode,
        workers=workers,
        ahead=8 * workers,
        describe=lambda row: f"packing {printable(paths[row])}",
    )


def _parts(path: Path) -> dict[str, Part]:
    """Parts of a manifest; none if it is not there, or is damaged and so to be written again."""
    try:
        return read_manifest(path)
    except (OSError, ValueError):
        return {}


def _whole(folder: Path, split: str, part: Part) -> bool:
    try:
        open_part(folder, split, part, "quick")
    except (OSError, ValueError):
        return False
    return True


def _origin(root: Path, files_of: dict[str, list[str]], settings: dict[str, object]) -> str:
    """SHA-256 (hex) over the settings, the way of decoding, and class, path, size and time of every file."""
    digest = hashlib.sha256(json.dumps(settings | {"decoding": DECODING}, sort_keys=True).encode())
    for name, files in files_of.items():
        for path in files:
            status = os.lstat(path)
            line = f"{name}\0{os.path.relpath(path, root)}\0{status.st_size}\0{status.st_mtime_ns}\n"
            digest.update(line.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()
