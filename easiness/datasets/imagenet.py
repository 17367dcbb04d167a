"""ImageNet and data sets like it: two .beton files that `prepare` made, or folders of images as they were unpacked."""

import dataclasses
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from easiness.datasets.beton import DIGEST_SIZE, BetonImages, block_digest, manifest_path, read_index
from easiness.datasets.image_folder import ImageFolder, files_by_class, list_split, open_listed, require_folder
from easiness.datasets.validation_list import is_flat, list_flat

SCHEMA = 1
VERIFY = ("quick", "full")

# Blocks that a quick check reads from the middle of a file, besides all that FFCV trusts blindly.
SAMPLED_BLOCKS = 16


@dataclass(frozen=True)
class Manifest:
    """What is known of a .beton, in a JSON file beside it; only a file that has one is finished.

    Attributes
    ----------
    split : str
        ``train`` or ``val``.
    examples : int
        N.
    fingerprint : str
        Of the data set, see `Dataset.fingerprint`.
    class_names : list of str
        K.
    sources : list of str
        N paths below the folder that was packed, with forward slashes.
    digests : str
        Hex, N times the BLAKE2b-128 of the stored bytes of an image.
    settings : dict
        How the images were packed.
    origin : str
        By which `prepare` sees whether a file or a setting has changed since.
    skipped : list of str
        Bad files that were left out, each with the reason.
    size, block_size : int
        Bytes of the file and of a block.
    blocks : list of str
        BLAKE2b-128 (hex) of every block of the file.
    schema : int
        Version of this layout.
    """

    split: str
    examples: int
    fingerprint: str
    class_names: list[str]
    sources: list[str]
    digests: str
    settings: dict[str, object]
    origin: str
    skipped: list[str]
    size: int
    block_size: int
    blocks: list[str]
    schema: int = SCHEMA

    def dump(self) -> str:
        """As JSON."""
        return json.dumps(dataclasses.asdict(self), indent=0) + "\n"

    @property
    def digest_table(self) -> np.ndarray:
        """(N, 16) uint8."""
        return np.frombuffer(bytes.fromhex(self.digests), np.uint8).reshape(-1, DIGEST_SIZE)


def read_manifest(beton: Path) -> Manifest:
    """Read what is known of a .beton.

    Raises
    ------
    ValueError
        If there is no manifest, so that packing was cut off, or it is of another version.
    """
    path = manifest_path(beton)
    if not path.is_file():
        raise ValueError(f"{beton} has no {path.name} beside it: it was not packed to its end; run prepare again")
    try:
        return Manifest(**json.loads(path.read_text()))
    except (TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is damaged or of another version ({error}); run prepare again") from error


def verify_beton(beton: Path, manifest: Manifest, verify: str) -> None:
    """Hold a file against the checksums of its manifest.

    Parameters
    ----------
    beton : pathlib.Path
        The file.
    manifest : Manifest
        Its manifest.
    verify : str
        ``full`` reads all blocks; ``quick`` its size, the blocks of its tables, and 16 spread over the rest.

    Raises
    ------
    ValueError
        If they differ.
    """
    if verify not in VERIFY:
        raise ValueError(f"verify is {verify!r}, and must be one of {', '.join(VERIFY)}")
    size = beton.stat().st_size
    if size != manifest.size:
        raise ValueError(f"{beton} has {size:,} bytes, and had {manifest.size:,} when it was packed; run prepare again")
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
        bad = [number for number, differing in zip(numbers, pool.map(differs, numbers), strict=True) if differing]
    if bad:
        raise ValueError(
            f"{beton} is damaged: {len(bad):,} of {len(numbers):,} blocks looked at differ from what was packed, "
            f"the first at byte {bad[0] * block_size:,}; run prepare again"
        )


def open_imagenet(
    root: str | Path, split: str, *, seed: int, val_fraction: float, skip_bad: bool, verify: str
) -> ImageFolder:
    """Open ``root/train.beton`` and ``root/val.beton``, or else ``root/train`` and ``root/val`` with images.

    Raises
    ------
    FileNotFoundError, NotADirectoryError
        There is nothing of the kind.
    ValueError
        The file is damaged, or was not packed to its end; bad files, unequal classes.
    """
    root = Path(root).expanduser()
    require_folder(root)
    beton = root / f"{split}.beton"
    if beton.exists() or manifest_path(beton).exists():
        return open_beton(beton, verify)
    others = sorted(path.name for path in root.glob("*.beton"))
    if others:
        raise FileNotFoundError(f"{root} has {', '.join(others)} and no {beton.name}; run prepare again")
    files_of = list_imagenet(root, split, seed=seed, val_fraction=val_fraction)
    return open_listed(root, split, files_of, skip_bad=skip_bad)


def list_imagenet(
    root: Path, split: str, *, seed: int, val_fraction: float, val_labels: Path | None = None
) -> dict[str, list[str]]:
    """Class name to sorted paths; as `list_split`, and for a flat validation folder with its list of classes."""
    train, val = root / "train", root / "val"
    if not (train.is_dir() and is_flat(val)):
        return list_split(root, split, seed=seed, val_fraction=val_fraction)
    files_of = files_by_class(train)
    return files_of if split == "train" else list_flat(val, tuple(files_of), val_labels)


def open_beton(beton: Path, verify: str) -> ImageFolder:
    """Open one .beton that `prepare` made.

    Raises
    ------
    ValueError
        It is damaged, or was not packed to its end.
    """
    if not beton.exists():
        raise FileNotFoundError(f"{manifest_path(beton)} is there and {beton.name} is not; run prepare again")
    manifest = read_manifest(beton)
    verify_beton(beton, manifest, verify)
    records, labels = read_index(beton)
    if not len(records) == len(manifest.sources) == len(manifest.digest_table) == manifest.examples:
        raise ValueError(f"{beton} and its manifest differ in their number of examples; run prepare again")
    return ImageFolder(
        images=BetonImages(beton, np.arange(len(labels)), records),
        labels=labels,
        class_names=tuple(manifest.class_names),
        sources=np.array(manifest.sources),
        digests=manifest.digest_table,
        skipped=tuple(manifest.skipped),
    )
