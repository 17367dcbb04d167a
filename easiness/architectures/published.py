"""Trained weights that torchvision and timm publish, with the size and the colours of their images."""

import hashlib
import io
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import torch

from easiness.architectures.torchvision_import import import_torchvision
from easiness.architectures.vision import vision_names


@dataclass(frozen=True)
class PublishedWeights:
    """Weights by name, and the images that they were trained on."""

    name: str
    content: bytes  # of a file that `read_state` reads
    resolution: int  # height and width in pixels
    mean: tuple[float, ...]  # of red, green and blue, as shares of white; std, too
    std: tuple[float, ...]


def vision_weights(model: str, name: str) -> PublishedWeights:
    """Weights of a torchvision network, from torch's cache or downloaded into it.

    `name` is `IMAGENET1K_V1`, `ResNet18_Weights.IMAGENET1K_V1` or `DEFAULT`. A ValueError if the network has no such
    weights, and a ConnectionError, in one line with the next step, if they cannot be downloaded.
    """
    if model not in vision_names():
        raise ValueError(
            f"weights is {name!r}, which would be torchvision's, and model {model!r} is not; give a file (.pt), "
            "runs:/RUN_ID or timm:NAME"
        )
    published = import_torchvision().models.get_model_weights(model)
    kind, _, entry = name.rpartition(".")
    if kind not in ("", published.__name__) or entry not in published.__members__:
        known = ", ".join(map(str, published))
        raise ValueError(f"weights is {name!r}, and torchvision's of model {model!r} are {known or 'none'}")
    weights = published[entry]
    images = weights.transforms()
    colours = tuple(images.mean), tuple(images.std)
    return PublishedWeights(str(weights), _downloaded(weights.url), images.crop_size[0], *colours)


def timm_weights(name: str) -> PublishedWeights:
    """Weights of timm, which is imported only now: an ImportError, in one line, says how to install it."""
    try:
        import timm
    except ImportError as error:
        raise ImportError(
            f"weights is 'timm:{name}', and timm is not installed; install it with: pip install 'easiness[timm]'"
        ) from error
    try:
        model = timm.create_model(name, pretrained=True)
    except Exception as error:  # of timm, its hub or the network
        cause = " ".join(str(error).split())[:200]
        raise ConnectionError(f"weights is 'timm:{name}', which timm does not give ({cause})") from error
    content, images = io.BytesIO(), model.pretrained_cfg
    torch.save(model.state_dict(), content)
    colours = tuple(images["mean"]), tuple(images["std"])
    return PublishedWeights(f"timm:{name}", content.getvalue(), images["input_size"][-1], *colours)


def _downloaded(url: str) -> bytes:
    """Content of a file in torch's cache, whose name ends with the beginning of its SHA-256, which is compared."""
    file = Path(torch.hub.get_dir(), "checkpoints", Path(urlsplit(url).path).name)
    named = re.search(r"-([0-9a-f]{8,})\.", file.name)
    prefix = named[1] if named else ""
    if not file.exists():
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(url, str(file), prefix, progress=False)
        except (OSError, RuntimeError) as error:  # the network, the disk, or another content than the name says
            raise ConnectionError(
                f"weights cannot be downloaded from {url} ({error}); fetch the file by other means, and give it with "
                f"weights=FILE or put it into {file.parent}"
            ) from error
    content = file.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if not found.startswith(prefix):
        raise ValueError(f"{file} is damaged: its SHA-256 is {found[:12]}…, and its name says {prefix}…; remove it")
    return content
