"""Classification networks of torchvision by name, without trained weights."""

from torch import nn

from easiness.architectures.torchvision_import import import_torchvision


def vision_names() -> tuple[str, ...]:
    """Sorted names of torchvision's classification networks."""
    models = import_torchvision().models
    return tuple(models.list_models(module=models))


def vision_model(name: str, num_classes: int, image_size: int) -> nn.Module:
    """Build a torchvision network that maps images (B, 3, image_size, image_size) to logits (B, num_classes).

    Auxiliary classifiers are left out, because they return tuples in train mode. Transformers are built for the given
    size of images; if it is not a multiple of their tile, a ValueError names the nearest sizes that are.
    """
    layout = {}
    if name in ("googlenet", "inception_v3"):
        # init_weights=True is torchvision's default, which warns if it is left out.
        layout = {"aux_logits": False, "init_weights": True}
    elif name.startswith("vit_"):
        _check_tiles(name, image_size, tile=int(name.rpartition("_")[2]))
        layout = {"image_size": image_size}
    elif name == "maxvit_t":
        # Four halvings and a stem that halves, and at each of the four scales windows of 7×7.
        _check_tiles(name, image_size, tile=7 * 2**5)
        layout = {"input_size": (image_size, image_size)}
    return import_torchvision().models.get_model(name, weights=None, num_classes=num_classes, **layout)


def _check_tiles(name: str, image_size: int, tile: int) -> None:
    if image_size > 0 and image_size % tile == 0:
        return
    below = max(image_size, 0) // tile * tile
    nearest = f"{below} and {below + tile} are the nearest" if below else f"{tile} is the smallest"
    raise ValueError(
        f"model {name!r} needs images with sides of a multiple of {tile} pixels, not {image_size}: {nearest}"
    )
