"""Packed data: train and val as two .beton files, and one manifest that describes both.

The manifest is written last, and names its files: whatever is cut off, there is the pair from before or the new one.
"""

import dataclasses
import itertools
import json
import logging
import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self, get_origin

import numpy as np

from easiness.datasets.beton import MANIFEST, BetonFile, BetonImages, block_digest, read_index
from easiness.datasets.dataset import Dataset, digest_keys
from easiness.datasets.image_files import DIGEST_SIZE, digest_table
from easiness.machine import take_lock

LOG = logging.getLogger("easiness")

SCHEMA = 1
VERIFY = ("quick", "full")

# Blocks of images that a quick check reads, besides the tables, which FFCV trusts blindly; and single images.
SAMPLED_BLOCKS, SAMPLED_IMAGES = 16, 64

_OURS = re.compile(r"(train|val)-[0-9a-f]{12}\.beton")
_HEX = frozenset("0123456789abcdef")


@dataclass(frozen=True)
class Part:
    """Description of one .beton in the manifest."""

    file: str  # name of the .beton beside the manifest
    examples: int
    fingerprint: str  # `Dataset.fingerprint`
    class_names: list[str]
    sources: list[str]  # paths below the packed folder, with forward slashes
    digests: str  # hex, the `pixel_digest` of each stored image
    stored: str  # hex, the BLAKE2b-128 of its stored bytes
    settings: dict[str, object]  # how the images were packed
    origin: str  # digest of the packed files and settings, by which `prepare` notices a change
    skipped: list[str]  # bad files that were left out, each with the reason
    size: int  # bytes of the file
    block_size: int
    blocks: list[str]  # BLAKE2b-128 (hex) of every block of the file

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value, kind = getattr(self, field.name), get_origin(field.type) or field.type
            if type(value) is not kind:
                raise ValueError(f"{field.name} is {type(value).__name__}, not {kind.__name__}")
            if kind is list and not all(isinstance(item, str) for item in value):
                raise ValueError(f"{field.name} has items that are not text")
        if Path(self.file).name != self.file or not self.file.endswith(".beton"):
            raise ValueError(f"file is {self.file!r}, not the name of a .beton")
        if len(set(self.class_names)) < max(len(self.class_names), 2):
            raise ValueError("class_names has fewer than two names, or one of them twice")
        lengths = {len(self.digests), len(self.stored)}
        if not 0 < self.examples == len(self.sources) or lengths != {2 * DIGEST_SIZE * self.examples}:
            raise ValueError(f"{self.examples} examples have {len(self.sources)} sources and other digests")
        if self.block_size < 1 or len(self.blocks) != -(-self.size // self.block_size):
            raise ValueError(f"{len(self.blocks)} blocks of {self.block_size} bytes are not {self.size} bytes")
        for name in ("digests", "stored"):
            if not _HEX.issuperset(getattr(self, name)):
                raise ValueError(f"{name} is not hexadecimal")

    def table(self, name: str) -> np.ndarray:
        """(N, 16) uint8 of the field `digests` or `stored`."""
        return digest_table([bytes.fromhex(getattr(self, name))])

    @classmethod
    def from_json(cls, content: object) -> Self:
        """Part of a manifest; a ValueError if a field is missing, unknown or of another kind."""
        if not isinstance(content, dict) or content.keys() != {field.name for field in dataclasses.fields(cls)}:
            raise ValueError("a part has other fields")
        return cls(**content)


def write_manifest(path: Path, parts: dict[str, Part]) -> None:
    """Write a manifest; it is whole or not there, even after a power failure."""
    described = {split: dataclasses.asdict(part) for split, part in parts.items()}
    content = {"schema": SCHEMA, "digest": _digest(described), "parts": described}
    temporary = path.with_name(path.name + ".new")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            json.dump(content, file, indent=0)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _digest(described: dict[str, object]) -> str:
    """BLAKE2b-128 (hex) of the parts of a manifest."""
    return block_digest(json.dumps(described, sort_keys=True).encode())


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_manifest(path: Path) -> dict[str, Part]:
    """Parts by split; a ValueError if the file is damaged or was made by another program."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if (
            not isinstance(content, dict)
            or content.get("schema") != SCHEMA
            or content.keys() != {"schema", "digest", "parts"}
        ):
            raise ValueError(f"it has another layout than schema {SCHEMA}")
        parts = {split: Part.from_json(part) for split, part in content["parts"].items()}
        if _digest(content["parts"]) != content["digest"]:
            raise ValueError("its digest is another")
        return parts
    except (ValueError, AttributeError, RecursionError) as error:
        raise ValueError(f"{path} is damaged or has another layout ({error}); run prepare again") from error


def compare_parts(train: Part, val: Part, where: Path) -> None:
    """Raise a ValueError unless both parts have the same classes, and val is not made of training images."""
    for ours, theirs in zip(train.class_names, val.class_names, strict=False):
        if ours != theirs:
            raise ValueError(f"train and val of {where} have other classes, or another order: {ours!r} and {theirs!r}")
    if len(train.class_names) != len(val.class_names):
        counts = f"{len(train.class_names):,} and {len(val.class_names):,}"
        raise ValueError(f"train and val of {where} have {counts} classes, and need the same")
    if np.isin(digest_keys(val.table("digests")), digest_keys(train.table("digests"))).all():
        raise ValueError(f"every image of val of {where} is in train, too; pack another folder val")


def verify_beton(beton: BetonFile, part: Part, verify: str) -> None:
    """Compare a file with the checksums of its manifest, and raise a ValueError if they differ.

    ``full`` reads all blocks; ``quick`` its size, the blocks of its tables, and 16 of the rest.
    """
    if verify not in VERIFY:
        raise ValueError(f"verify is {verify!r}, and must be one of {', '.join(VERIFY)}")
    if beton.size != part.size:
        raise ValueError(f"{beton.path} has {beton.size:,} bytes, and had {part.size:,} when packed; run prepare again")
    count, block_size = len(part.blocks), part.block_size
    numbers = range(count)
    if verify == "quick" and count > SAMPLED_BLOCKS:
        records, _ = read_index(beton)
        first, last = int(records["ptr"].min()) // block_size, int(records["ptr"].max()) // block_size
        middle = np.linspace(first, last, SAMPLED_BLOCKS, dtype=int).tolist()
        numbers = sorted({*range(first), *range(last + 1, count), *middle})

    def differs(number: int) -> bool:
        return beton.digest(number * block_size, block_size) != part.blocks[number]

    with ThreadPoolExecutor() as pool:
        bad = list(itertools.compress(numbers, pool.map(differs, numbers)))
    if bad:
        raise ValueError(
            f"{beton.path} is damaged: {len(bad):,} of {len(numbers):,} checked blocks differ from what was packed, "
            f"the first at byte {bad[0] * block_size:,}; run prepare again"
        )


def open_packed(folder: Path, split: str, verify: str) -> Dataset:
    """Open one split of packed data, after it was compared with the manifest and with the other split.

    ``full`` compares all of its bytes, ``quick`` its size, tables and a sample; see `verify_beton`.
    """
    parts = read_manifest(folder / MANIFEST)
    if parts.keys() != {"train", "val"}:
        raise ValueError(f"{folder / MANIFEST} describes {', '.join(parts) or 'nothing'}, not train and val")
    compare_parts(parts["train"], parts["val"], folder)
    for part in parts.values():
        if not (folder / part.file).is_file():
            raise FileNotFoundError(f"{folder / part.file} is missing, and {MANIFEST} names it; run prepare again")
    return open_part(folder, split, parts[split], verify)


def open_part(folder: Path, split: str, part: Part, verify: str) -> Dataset:
    """Open one .beton in a folder after a ``quick`` or ``full`` check."""
    beton = BetonFile(folder / part.file, marks=_marks(part))
    verify_beton(beton, part, verify)
    records, labels = read_index(beton)
    if len(records) != part.examples:
        raise ValueError(f"{beton.path} has {len(records):,} examples, and its manifest {part.examples:,}")
    rows, sources, digests = np.arange(len(labels)), np.array(part.sources), part.table("digests")
    images = BetonImages(beton, rows, records, part.table("stored"))
    for row in rows if verify == "full" else np.linspace(0, len(rows) - 1, SAMPLED_IMAGES, dtype=int):
        images.read_bytes(row)
    class_names, skipped = tuple(part.class_names), tuple(part.skipped)
    dataset = Dataset(folder.name, split, images, labels, class_names, sources, rows, digests, skipped=skipped)
    if dataset.fingerprint != part.fingerprint:
        raise ValueError(
            f"{beton.path} has fingerprint {dataset.fingerprint[:12]}, and its manifest says {part.fingerprint[:12]}; "
            "run prepare again"
        )
    return dataset


def _marks(part: Part) -> tuple[tuple[int, int, str], ...]:
    """First, middle and last block, by which another process knows the file again."""
    numbers = {0, len(part.blocks) // 2, len(part.blocks) - 1}
    return tuple((number * part.block_size, part.block_size, part.blocks[number]) for number in sorted(numbers))


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Make a folder, and keep other packing processes out of it; a ValueError if one is at work there."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        if not _locked(descriptor):
            raise ValueError(f"another prepare is packing into {folder}; wait for it, or choose another output")
        yield
    finally:
        os.close(descriptor)


def remove_others(folder: Path, names: set[str]) -> None:
    """Remove what killed processes left, and the files of earlier manifests, but those that are being read."""
    for path in (*folder.glob("*.beton.part"), *folder.glob("packed*.json.new")):
        path.unlink()
    for path in folder.glob("*.beton"):
        if path.name in names or not _OURS.fullmatch(path.name):
            continue
        with path.open("rb") as file:
            if _locked(file.fileno()):
                path.unlink()
            else:
                LOG.warning("%s is still being read and was left there; the next prepare removes it", path)


def _locked(descriptor: int) -> bool:
    """Whether this process alone uses a file or folder from now on, until it closes it."""
    try:
        return take_lock(descriptor)
    except OSError:  # some network drives have no locks
        return True
