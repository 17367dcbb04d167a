"""Pack a folder of images into train.beton and val.beton, which `dataset=imagenet` reads."""

from easiness import tracking
from easiness.commandline import caller_path, command
from easiness.datasets.imagenet import list_imagenet
from easiness.datasets.kept import read_kept
from easiness.datasets.packing import PackOptions, pack


def prepare(
    options: PackOptions,
    source: str = "",
    output: str = "",
    val_labels: str | None = None,
    workers: int | None = None,
    skip_bad: bool = False,
    val_fraction: float = 0.2,
    seed: int = 0,
    keep: str | None = None,
) -> None:
    """Pack images for `dataset=imagenet`: every one decoded, checked, turned to RGB, once.

    Parameters
    ----------
    options : PackOptions
        How images are stored.
    source : str
        Folder with `train/<class>` and `val/<class>`, or `val` flat with its list, or one tree `<class>` to be split.
    output : str
        Folder that receives train.beton and val.beton, each with a manifest (.json).
    val_labels : str, optional
        List of the classes of a flat validation folder; looked for beside it if not given.
    workers : int, optional
        Threads that decode; one for each core if not given.
    skip_bad : bool
        Leave out files that are no images, instead of stopping.
    val_fraction : float
        Share of val where one tree is split.
    seed : int
        Of that split.
    keep : str, optional
        List of the training examples to pack, .csv or .npy, as `ablate` writes it; the others are left out.
    """
    for name, value in (("source", source), ("output", output)):
        if not value:
            raise ValueError(f"{name} is empty; give a folder with -P {name}=DIR")
    if workers is not None and workers < 1:
        raise ValueError(f"workers is {workers}, and must be at least 1")
    root, folder = caller_path(source), caller_path(output)
    labels = None if val_labels is None else caller_path(val_labels)
    files = {
        split: list_imagenet(root, split, seed=seed, val_fraction=val_fraction, val_labels=labels)
        for split in ("train", "val")
    }
    kept = None if keep is None else read_kept(caller_path(keep))
    with tracking.tracked_run("prepare", f"prepare {root.name}") as run_id:
        tracking.log_settings(run_id, vars(options) | {"source": source, "output": output})
        for split, files_of in files.items():
            packed = pack(
                root,
                split,
                files_of,
                folder / f"{split}.beton",
                options,
                workers=workers,
                skip_bad=skip_bad,
                keep=kept if split == "train" else None,
            )
            for skipped in packed.manifest.skipped:
                print(f"skipped    {skipped}")
            print(packed.describe())
            numbers = {"images": packed.manifest.examples, "bytes": packed.manifest.size}
            if packed.seconds:
                numbers["images_per_second"] = packed.manifest.examples / packed.seconds
            tracking.log_metrics(run_id, {f"{split}_{name}": value for name, value in numbers.items()})
            tracking.set_tags(run_id, {f"easiness.fingerprint_{split}": packed.manifest.fingerprint})
    print(f"\nrun id     {run_id}\nuse it     -P dataset=imagenet -P data={output}")


if __name__ == "__main__":
    command(prepare)
