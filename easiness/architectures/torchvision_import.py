"""Import torchvision, also where its compiled half does not fit the torch beside it."""

import importlib
import importlib.util
from pathlib import Path
from types import ModuleType

import torch

# torch forgets the operators of a Library object that is collected, so the object is kept here.
_SCHEMAS: list[torch.library.Library] = []


def import_torchvision() -> ModuleType:
    """Return the imported ``torchvision`` package.

    Registries serve torchvision as a CUDA build. Under a CPU build of torch its compiled operators cannot be
    loaded, and then the import itself fails (``operator torchvision::nms does not exist``), although models,
    transforms and data sets need none of them. So the two schemas that the import looks up are declared.
    Under a CUDA build of torch, or where the compiled operators load, nothing is touched.

    Returns
    -------
    module
        ``torchvision``. After a declaration, ``torchvision.ops.nms`` and the decoders of ``torchvision.io``
        raise when they are called; everything else works.

    Raises
    ------
    ModuleNotFoundError
        If torchvision is not installed.
    """
    if torch.version.cuda is None and not _operators_present():
        schemas = torch.library.Library("torchvision", "DEF")
        schemas.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        schemas.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _SCHEMAS.append(schemas)
    return importlib.import_module("torchvision")


def _operators_present() -> bool:
    """Whether torch knows ``torchvision::nms``, once torchvision's own operators had their chance to load.

    They are loaded here and not only by the import, because a schema that was declared before them would make
    a fitting CPU build of torchvision fail as a second declaration of the same operator.
    """
    if hasattr(torch.ops.torchvision, "nms"):
        return True
    package = importlib.util.find_spec("torchvision")
    if package is None or package.origin is None:
        return True  # nothing to repair: the import will say that torchvision is missing
    for library in Path(package.origin).parent.glob("_C*"):
        try:
            torch.ops.load_library(str(library))
        except OSError:
            continue
    return hasattr(torch.ops.torchvision, "nms")
