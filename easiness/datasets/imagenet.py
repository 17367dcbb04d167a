"""ImageNet and similar datasets: two .beton files made by `prepare`, or folders of images."""

import dataclasses
import itertools
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from easiness.datasets.beton import BetonImages, block_digest, manifest_path, read_index
from easiness.datasets.dataset import Dataset
from easiness.datasets.image_files import DIGEST_SIZE
from easiness.datasets.image_folder import files_by_class, list_split, open_listed, require_folder
from easiness.datasets.validation_list import is_flat, list_flat

SCHEMA = 1
VERIFY = ("quick", "full")

# Blocks of images that a quick check reads, besides the tables, which FFCV trusts blindly.
SAMPLED_BLOCKS = 16


@dataclass(frozen=True)
class Manifest:
    """Description of a .beton, in a JSON file beside it; a file without one is not finished."""

    split: str
    examples: int
    fingerprint: str  # `Dataset.fingerprint`
    class_names: list[str]
    sources: list[str]  # paths below the packed folder, with forward slashes
    digests: str  # hex, the BLAKE2b-128 of the stored bytes of each image
    settings: dict[str, object]  # how the images were packed
    origin: str  # digest of the packed files and settings, by which `prepare` notices a change
    skipped: list[str]  # bad files that were left out, each with the reason
    size: int  # bytes of the file
    block_size: int
    blocks: list[str]  # BLAKE2b-128 (hex) of every block of the file
    schema: int = SCHEMA

    def dump(self) -> str:
        """Manifest as JSON."""
        return json.dumps(dataclasses.asdict(self), indent=0) + "\n"

    @property
    def digest_table(self) -> np.ndarray:
        """(N, 16) uint8."""
        return np.frombuffer(bytes.fromhex(self.digests), np.uint8).reshape(-1, DIGEST_SIZE)


def read_manifest(beton: Path) -> Manifest:
    """Manifest of a .beton; a ValueError if it is missing, because packing was interrupted, or damaged."""
    path = manifest_path(beton)
    if not path.is_file():
        raise ValueError(f"{beton} has no {path.name} beside it, so packing was interrupted; run prepare again")
    try:
        return Manifest(**json.loads(path.read_text()))
    except (TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is damaged or has another layout ({error}); run prepare again") from error


def verify_beton(beton: Path, manifest: Manifest, verify: str) -> None:
    """Compare a file with the checksums of its manifest, and raise a ValueError if they differ.

    ``full`` reads all blocks; ``quick`` its size, the blocks of its tables, and 16 of the rest.
    """
    if verify not in VERIFY:
        raise ValueError(f"verify is {verify!r}, and must be one of {', '.join(VERIFY)}")
    size = beton.stat().st_size
    if size != manifest.size:
        raise ValueError(f"{beton} has {size:,} bytes, and had {manifest.size:,} when packed; run prepare again")
    count, block_size = len(manifest.blocks), manifest.block_size
    numbers = range(count)
    if verify == "quick" and count > SAMPLED_BLOCKS:
        records, _ = read_index(beton)
        first, last = int(records["ptr"].min()) // block_size, int(records["ptr"].max()) // block_size
        middle = np.linspace(first, last, SAMPLED_BLOCKS, dtype=int).tolist()
        numbers = sorted({*range(first), *range(last + 1, count), *middle})

    def differs(number: int) -> bool:
        with beton.open("rb", buffering=0) as file:
            file.seek(number * block_size)
            return block_digest(file.read(block_size)) != manifest.blocks[number]

    with ThreadPoolExecutor() as pool:
        bad = list(itertools.compress(numbers, pool.map(differs, numbers)))
    if bad:
        raise ValueError(
            f"{beton} is damaged: {len(bad):,} of {len(numbers):,} checked blocks differ from what was packed, "
            f"the first at byte {bad[0] * block_size:,}; run prepare again"
        )


def open_imagenet(
    root: str | Path, split: str, *, seed: int, val_fraction: float, skip_bad: bool, verify: str
) -> Dataset:
    """Open one split: ``root/train.beton`` or ``root/val.beton``, or else the images in these folders."""
    root = Path(root).expanduser()
    require_folder(root)
    beton = root / f"{split}.beton"
    if beton.exists() or manifest_path(beton).exists():
        return open_beton(beton, split, verify)
    others = sorted(path.name for path in root.glob("*.beton"))
    if others:
        raise FileNotFoundError(f"{root} has {', '.join(others)} but no {beton.name}; run prepare again")
    files_of = list_imagenet(root, split, seed=seed, val_fraction=val_fraction)
    return open_listed("imagenet", root, split, files_of, skip_bad=skip_bad)


def list_imagenet(
    root: Path, split: str, *, seed: int, val_fraction: float, val_labels: Path | None = None
) -> dict[str, list[str]]:
    """Class name to sorted paths, as `list_split`; also for a flat validation folder with a list of classes."""
    train, val = root / "train", root / "val"
    if not (train.is_dir() and is_flat(val)):
        return list_split(root, split, seed=seed, val_fraction=val_fraction)
    files_of = files_by_class(train)
    return files_of if split == "train" else list_flat(val, tuple(files_of), val_labels)


def open_beton(beton: Path, split: str, verify: str) -> Dataset:
    """Open one .beton made by `prepare`, after a ``quick`` or ``full`` check; see `verify_beton`."""
    if not beton.exists():
        raise FileNotFoundError(f"{beton} is missing, and its manifest is there; run prepare again")
    manifest = read_manifest(beton)
    verify_beton(beton, manifest, verify)
    records, labels = read_index(beton)
    if not len(records) == len(manifest.sources) == len(manifest.digest_table) == manifest.examples:
        raise ValueError(f"{beton} and its manifest have different numbers of examples; run prepare again")
    return Dataset(
        "imagenet",
        split,
        images=BetonImages(beton, np.arange(len(labels)), records),
        labels=labels,
        class_names=tuple(manifest.class_names),
        sources=np.array(manifest.sources),
        example_ids=np.arange(len(labels)),
        digests=manifest.digest_table,
        skipped=tuple(manifest.skipped),
    )
