"""The numbers of Table 1, and which of our models stand beside them."""

import pytest

from easiness.recipes.published import table_1


@pytest.mark.parametrize(
    ("model", "easy", "hard"),
    [
        ("wide_resnet_16_4", 0.18, 0.255),
        ("densenet_bc_100_12", 0.24, 0.279),
        ("densenet_bc_40_12", 0.24, 0.279),
        ("resnext29_4x64d", 0.129, 0.174),
        ("resnext50_32x4d", None, None),
        ("resnext101_64x4d", None, None),
        ("wide_resnet50_2", None, None),
        ("densenet121", None, None),
        ("package.module:wide_resnet_16_4", None, None),
    ],
)
def test_only_siblings_have_a_number(model, easy, hard):
    assert (table_1(model, "easy"), table_1(model, "hard")) == (easy, hard)
