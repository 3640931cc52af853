"""Whole networks with `arithmetic = "ort"`: every integer is that of onnxruntime, run freely from the same input."""

from dataclasses import replace

import pytest

from qdiag.config import load_preset
from qdiag.core.scheme import QuantScheme
from tests.deployed import export
from tests.models import KINDS
from tests.processor import as_here

pytest.importorskip("onnxruntime")

INT8 = replace(load_preset("int8"), arithmetic="ort")
SIGNED = replace(INT8, activations=replace(INT8.activations, signed=True))
PER_TENSOR = replace(INT8, weights=replace(INT8.weights, granularity="per_tensor"))
AFFINE = replace(load_preset("tf-uint8"), arithmetic="ort")
CASES = (
    ("hardswish", "int8", INT8),
    ("unet_bilinear", "int8", INT8),
    ("se_sigmoid", "s8", SIGNED),
    ("vit_sdpa", "s8", SIGNED),
    ("depthwise_separable", "per tensor", PER_TENSOR),
    ("inception", "tf-uint8", AFFINE),
)


@pytest.mark.parametrize(("name", "scheme"), [case[::2] for case in CASES], ids=[" ".join(case[:2]) for case in CASES])
def test_no_integer_of_a_network_differs(name: str, scheme: QuantScheme) -> None:
    kind = KINDS[name]
    exported = export(kind.build(), kind.inputs(4, 0), as_here(scheme))
    assert exported.differing() == (0.0, 0)
