"""What is said where a network refuses the size of the images: the size that it takes."""

import pytest
import torch
from torch import nn

from qdiag.batches import Batch
from qdiag.errors import DataError
from qdiag.pipeline.preparation.original import Original


def exported(dims: dict[int, object]) -> torch.export.ExportedProgram:
    net = nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten(), nn.Linear(2 * 6 * 6, 4)).eval()
    return torch.export.export(net, (torch.randn(2, 3, 8, 8),), dynamic_shapes=(dims,))


@pytest.mark.parametrize(
    ("shape", "hint"),
    [
        ((2, 3, 16, 16), "where these are images, set `resize` and `crop` to 8"),
        ((2, 1, 8, 8), "check the channels and the size of the inputs; `crop` and `resize` change the size of images"),
    ],
)
def test_a_program_names_the_shape_that_it_takes(shape: tuple[int, ...], hint: str) -> None:
    original = Original(exported({0: torch.export.Dim("samples")}))
    with pytest.raises(DataError) as caught:
        original(Batch((torch.randn(shape),)))
    assert caught.value.message == f"the network does not accept inputs of shape {shape}, it takes (?, 3, 8, 8)"
    assert caught.value.hint == hint


def test_a_module_says_no_shape() -> None:
    with pytest.raises(DataError) as caught:
        Original(nn.Conv2d(3, 2, 3).eval())(Batch((torch.randn(2, 1, 8, 8),)))
    assert caught.value.message == "the network does not accept inputs of shape (2, 1, 8, 8)"
