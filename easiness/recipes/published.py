"""Numbers that the paper prints, to stand beside ours (Kishida & Nakayama 2019, arXiv 1911.10739)."""

import re

# Share of the examples in each set behind all its rates.
FRACTION = 0.1

# Table 1: matching rate of one model's sets at the beginning and at the end of training, CIFAR-10, chance 0.1.
# The table prints WRN 16-40, the text 16-4. The names are our model families, in any depth and width.
TABLE_1 = {
    r"wide_resnet_\d+_\d+": {"easy": 0.18, "hard": 0.255},
    r"densenet_bc_\d+_\d+": {"easy": 0.24, "hard": 0.279},
    r"resnext\d+_\d+x\d+d(_\d+)?": {"easy": 0.129, "hard": 0.174},
}
# torchvision's ResNeXt for ImageNet is another architecture.
_NOT_IN_TABLE_1 = r"resnext(50|101)_.*"


def table_1(model: str, kind: str) -> float | None:
    """Rate in the paper's Table 1 for a model's family and the `easy` or `hard` set; None if it has none.

    Examples
    --------
    >>> table_1("wide_resnet_10_1", "hard"), table_1("resnext11_2x4d_8", "hard"), table_1("resnext50_32x4d", "hard")
    (0.255, 0.174, None)
    """
    if re.fullmatch(_NOT_IN_TABLE_1, model):
        return None
    return next((rates[kind] for family, rates in TABLE_1.items() if re.fullmatch(family, model)), None)
