"""Import of torchvision, also if its compiled operators do not fit the installed torch."""

import importlib
import importlib.util
from pathlib import Path
from types import ModuleType

import torch

# Keeps the Library objects alive: torch forgets the operators of a collected one.
_SCHEMAS: list[torch.library.Library] = []


def import_torchvision() -> ModuleType:
    """Import ``torchvision``.

    Registries serve torchvision as a CUDA build. With a CPU build of torch its compiled operators cannot be loaded, and
    the import fails (``operator torchvision::nms does not exist``), although models, transforms and datasets do not
    need them. So the two schemas that the import needs are declared; ``torchvision.ops.nms`` and the decoders of
    ``torchvision.io`` then raise when called. With a CUDA build, or operators that load, nothing is declared.
    """
    if torch.version.cuda is None and not _operators_present():
        schemas = torch.library.Library("torchvision", "DEF")
        schemas.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        schemas.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _SCHEMAS.append(schemas)
    return importlib.import_module("torchvision")


def _operators_present() -> bool:
    """Whether torch has ``torchvision::nms`` after an attempt to load torchvision's operators.

    They are loaded before the import, because in a fitting CPU build of torchvision they would clash with a schema
    declared before.
    """
    if hasattr(torch.ops.torchvision, "nms"):
        return True
    package = importlib.util.find_spec("torchvision")
    if package is None or package.origin is None:
        return True  # the import will report that torchvision is missing
    for library in Path(package.origin).parent.glob("_C*"):
        try:
            torch.ops.load_library(str(library))
        except OSError:
            continue
    return hasattr(torch.ops.torchvision, "nms")
