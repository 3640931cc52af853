"""The format of each operand of a layer, as `layers.csv` has it."""

import csv
import io

import pytest
import torch
from torch import Tensor, nn

import qdiag
from qdiag.config import load_scheme
from qdiag.writers.csv.layers import layer_csv

IMAGES = torch.randn(3, 3, 6, 6, generator=torch.Generator().manual_seed(1))


class Net(nn.Module):
    """A shortcut beside a convolution, a pooling, a product of activations, and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.head = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        kept = torch.tanh(self.a(x))
        rows = (self.b(kept) + kept).mean(3)
        return self.head((rows.transpose(1, 2) @ rows @ rows.transpose(1, 2)).mean(1))


EXPECTED: dict[tuple[str, ...], dict[str, tuple[str, str, str]]] = {
    ("int8",): {
        "a": ("uint8", "int8", "uint8"),
        "add": ("uint8; uint8", "", "uint8"),
        "pool": ("uint8", "", "uint8"),
        "head": ("uint8", "int8", "uint8"),
        "input:x": ("", "", "uint8"),
    },
    ("xnor",): {
        "a": ("float", "float", "float"),
        "tanh": ("float", "", "float"),
        "b": ("1-bit binary", "1-bit binary", "float"),
        "add": ("float; float", "", "float"),
        "head": ("float", "float", "float"),
    },
    ("mxfp4",): {
        "b": ("e2m1 in blocks of 32", "e2m1 in blocks of 32", "float"),
        "matmul": ("e2m1 in blocks of 32; e2m1 in blocks of 32", "", "float"),
        "add": ("float; float", "", "float"),
    },
    ("log4",): {
        "b": ("4-bit power of two", "4-bit power of two", "4-bit power of two"),
        "head": ("4-bit power of two", "4-bit power of two", "uint8"),
    },
    ("fp8-e4m3", 'layers."b".weights.element=e5m2', "float_layers=['head']"): {
        "b": ("e4m3", "e5m2", "e4m3"),
        "head": ("e4m3", "float", "float"),
    },
    ("twn", "activations.bits=16", "activations.type=float", "activations.scale=none"): {
        "b": ("float16", "2-bit ternary", "float16")
    },
}


@pytest.mark.parametrize("asked", EXPECTED, ids="-".join)
def test_formats(asked: tuple[str, ...]) -> None:
    found = qdiag.measure(Net().eval(), IMAGES, scheme=load_scheme(asked[0], asked[1:]))
    rows = {row["layer"]: row for row in csv.DictReader(io.StringIO(layer_csv(found)))}
    for name, expected in EXPECTED[asked].items():
        row = rows[name]
        assert (row["input_formats"], row["weight_format"], row["output_format"]) == expected, name
