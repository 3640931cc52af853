"""Clamps that a quantized file leaves to the ends of its integers: which one each is."""

import numpy as np
import pytest
import torch

from qdiag.numerics.quantizers.affine import Affine
from qdiag.onnx.model import OnnxGraph, OnnxNode
from qdiag.onnx.quantized.saturation import with_clamps

GRAPH = OnnxGraph((OnnxNode("Conv", "", "conv", ("x", "w"), ("y",), {}),), (), ("y",), {}, 17)


def quantizer(highest: float, zero_point: int = 0) -> Affine:
    scale = torch.tensor(np.float32(highest) / np.float32(255 - zero_point))
    return Affine(scale, torch.tensor(float(zero_point)), 0, 255)


@pytest.mark.parametrize(
    ("highest", "zero_point", "made"),
    [(6.0, 0, "Clip"), (5.999, 0, "Relu"), (6.001, 0, "Relu"), (4.2, 0, "Relu"), (6.0, 3, None)],
)
def test_a_range_that_ends_at_six_exactly_is_that_of_a_relu6(highest: float, zero_point: int, made: str | None) -> None:
    graph, clamped = with_clamps(GRAPH, {"y": (quantizer(highest, zero_point),)})
    assert [node.op for node in graph.nodes[1:]] == ([made] if made else [])
    assert clamped == (("y",) if made else ())
    ends = [float(graph.constants[name]) for name in graph.nodes[-1].inputs[1:] if name in graph.constants]
    assert ends == ([0.0, 6.0] if made == "Clip" else [])
