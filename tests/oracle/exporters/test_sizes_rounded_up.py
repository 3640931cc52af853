"""Pooled and resized images whose sizes ONNX and torch round differently: the file has those of torch."""

from dataclasses import replace

import pytest
from torch import Tensor, nn, randn
from torch.nn import functional as F

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
from qdiag.config import load_preset
from tests.deployed import export
from tests.processor import as_here

INT8 = as_here(replace(load_preset("int8"), arithmetic="ort"))


class Pools(nn.Module):
    """Windows that end beyond the image, begin in its padding, or do neither."""

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        found = []
        for kernel, stride, padding in ((3, 3, 1), (2, 3, 0), (3, 2, 1)):
            found += [F.avg_pool2d(x, kernel, stride, padding, True, counts) for counts in (False, True)]
            found.append(F.max_pool2d(x, kernel, stride, padding, 1, True))
        return tuple(found)


class Resized(nn.Module):
    """14 rows to 18: the factor in float32 is a little too small."""

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return F.interpolate(x, size=(18, 7), mode="bilinear"), F.interpolate(x, size=(18, 7))


@pytest.mark.parametrize("size", [(9, 8), (7, 10)])
def test_pools_of_sizes_that_are_rounded_up(size: tuple[int, int]) -> None:
    assert export(Pools().eval(), ((randn(3, 2, *size),),), INT8).differing() == (0.0, 0)


def test_an_image_that_is_resized_to_a_size() -> None:
    assert export(Resized().eval(), ((randn(3, 2, 14, 9),),), INT8).differing() == (0.0, 0)
